// SPDX-License-Identifier: MIT OR Apache-2.0
//! Participants of a chaos run whose producers overwrite what is held: what the check of the pattern must notice.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    uncopy_tests::chaos::main(std::env::args().skip(1).collect())
}
