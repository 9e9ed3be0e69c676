// SPDX-License-Identifier: MIT OR Apache-2.0
//! Bytes of the protocol that were written down once: `tests/golden/*.hex`.
//!
//! A file has sixteen bytes to a line, `--` where the byte differs from run to run (a process id, a time), and comments
//! behind `#`. `UNCOPY_WRITE_GOLDEN=1` writes files that are missing, and never changes one that is there: a byte that
//! changes is a new version of the protocol.

use std::fmt::Write;
use std::fs;
use std::ops::Range;
use std::path::PathBuf;

/// Compares live bytes with the golden file `name`; bytes in `varying` may be anything.
///
/// # Panics
/// When they differ, with the first difference; when the file is missing.
#[track_caller]
pub fn compare(name: &str, live: &[u8], varying: &[Range<usize>]) {
    let path = path_of(name);
    if !path.exists() && std::env::var_os("UNCOPY_WRITE_GOLDEN").is_some() {
        fs::write(&path, text_of(live, varying)).expect("the golden directory can be written");
    }
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let golden = bytes_of(&text);
    assert_eq!(live.len(), golden.len(), "{name}: {}", text_of(live, varying));
    let wrong = live.iter().zip(&golden).position(|(got, want)| want.is_some_and(|want| want != *got));
    if let Some(at) = wrong {
        panic!(
            "{name}: byte {at} is {:#04x}, golden is {:?}\n{}",
            live[at],
            golden[at],
            text_of(live, varying)
        );
    }
    // A mask that grew would hide a change.
    let masked: Vec<usize> = (0..golden.len()).filter(|at| golden[*at].is_none()).collect();
    let expected: Vec<usize> = varying.iter().flat_map(Clone::clone).collect();
    assert_eq!(masked, expected, "{name}: the bytes that may vary");
}

/// The golden bytes of a file; those that vary are `None`.
///
/// # Panics
/// When there is no such file.
#[must_use]
pub fn read(name: &str) -> Vec<Option<u8>> {
    let path = path_of(name);
    bytes_of(&fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

fn path_of(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden").join(format!("{name}.hex"))
}

fn bytes_of(text: &str) -> Vec<Option<u8>> {
    let code = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    code.flat_map(str::split_whitespace)
        .map(|word| match word {
            "--" => None,
            word => Some(u8::from_str_radix(word, 16).unwrap_or_else(|_| panic!("'{word}' is no byte"))),
        })
        .collect()
}

fn text_of(bytes: &[u8], varying: &[Range<usize>]) -> String {
    let mut text = String::new();
    for (line, row) in bytes.chunks(16).enumerate() {
        for (column, byte) in row.iter().enumerate() {
            let varies = varying.iter().any(|range| range.contains(&(line * 16 + column)));
            let word = if varies { "--".to_owned() } else { format!("{byte:02x}") };
            write!(text, "{word} ").expect("a string takes any text");
        }
        writeln!(text, "{}# {}", "   ".repeat(16 - row.len()), line * 16).expect("a string takes any text");
    }
    text
}
