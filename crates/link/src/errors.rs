// SPDX-License-Identifier: MIT OR Apache-2.0
//! The errors of a link's processes, kept where others can read them: each distinct one once, with its count, and its
//! first and last time, also after the process has died.
//!
//! They lie in `NAME.errors` in the runtime directory, one line each, and not in the control memory: that goes with
//! its last holder, and who could not join has none of it. (link-v1.md, "Errors"; docs/decisions/0008)
//!
//! *Distinct* means: another process, side or kind, or other words when numbers are left out of account. Noting an
//! error waits for nobody and never fails a call; the end of a link waits 20 ms at the most. A new one is written at
//! once; those that come again at most ten times a second and at the end, so that of a process that is killed the
//! last few may be missing in a count.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use uncopy_core::ErrorKind;
use uncopy_os::{ProcessId, RuntimeDir, fork_generation, realtime_nanos};

use crate::error::LinkError;
use crate::service::lock;

/// Lines of the file; what comes last when there is no more room takes the place of what came last longest ago.
const MAX_RECORDS: usize = 64;
/// Bytes of a message that are kept.
const MAX_TEXT_BYTES: usize = 400;
const MAX_FILE_BYTES: usize = MAX_RECORDS * (MAX_TEXT_BYTES + 160);
/// How often the file is written when the same errors come again.
const WRITE_EVERY: Duration = Duration::from_millis(100);
/// How often the last ones are tried to be written, a millisecond apart.
const LAST_TRIES: u32 = 20;

/// Which end of a link an error was met at.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Side {
    /// Publishing.
    Producer,
    /// Receiving.
    Consumer,
}

impl Side {
    /// Its word: `producer` or `consumer`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        }
    }
}

/// A distinct error of one process.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ErrorRecord {
    /// When it was met first, in nanoseconds since 1970 UTC.
    pub first_nanos: i64,
    /// When it was met last.
    pub last_nanos: i64,
    /// How often.
    pub count: u64,
    /// At which end.
    pub side: Side,
    /// By which process. It may be gone.
    pub process: ProcessId,
    /// Its kind.
    pub kind: ErrorKind,
    /// Its words, the last time, at most 400 bytes.
    pub text: String,
}

impl ErrorRecord {
    fn is_same(&self, other: &Self) -> bool {
        (self.side, self.process, self.kind) == (other.side, other.process, other.kind)
            && without_numbers(&self.text).eq(without_numbers(&other.text))
    }

    fn line(&self) -> String {
        let Self { first_nanos, last_nanos, count, side, process, kind, text } = self;
        let (side, kind, ProcessId { pid, start_ticks }) = (side.name(), kind.code(), process);
        format!("{first_nanos}\t{last_nanos}\t{count}\t{side}\t{pid}\t{start_ticks}\t{kind}\t{text}\n")
    }

    /// A record from its line; `None` for anything else.
    fn from_line(line: &str) -> Option<Self> {
        let mut fields = line.splitn(8, '\t');
        let mut next = || fields.next();
        Some(Self {
            first_nanos: next()?.parse().ok()?,
            last_nanos: next()?.parse().ok()?,
            count: next()?.parse().ok()?,
            side: match next()? {
                "producer" => Side::Producer,
                "consumer" => Side::Consumer,
                _ => return None,
            },
            process: ProcessId { pid: next()?.parse().ok()?, start_ticks: next()?.parse().ok()? },
            kind: ErrorKind::from_code(next()?.parse().ok()?)?,
            text: shortened(next()?),
        })
    }
}

/// The words of a message: two that differ in numbers only are the same error. What follows a digit without a gap is
/// its unit: 530 µs and 2 ms are the same.
fn without_numbers(text: &str) -> impl Iterator<Item = char> + '_ {
    let mut is_number = false;
    text.chars().filter(move |c| {
        is_number = c.is_ascii_digit() || is_number && (c.is_alphanumeric() || *c == '.');
        !is_number
    })
}

/// One line of at most [`MAX_TEXT_BYTES`].
fn shortened(text: &str) -> String {
    let mut end = text.len().min(MAX_TEXT_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().replace(|c: char| c.is_control(), " ")
}

/// The name of the file.
pub(crate) fn errors_file(name: &str) -> String {
    format!("{name}.errors")
}

/// The errors of the processes of the link `name`, live or dead, the latest first. None where there was none.
///
/// # Errors
/// A bad name; the runtime directory can't be opened or the file not be read.
pub fn errors(name: &str) -> Result<Vec<ErrorRecord>, LinkError> {
    errors_in(&RuntimeDir::open()?, crate::native_name(name)?.as_str())
}

/// The same for a link in a runtime directory.
///
/// # Errors
/// A bad name; the file can't be read.
pub fn errors_in(dir: &RuntimeDir, name: &str) -> Result<Vec<ErrorRecord>, LinkError> {
    let name = crate::native_name(name)?;
    let content = dir.read(&errors_file(name.as_str()), MAX_FILE_BYTES)?.unwrap_or_default();
    let mut records = records_of(&content);
    records.sort_by_key(|record| std::cmp::Reverse(record.last_nanos));
    Ok(records)
}

/// Lines that are none of ours are passed over.
fn records_of(content: &[u8]) -> Vec<ErrorRecord> {
    String::from_utf8_lossy(content).lines().filter_map(ErrorRecord::from_line).take(MAX_RECORDS).collect()
}

/// The errors of one end of a link.
pub(crate) struct ErrorLog {
    dir: RuntimeDir,
    name: String,
    side: Side,
    generation: u32,
    noted: Mutex<Noted>,
}

#[derive(Default)]
struct Noted {
    /// Met and not written yet, counted from the last writing on.
    pending: Vec<ErrorRecord>,
    /// Met before: these may wait for their turn, a new one is written at once.
    known: Vec<ErrorRecord>,
    written: Option<Instant>,
}

impl ErrorLog {
    pub(crate) fn new(dir: &RuntimeDir, name: &str, side: Side) -> Self {
        Self {
            dir: dir.clone(),
            name: name.to_owned(),
            side,
            generation: fork_generation(),
            noted: Mutex::default(),
        }
    }

    /// Notes the error of a result, if it is one worth reading about later.
    #[inline]
    pub(crate) fn noting<T>(&self, result: Result<T, LinkError>) -> Result<T, LinkError> {
        if let Err(error) = &result {
            self.note(error);
        }
        result
    }

    #[cold]
    pub(crate) fn note(&self, error: &LinkError) {
        match error {
            // Ordinary ends of ordinary waits, and what says nothing of the link.
            LinkError::TimedOut { .. }
            | LinkError::FewConsumers { .. }
            | LinkError::Interrupted
            | LinkError::ProducerClosed { .. }
            | LinkError::Closed { .. }
            | LinkError::Forked { .. } => {}
            error => self.note_as(error.kind(), &error.to_string()),
        }
    }

    /// Notes what is told to nobody here.
    pub(crate) fn note_as(&self, kind: ErrorKind, text: &str) {
        if self.generation != fork_generation() {
            return;
        }
        let now = realtime_nanos();
        let record = ErrorRecord {
            first_nanos: now,
            last_nanos: now,
            count: 1,
            side: self.side,
            process: ProcessId::current(),
            kind,
            text: shortened(text),
        };
        let mut noted = lock(&self.noted);
        let is_new =
            noted.known.len() < MAX_RECORDS && !noted.known.iter().any(|known| known.is_same(&record));
        if is_new {
            noted.known.push(record.clone());
        }
        add(&mut noted.pending, record);
        if is_new || noted.written.is_none_or(|written| written.elapsed() >= WRITE_EVERY) {
            self.write(&mut noted);
        }
    }

    /// Adds what is pending to the file. `false`: somebody else is at it, and it stays for the next time.
    fn write(&self, noted: &mut Noted) -> bool {
        noted.written = Some(Instant::now());
        let pending = &noted.pending;
        let edited = self.dir.edit(&errors_file(&self.name), MAX_FILE_BYTES, |content| {
            let mut records = records_of(&content);
            pending.iter().for_each(|record| add(&mut records, record.clone()));
            records.iter().map(ErrorRecord::line).collect::<String>().into_bytes()
        });
        match edited {
            Ok(true) => noted.pending.clear(),
            Ok(false) => return false,
            Err(error) => tracing::debug!(link = %self.name, %error, "errors can't be kept"),
        }
        true
    }
}

impl Drop for ErrorLog {
    fn drop(&mut self) {
        let mut noted = std::mem::take(self.noted.get_mut().unwrap_or_else(PoisonError::into_inner));
        // In a forked child they are the parent's to write.
        if self.generation != fork_generation() {
            return;
        }
        for _ in 0..LAST_TRIES {
            if noted.pending.is_empty() || self.write(&mut noted) {
                return;
            }
            // Somebody else is at it, for as long as one small file takes.
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Adds a record, to the one of the same error if there is one, at the cost of the oldest if there is no room.
fn add(records: &mut Vec<ErrorRecord>, record: ErrorRecord) {
    if let Some(same) = records.iter_mut().find(|known| known.is_same(&record)) {
        same.first_nanos = same.first_nanos.min(record.first_nanos);
        same.last_nanos = same.last_nanos.max(record.last_nanos);
        same.count = same.count.saturating_add(record.count);
        same.text = record.text;
        return;
    }
    if records.len() >= MAX_RECORDS {
        let oldest = records.iter().enumerate().min_by_key(|(_, record)| record.last_nanos);
        if let Some(index) = oldest.map(|(index, _)| index) {
            records.remove(index);
        }
    }
    records.push(record);
}

#[cfg(all(test, not(loom)))]
#[allow(clippy::expect_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(text: &str, last_nanos: i64) -> ErrorRecord {
        ErrorRecord {
            first_nanos: last_nanos,
            last_nanos,
            count: 1,
            side: Side::Consumer,
            process: ProcessId { pid: 7, start_ticks: 9 },
            kind: ErrorKind::CorruptLink,
            text: text.to_owned(),
        }
    }

    #[test]
    fn the_same_error_with_other_numbers_is_one_record() {
        let mut records = Vec::new();
        add(&mut records, record("frame 17 is torn after 2.5s", 10));
        add(&mut records, record("frame 9 is torn after 13ms", 30));
        add(&mut records, record("slot 9 is torn after 13 s", 20));
        assert_eq!(records.len(), 2);
        let first = records.first().expect("two records");
        assert_eq!((first.first_nanos, first.last_nanos, first.count), (10, 30, 2));
        assert_eq!(first.text, "frame 9 is torn after 13ms", "the last words");
    }

    #[test]
    fn what_came_last_longest_ago_makes_room() {
        let mut records = Vec::new();
        let word = |n: usize| "x".repeat(n + 1);
        for n in 0..MAX_RECORDS {
            add(&mut records, record(&word(n), n as i64));
        }
        add(&mut records, record(&word(0), 1000));
        add(&mut records, record("another", 1001));
        assert_eq!(records.len(), MAX_RECORDS);
        let texts: Vec<_> = records.iter().map(|record| record.text.clone()).collect();
        assert!(texts.contains(&word(0)) && !texts.contains(&word(1)));
    }

    #[test]
    fn a_line_is_one_line_whatever_the_words_are() {
        let wild = shortened("one\ntwo\tthree\r\u{7}é");
        assert_eq!(wild, "one two three  é");
        let line = record(&wild, 5).line();
        assert_eq!(ErrorRecord::from_line(line.trim_end_matches('\n')), Some(record(&wild, 5)));
        assert!(shortened(&"é".repeat(1000)).len() <= MAX_TEXT_BYTES);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_as_records_or_passed_over(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
            let records = records_of(&bytes);
            prop_assert!(records.len() <= MAX_RECORDS);
        }

        #[test]
        fn a_record_reads_back_as_it_was_written(text in "\\PC{0,300}", pid: i32, ticks: u64, first: i64, count: u64) {
            let record = ErrorRecord {
                text: shortened(&text), process: ProcessId { pid, start_ticks: ticks }, first_nanos: first, count,
                ..record("", 3)
            };
            let bytes = record.line().into_bytes();
            prop_assert_eq!(records_of(&bytes), vec![record]);
        }
    }
}
