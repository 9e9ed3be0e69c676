// SPDX-License-Identifier: MIT OR Apache-2.0
//! The file of a link's errors, which every process of the user may have written. (link-v1.md, "Errors")
//!
//! Input: the content of the file. What is read of it is held against a reading of its lines by hand; then an error
//! of this process's own must find its place among them.

use std::time::Duration;

use uncopy::os::{ProcessId, RuntimeDir};
use uncopy::{ErrorKind, ErrorRecord, errors_in};

use crate::place::{NAME, Place};
use crate::{Seed, Target};

/// See the [module](self).
pub const TARGET: Target = Target {
    name: "errors_file",
    begin: || {
        let place = Place::new();
        let dir = place.dir();
        Box::new(move |input| check(&place, &dir, input))
    },
    seeds,
};

const MOST_RECORDS: usize = 64;
const MOST_TEXT: usize = 400;
/// Every record with its longest text; what a file has beyond is not read.
const MOST_BYTES: usize = MOST_RECORDS * (MOST_TEXT + 160);

fn check(place: &Place, dir: &RuntimeDir, input: &[u8]) {
    std::fs::write(place.file("cam.errors"), input).expect("our own directory");
    let records = errors_in(dir, NAME).expect("a plain file of ours");
    let text = String::from_utf8_lossy(&input[..input.len().min(MOST_BYTES)]).into_owned();
    let expected = text.lines().filter(|line| is_record(line)).count().min(MOST_RECORDS);
    assert_eq!(records.len(), expected, "{records:?}");
    check_records(&records);
    // Nobody publishes here: an error that is noted.
    let error =
        place.subscribe().timeout(Some(Duration::ZERO)).open().map(drop).expect_err("there is no producer");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    let records = errors_in(dir, NAME).expect("a plain file of ours");
    check_records(&records);
    let me = ProcessId::current();
    assert!(records.iter().any(|record| record.process == me), "{error} was not noted among {records:?}");
}

/// Times, count, side, process and code between tabs, then words.
fn is_record(line: &str) -> bool {
    let fields: Vec<&str> = line.splitn(8, '\t').collect();
    let [first, last, count, side, pid, ticks, code, _] = fields[..] else { return false };
    let times = [first, last].iter().all(|time| time.parse::<i64>().is_ok());
    let counts = [count, ticks].iter().all(|number| number.parse::<u64>().is_ok());
    let code = code.parse::<i32>().is_ok_and(|code| ErrorKind::ALL.iter().any(|kind| kind.code() == code));
    times && counts && matches!(side, "producer" | "consumer") && pid.parse::<i32>().is_ok() && code
}

fn check_records(records: &[ErrorRecord]) {
    assert!(records.len() <= MOST_RECORDS, "{}", records.len());
    for record in records {
        assert!(record.text.len() <= MOST_TEXT && !record.text.contains(char::is_control), "{record:?}");
    }
    assert!(
        records.is_sorted_by_key(|record| std::cmp::Reverse(record.last_nanos)),
        "the latest comes first"
    );
}

fn seeds() -> Vec<Seed> {
    let line = |last: i64, pid: i32, words: &str| format!("5\t{last}\t3\tproducer\t{pid}\t77\t3\t{words}\n");
    let many = |count: i32| (0..count).map(|pid| line(pid.into(), pid, "no free slot")).collect::<String>();
    vec![
        ("one".into(), line(9, 1, "no frame of 'cam' within 5 s").into_bytes()),
        ("two-sides".into(), (line(9, 1, "a") + "6\t7\t1\tconsumer\t2\t0\t4\tb\n").into_bytes()),
        ("full".into(), many(64).into_bytes()),
        ("too-many".into(), many(70).into_bytes()),
        ("of-the-future".into(), many(64).replace("5\t", "9000000000000000000\t").into_bytes()),
        ("long-words".into(), line(1, 1, &"ä\t".repeat(500)).into_bytes()),
        ("no-end".into(), b"5\t9\t3\tproducer\t1\t77\t3\tcut".to_vec()),
        ("another-side".into(), b"5\t9\t3\tneither\t1\t77\t3\twords\n".to_vec()),
        ("an-unknown-code".into(), b"5\t9\t3\tproducer\t1\t77\t4242\twords\n".to_vec()),
        ("numbers-that-overflow".into(), b"99999999999999999999\t9\t3\tproducer\t1\t77\t3\twords\n".to_vec()),
        ("no-text".into(), vec![0xFF; 100]),
        ("nothing".into(), Vec::new()),
    ]
}
