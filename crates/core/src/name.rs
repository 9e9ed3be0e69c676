// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names of links, and the known name that a mistyped one resembles.
//!
//! A name is 1 to 64 characters of `[A-Za-z0-9._-]` and does not begin with a dot: safe as a file name, in a shell and
//! in a URL. A scheme before a colon chooses another wire format:
//!
//! | text | scheme | what it reaches |
//! |---|---|---|
//! | `camera` | [`Scheme::Native`] | a link of uncopy |
//! | `cipd:camera` | [`Scheme::Cipd`] | a link in the cuda-link wire format |
//! | `tdshm:camera` | [`Scheme::TdShm`] | TouchDesigner's Shared Mem In and Out TOPs |
//! | `word:camera` | [`Scheme::Other`] | nothing in this version: what opens links refuses it |
//!
//! This module refuses anything else, and never repairs a name: two programs that repair differently would not meet.
//!
//! ```
//! use uncopy_core::{LinkName, Scheme, nearest};
//!
//! let name = LinkName::parse("cipd:camera-0")?;
//! assert_eq!((name.scheme(), name.local()), (Scheme::Cipd, "camera-0"));
//! assert!(LinkName::parse("../camera").is_err());
//! assert_eq!(nearest("camrea", ["depth", "camera"]), Some("camera"));
//! # Ok::<(), uncopy_core::NameError>(())
//! ```

mod nearest;

pub use nearest::nearest;

use crate::error::ErrorKind;
use crate::quote::quoted;
use std::fmt;
use std::str::FromStr;

/// The most characters in a name, its scheme not counted.
pub const MAX_NAME_LEN: usize = 64;
/// The most characters in a scheme.
pub const MAX_SCHEME_LEN: usize = 16;

/// Which wire format a link name asks for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Scheme {
    /// No scheme: uncopy's own links.
    Native,
    /// `cipd:`, the wire format of cuda-link.
    Cipd,
    /// `tdshm:`, TouchDesigner's shared memory format.
    TdShm,
    /// A well-formed scheme that this version does not know.
    Other,
}

/// A checked link name; see the [module](self) for the rules.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkName {
    text: String,
    /// Where the part after the scheme begins; 0 without a scheme.
    local_at: usize,
}

impl LinkName {
    /// Checks `text` and takes a copy of it.
    ///
    /// # Errors
    /// [`NameError`], with the offending character and its place.
    pub fn parse(text: &str) -> Result<LinkName, NameError> {
        let (scheme, local) = match text.split_once(':') {
            Some((scheme, local)) => (Some(scheme), local),
            None => (None, text),
        };
        if let Some(scheme) = scheme {
            check_scheme(text, scheme)?;
        }
        check_local(text, local)?;
        Ok(LinkName { local_at: text.len() - local.len(), text: text.to_owned() })
    }

    /// The whole text, as it was given: `"cipd:camera"`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name without its scheme: `"camera"`. Safe as a file name.
    pub fn local(&self) -> &str {
        self.text.get(self.local_at..).unwrap_or_default()
    }

    /// The scheme's own text, without the colon; `None` for a native link.
    pub fn scheme_text(&self) -> Option<&str> {
        self.text.split_once(':').map(|(scheme, _)| scheme)
    }

    /// Which wire format the name asks for.
    pub fn scheme(&self) -> Scheme {
        match self.scheme_text() {
            None => Scheme::Native,
            Some("cipd") => Scheme::Cipd,
            Some("tdshm") => Scheme::TdShm,
            Some(_) => Scheme::Other,
        }
    }
}

fn check_scheme(text: &str, scheme: &str) -> Result<(), NameError> {
    let letters = scheme.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let begins_with_letter = scheme.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
    if letters && begins_with_letter && scheme.len() <= MAX_SCHEME_LEN {
        Ok(())
    } else {
        Err(NameError::BadScheme { text: text.to_owned() })
    }
}

fn check_local(text: &str, local: &str) -> Result<(), NameError> {
    if local.is_empty() {
        return Err(NameError::Empty { text: text.to_owned() });
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    // a checked scheme is ASCII, so bytes before the local name are characters
    let local_at = text.len() - local.len();
    if let Some((at, found)) = local.chars().enumerate().find(|(_, c)| !allowed(*c)) {
        return Err(NameError::BadCharacter { text: text.to_owned(), found, at: local_at + at });
    }
    if local.starts_with('.') {
        return Err(NameError::LeadingDot { text: text.to_owned() });
    }
    if local.len() > MAX_NAME_LEN {
        return Err(NameError::TooLong { text: text.to_owned(), len: local.len() });
    }
    Ok(())
}

impl fmt::Display for LinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl fmt::Debug for LinkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl AsRef<str> for LinkName {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl FromStr for LinkName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<LinkName, NameError> {
        LinkName::parse(text)
    }
}

/// Why a text is not a link name.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum NameError {
    /// There is no name, or none after the scheme.
    Empty {
        /// What was given.
        text: String,
    },
    /// More than [`MAX_NAME_LEN`] characters.
    TooLong {
        /// What was given.
        text: String,
        /// Its characters, the scheme not counted.
        len: usize,
    },
    /// The name begins with a dot.
    LeadingDot {
        /// What was given.
        text: String,
    },
    /// A character outside `[A-Za-z0-9._-]`.
    BadCharacter {
        /// What was given.
        text: String,
        /// The first character that is not allowed.
        found: char,
        /// Its place, counted in characters from 0.
        at: usize,
    },
    /// What stands before the colon is no scheme.
    BadScheme {
        /// What was given.
        text: String,
    },
}

impl NameError {
    /// The kind of this error: always [`ErrorKind::InvalidName`].
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidName
    }
}

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NameError::Empty { text } if text.is_empty() => {
                f.write_str("a link name is empty: give it 1 to 64 characters of A-Z a-z 0-9 . _ -")
            }
            NameError::Empty { text } => {
                write!(f, "link name {} ends at its colon: put a name after the scheme", quoted(text))
            }
            NameError::TooLong { text, len } => {
                write!(f, "link name {} has {len} characters: use at most {MAX_NAME_LEN}", quoted(text))
            }
            NameError::LeadingDot { text } => {
                write!(f, "link name {} begins with a dot: begin it with a letter or a digit", quoted(text))
            }
            NameError::BadCharacter { text, found, at } => write!(
                f,
                "link name {} has {found:?} at position {at}: use only A-Z a-z 0-9 . _ -",
                quoted(text)
            ),
            NameError::BadScheme { text } => write!(
                f,
                "link name {} has no valid scheme before its colon: use \"cipd:\" or \"tdshm:\", or no colon",
                quoted(text)
            ),
        }
    }
}

impl std::error::Error for NameError {}

#[cfg(test)]
mod tests {
    use super::{LinkName, MAX_NAME_LEN, NameError, Scheme};
    use crate::ErrorKind;

    #[test]
    fn names_within_the_rules_are_kept_as_they_are() {
        for text in ["a", "camera-0", "A.b_c-D", "-", "_", "0", &"n".repeat(MAX_NAME_LEN)] {
            let name = LinkName::parse(text).unwrap();
            assert_eq!(name.as_str(), text);
            assert_eq!(name.local(), text);
            assert_eq!(name.scheme(), Scheme::Native);
            assert_eq!(name.scheme_text(), None);
        }
    }

    #[test]
    fn a_scheme_chooses_the_wire_format_and_is_not_part_of_the_local_name() {
        for (text, scheme) in
            [("cipd:a", Scheme::Cipd), ("tdshm:a", Scheme::TdShm), ("xyz9:a", Scheme::Other)]
        {
            let name: LinkName = text.parse().unwrap();
            assert_eq!((name.scheme(), name.local(), name.to_string().as_str()), (scheme, "a", text));
        }
    }

    #[test]
    fn wrong_names_are_refused_with_the_reason() {
        let reason = |text: &str| LinkName::parse(text).unwrap_err();
        assert!(matches!(reason(""), NameError::Empty { .. }));
        assert!(matches!(reason("cipd:"), NameError::Empty { .. }));
        assert!(matches!(reason("."), NameError::LeadingDot { .. }));
        assert!(matches!(reason("cipd:.a"), NameError::LeadingDot { .. }));
        assert!(matches!(reason(&"n".repeat(65)), NameError::TooLong { len: 65, .. }));
        assert!(matches!(reason("a/b"), NameError::BadCharacter { found: '/', at: 1, .. }));
        assert!(matches!(reason("cipd:a:b"), NameError::BadCharacter { found: ':', at: 6, .. }));
        assert!(matches!(reason("é"), NameError::BadCharacter { found: 'é', at: 0, .. }));
        assert!(matches!(reason("a\0"), NameError::BadCharacter { found: '\0', at: 1, .. }));
        for text in [":a", "C:a", "9p:a", "a-b:c", "abcdefghijklmnopq:a", "é:a"] {
            assert!(matches!(reason(text), NameError::BadScheme { .. }), "{text}");
        }
        assert_eq!(reason("a b").kind(), ErrorKind::InvalidName);
        assert_eq!(
            reason("a b").to_string(),
            "link name \"a b\" has ' ' at position 1: use only A-Z a-z 0-9 . _ -"
        );
    }
}
