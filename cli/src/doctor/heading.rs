// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where `docs/troubleshooting.md` explains what doctor says. A finding can't be made without one of these, and the
//! page is compiled in, so that it is there for those who have the command alone (`doctor --explain`).

use serde::{Serialize, Serializer};
use uncopy::ErrorKind;

use crate::error::CliError;

/// The page, and its path in the repository.
pub(super) const PAGE: &str = include_str!("../../../docs/troubleshooting.md");
pub(super) const PATH: &str = "docs/troubleshooting.md";

/// Writes the enum and its texts from one list.
macro_rules! headings {
    ($($heading:ident $text:literal;)+) => {
        /// A heading of the page. One that no finding uses is an error of the compiler's (dead code).
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[cfg_attr(not(feature = "cuda"), allow(dead_code, reason = "some are said of GPUs alone"))]
        pub(super) enum Heading {
            $($heading),+
        }

        impl Heading {
            #[cfg(test)]
            const TEXTS: &[&str] = &[$($text),+];

            const fn text(self) -> &'static str {
                match self { $(Self::$heading => $text),+ }
            }
        }
    };
}

headings! {
    Kernel "Kernel and sandbox";
    Death "How a death is noticed";
    Directory "The runtime directory";
    Appearing "Waiting for a link to appear";
    Leftovers "Leftovers of dead producers";
    Silent "A producer does not answer";
    Unreadable "A link that can't be read";
    Kept "Slots that nobody gives back";
    Memory "Memory for frames";
    Files "Open files";
    Locked "Locked memory";
    Shm "/dev/shm is not used";
    Proc "What /proc tells";
    Containers "Containers and pid namespaces";
    Video "Decoding video";
    Python "Python and its packages";
    Driver "GPUs and their driver";
    Sharing "Frames on a GPU";
    Mps "Several processes on one GPU";
    Divided "Divided cards";
    Wsl2 "WSL2";
}

impl std::fmt::Display for Heading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{PATH}#{}", anchor(self.text()))
    }
}

impl Serialize for Heading {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// The section of the page under the heading that was asked for: by its words, its anchor, or the name of an error.
pub(super) fn explain(asked: &str) -> Result<&'static str, CliError> {
    let sections = || sections(PAGE);
    let found = sections().find(|(heading, _)| letters(heading) == letters(asked));
    found.map(|(_, text)| text).ok_or_else(|| {
        let known: Vec<String> = sections().map(|(heading, _)| anchor(heading)).collect();
        let sentence = format!("nothing is explained under '{asked}'; there is: {}", known.join(", "));
        CliError::said(ErrorKind::NotFound, sentence)
    })
}

/// The sections that have no sections of their own, with their headings: what a reader looks for.
fn sections(page: &str) -> impl Iterator<Item = (&str, &str)> {
    page.split("\n### ").skip(1).filter_map(|rest| {
        let (heading, _) = rest.split_once('\n')?;
        let end = rest.find("\n## ").unwrap_or(rest.len());
        Some((heading, rest.get(..end)?.trim_end()))
    })
}

fn letters(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// What a heading is linked by, as Markdown viewers make it: lower case, hyphens for spaces, no punctuation.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sections that are linked by nothing that the command says: what a user comes with instead.
    const GENERAL: &[&str] = &[
        "Nothing arrives",
        "What went wrong before",
        "Frames are missed",
        "A process ends at a write into a frame",
    ];

    fn page() -> Vec<&'static str> {
        sections(PAGE).map(|(heading, _)| heading).collect()
    }

    #[test]
    fn everything_that_doctor_can_say_is_explained_under_a_heading_of_the_page() {
        for text in Heading::TEXTS {
            assert!(page().contains(text), "{PATH} has no heading {text:?}");
        }
    }

    #[test]
    fn every_kind_of_error_is_explained_under_its_name() {
        for kind in ErrorKind::ALL {
            assert!(page().contains(&format!("{kind:?}").as_str()), "{PATH} has no heading {kind:?}");
        }
    }

    #[test]
    fn every_heading_is_one_of_doctors_one_of_the_errors_or_a_general_one() {
        let errors: Vec<String> = ErrorKind::ALL.iter().map(|kind| format!("{kind:?}")).collect();
        for heading in page() {
            let is_known = Heading::TEXTS.contains(&heading)
                || errors.iter().any(|error| error == heading)
                || GENERAL.contains(&heading);
            assert!(is_known, "nothing leads to {heading:?}");
        }
        assert_eq!(page().len(), Heading::TEXTS.len() + errors.len() + GENERAL.len());
    }

    #[test]
    fn a_section_is_found_by_its_words_its_anchor_and_the_name_of_an_error() {
        for asked in ["What /proc tells", "what-proc-tells"] {
            assert!(explain(asked).unwrap().starts_with("What /proc tells\n"));
        }
        for asked in ["NameTaken", "name_taken"] {
            assert!(explain(asked).unwrap().starts_with("NameTaken\n"));
        }
        let unknown = explain("nonsense").unwrap_err();
        assert_eq!(unknown.exit_code(), 3);
        assert!(unknown.to_string().contains("name") && unknown.to_string().contains("what-proc-tells"));
    }

    #[test]
    fn a_section_ends_where_the_next_begins() {
        let found: Vec<_> = sections("# P\n\n## A\n\n### a b\nx\n\n### c's\ny\n\n## B\nz\n").collect();
        assert_eq!(found, [("a b", "a b\nx"), ("c's", "c's\ny")]);
        assert_eq!(anchor("A link that can't /be/ read"), "a-link-that-cant-be-read");
    }
}
