// SPDX-License-Identifier: MIT OR Apache-2.0
//! The three fields of `/proc/PID/stat` that tell who a process is and whether it lives (proc(5)).

/// Fields of one line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stat {
    /// Field 3: one letter.
    pub(super) state: u8,
    /// Field 20.
    pub(super) threads: u64,
    /// Field 22.
    pub(super) start_ticks: u64,
}

impl Stat {
    /// Dead are `Z` (zombie) and `X`, `x` (being removed). A first thread that has ended while others run also shows as
    /// `Z`, but then threads are counted.
    pub(super) fn is_alive(self) -> bool {
        match self.state {
            b'Z' => self.threads > 1,
            b'X' | b'x' => false,
            _ => true,
        }
    }
}

/// Reads `pid (name) state ppid … num_threads itrealvalue starttime …`. The name may hold anything, also `)`.
pub(super) fn parse(line: &str) -> Option<Stat> {
    let (_, after_name) = line.rsplit_once(") ")?;
    let mut fields = after_name.split_ascii_whitespace(); // from field 3
    let state = *fields.next()?.as_bytes().first()?;
    let threads = fields.nth(16)?.parse().ok()?; // field 20
    let start_ticks = fields.nth(1)?.parse().ok()?; // field 22
    Some(Stat { state, threads, start_ticks })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str =
        "1234 (python3) S 1 1234 1234 0 -1 4194560 5 6 7 8 9 10 11 12 20 0 3 0 98765 13 14 15\n";

    #[test]
    fn the_fields_are_found_by_position() {
        assert_eq!(parse(LINE), Some(Stat { state: b'S', threads: 3, start_ticks: 98765 }));
    }

    #[test]
    fn a_name_with_parentheses_and_spaces_does_not_shift_the_fields() {
        let line = LINE.replace("(python3)", "(a) Z 9 (b c) )");
        assert_eq!(parse(&line), Some(Stat { state: b'S', threads: 3, start_ticks: 98765 }));
    }

    #[test]
    fn a_zombie_is_dead_and_a_process_whose_first_thread_ended_is_not() {
        let with = |state, threads| Stat { state, threads, start_ticks: 1 }.is_alive();
        assert!(with(b'R', 1) && with(b'D', 1) && with(b'T', 1) && with(b't', 1) && with(b'I', 1));
        assert!(!with(b'Z', 0) && !with(b'Z', 1) && !with(b'X', 1) && !with(b'x', 0));
        assert!(with(b'Z', 2));
    }

    #[test]
    fn a_cut_line_is_no_process() {
        for end in 0..LINE.find("98765").expect("in the fixture") {
            assert_eq!(parse(&LINE[..end]), None, "cut at {end}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_the_parser_fail(text in "(?s).*") {
            let _ = parse(&text);
        }
    }
}
