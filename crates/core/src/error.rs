// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one list of what can go wrong, in every language.
//!
//! Each crate has its own error enum with values and advice; each of its variants maps to one [`ErrorKind`]. C status
//! codes, Python exception classes and exit codes of the `uncopy` command are made from this list and from nothing
//! else. Codes and names are stable: a kind may be added, never renumbered, renamed or reused.
//!
//! This module refuses to carry messages: a kind says which door to take, the error that has it says what happened.
//!
//! ```
//! use uncopy_core::ErrorKind;
//!
//! assert_eq!(ErrorKind::TimedOut.name(), "timed_out");
//! assert_eq!(ErrorKind::from_code(ErrorKind::TimedOut.code()), Some(ErrorKind::TimedOut));
//! assert_eq!(ErrorKind::TimedOut.exit_code(), 124); // as timeout(1) has it
//! ```

use std::fmt;

/// Writes the enum and its tables from one list, so that they cannot disagree.
macro_rules! error_kinds {
    ($($code:literal $variant:ident $name:literal $exit:literal $meaning:literal;)+) => {
        /// What went wrong, without the values: see the [module](self).
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord)]
        #[non_exhaustive]
        #[repr(i32)]
        pub enum ErrorKind {
            $(#[doc = concat!($meaning, " Code ", stringify!($code), ", exit code ", stringify!($exit), ".")]
            $variant = $code,)+
        }

        impl ErrorKind {
            /// Every kind, in the order of the codes.
            pub const ALL: &[ErrorKind] = &[$(ErrorKind::$variant),+];

            /// The stable name: `snake_case`, the same in C (`UNCOPY_ERROR_` + upper case), Python and JSON.
            pub const fn name(self) -> &'static str {
                match self { $(ErrorKind::$variant => $name),+ }
            }

            /// One sentence for tables of errors in the documentation.
            pub const fn meaning(self) -> &'static str {
                match self { $(ErrorKind::$variant => $meaning),+ }
            }

            /// The exit code of the `uncopy` command; kinds that call for the same reaction share one.
            ///
            /// | code | kinds |
            /// |---|---|
            /// | 1 | everything else |
            /// | 2 | the request was wrong: argument, name, layout, dtype (also what the argument parser exits with) |
            /// | 3 | there is no such link |
            /// | 4 | the name is taken |
            /// | 5 | not permitted |
            /// | 6 | the two sides do not fit: form, version, unsupported, a copy would be needed |
            /// | 7 | the other side has gone, or has put us out |
            /// | 8 | something is full or used up |
            /// | 124 | time ran out |
            /// | 130 | interrupted |
            pub const fn exit_code(self) -> u8 {
                match self { $(ErrorKind::$variant => $exit),+ }
            }

            /// The kind with this C code; `None` for 0 (success) and for codes that this version does not know.
            pub const fn from_code(code: i32) -> Option<ErrorKind> {
                match code { $($code => Some(ErrorKind::$variant),)+ _ => None }
            }
        }
    };
}

error_kinds! {
    1 InvalidArgument "invalid_argument" 2 "An argument is outside what the call accepts.";
    2 InvalidName "invalid_name" 2 "A link name does not follow the rules for names.";
    3 InvalidLayout "invalid_layout" 2 "A shape or its strides are impossible, too large, or do not fit their memory.";
    4 InvalidDType "invalid_dtype" 2 "A dtype is unknown, malformed, or has no name in the form that was asked for.";
    5 FormMismatch "form_mismatch" 6 "A frame has another shape or dtype than the link was fixed to.";
    6 Unsupported "unsupported" 6 "This system, build or device cannot do it.";
    7 NotFound "not_found" 3 "There is no link, file or device of that name.";
    8 NameTaken "name_taken" 4 "Another live producer holds the name.";
    9 PermissionDenied "permission_denied" 5 "The system or the other side does not permit it.";
    10 TimedOut "timed_out" 124 "The time that the caller gave has passed.";
    11 Interrupted "interrupted" 130 "A signal or the caller ended the wait.";
    12 Closed "closed" 7 "This end of the link was closed before.";
    13 ProducerLost "producer_lost" 7 "The producer died or hung up without closing.";
    14 Superseded "superseded" 7 "A newer producer took the name over.";
    15 Evicted "evicted" 7 "The producer took this consumer's place away.";
    16 TooManyConsumers "too_many_consumers" 8 "Every place of the link is taken.";
    17 NoFreeSlot "no_free_slot" 8 "Consumers hold every slot, so there is nowhere to write.";
    18 VersionMismatch "version_mismatch" 6 "The two sides speak versions that do not understand each other.";
    19 CorruptLink "corrupt_link" 1 "Shared memory of a link holds something that no correct peer writes.";
    20 OutOfMemory "out_of_memory" 8 "There is not enough memory.";
    21 OutOfResources "out_of_resources" 8 "Descriptors, processes or another limited resource ran out.";
    22 ForkedProcess "forked_process" 1 "An object made before a fork was used in the child.";
    23 ReadOnly "read_only" 1 "Writing was asked for, and the memory may only be read.";
    24 CopyRequired "copy_required" 6 "It cannot be done without a copy, and the caller forbade copies.";
    25 System "system" 1 "A call of the operating system failed in a way that has no kind of its own.";
    26 ProducerClosed "producer_closed" 7 "The producer closed the link, and no other came in time.";
    27 DeviceLost "device_lost" 1 "The device failed in a way that ends its use in this process.";
}

impl ErrorKind {
    /// The stable number of the C interface; 0 is success and never a kind.
    pub const fn code(self) -> i32 {
        self as i32
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::ErrorKind;
    use std::collections::HashSet;

    #[test]
    fn codes_count_up_from_one_and_lead_back_to_their_kind() {
        for (kind, expected) in ErrorKind::ALL.iter().zip(1..) {
            assert_eq!(kind.code(), expected);
            assert_eq!(ErrorKind::from_code(expected), Some(*kind));
        }
        assert_eq!(ErrorKind::from_code(0), None);
        assert_eq!(ErrorKind::from_code(28), None);
        assert_eq!(ErrorKind::from_code(i32::MIN), None);
    }

    #[test]
    fn codes_that_were_published_never_move() {
        let golden = "invalid_argument invalid_name invalid_layout invalid_dtype form_mismatch unsupported not_found \
             name_taken permission_denied timed_out interrupted closed producer_lost superseded evicted \
             too_many_consumers no_free_slot version_mismatch corrupt_link out_of_memory out_of_resources \
             forked_process read_only copy_required system producer_closed device_lost";
        let names: Vec<_> = ErrorKind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.join(" "), golden);
    }

    #[test]
    fn names_are_unique_snake_case_and_meanings_are_sentences() {
        let names: HashSet<_> = ErrorKind::ALL.iter().map(|kind| kind.name()).collect();
        assert_eq!(names.len(), ErrorKind::ALL.len());
        for kind in ErrorKind::ALL {
            assert!(kind.name().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{kind}");
            assert!(kind.meaning().ends_with('.'), "{kind}");
        }
    }

    #[test]
    fn every_exit_code_says_failure_and_stays_clear_of_the_shells_own_codes() {
        for kind in ErrorKind::ALL {
            let taken_by_the_shell = [0, 125, 126, 127, 128];
            assert!(!taken_by_the_shell.contains(&kind.exit_code()), "{kind}");
        }
    }
}
