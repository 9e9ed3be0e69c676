// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why a line is not a wanted form, with where and what to write.

use crate::dtype::DTypeError;
use crate::error::ErrorKind;
use crate::quote::quoted;
use std::fmt;

/// Why the wanted form of an argument can't be read.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum WantError {
    /// A dtype that there is not.
    DType {
        /// The argument.
        argument: String,
        /// What is wrong with it.
        source: DTypeError,
    },
    /// A word that means nothing here.
    Word {
        /// The argument.
        argument: String,
        /// The word.
        word: String,
    },
    /// Brackets without an end.
    Unclosed {
        /// The argument.
        argument: String,
    },
    /// What stands in the brackets is no axis.
    Axes {
        /// The argument.
        argument: String,
        /// What was found.
        found: String,
    },
    /// `same(...)` names no argument before this one.
    NoSuchArgument {
        /// The argument.
        argument: String,
        /// The name in the brackets.
        named: String,
    },
    /// `aligned(...)` of what is no power of two.
    Alignment {
        /// The argument.
        argument: String,
        /// What stands in the brackets.
        found: String,
    },
    /// More than 16 names of axes in one function.
    TooManyNames {
        /// The argument.
        argument: String,
    },
}

impl WantError {
    /// The kind of this error: always [`ErrorKind::InvalidArgument`].
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidArgument
    }
}

impl fmt::Display for WantError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            WantError::DType { argument, source } => write!(f, "argument {argument}: {source}"),
            WantError::Word { argument, word } => write!(
                f,
                "argument {argument}: {} means nothing here: use a dtype, mut, C, F, packed, aligned(64), same(other), or a \
                 device such as cpu, host, cuda or cuda:1",
                quoted(word)
            ),
            WantError::Unclosed { argument } => {
                write!(f, "argument {argument}: the [ of its axes has no ]: write [h, w, 3]")
            }
            WantError::Axes { argument, found } => write!(
                f,
                "argument {argument}: {} is no axis: use a length, a name, _ for any, or ... once, as in [..., h, w, 3]",
                quoted(found)
            ),
            WantError::NoSuchArgument { argument, named } => write!(
                f,
                "argument {argument}: same({named}) names no argument that stands before it: put that one first"
            ),
            WantError::Alignment { argument, found } => {
                write!(f, "argument {argument}: aligned({found}) is no power of two, such as aligned(64)")
            }
            WantError::TooManyNames { argument } => {
                write!(f, "argument {argument}: more than 16 names of axes: use _ for those that stand once")
            }
        }
    }
}

impl std::error::Error for WantError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            WantError::DType { source, .. } => Some(source),
            _ => None,
        }
    }
}
