// SPDX-License-Identifier: MIT OR Apache-2.0
//! What ends a command early, and the exit code for it.
//!
//! Every failure has a [`ErrorKind`], from which the exit code comes. Two endings are no failures: a reader of our
//! output that has seen enough, and checks that were made and did not hold.

use std::io;

#[cfg(feature = "cuda")]
use uncopy::cuda::CudaError;
use uncopy::os::OsError;
use uncopy::{ErrorKind, LayoutError, LinkError};

/// Why a command ends before its work is done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// A link said no.
    #[error(transparent)]
    Link(LinkError),
    /// The operating system said no.
    #[error(transparent)]
    Os(#[from] OsError),
    /// A GPU or its driver said no.
    #[cfg(feature = "cuda")]
    #[error(transparent)]
    Cuda(#[from] CudaError),
    /// A size that no picture has.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Reading or writing failed; `doing` is a verb phrase.
    #[error("cannot {doing}: {source}")]
    Io {
        /// What was tried: "read pixels from standard input".
        doing: String,
        /// The system's answer.
        source: io::Error,
    },
    /// Anything else, in a sentence.
    #[error("{sentence}")]
    Said {
        /// The kind of it.
        kind: ErrorKind,
        /// What failed, with values, and what to try.
        sentence: String,
    },
    /// The work was done and its result is bad.
    #[error("{0}")]
    ChecksFailed(String),
    /// The user asked the command to end.
    #[error("interrupted")]
    Interrupted,
    /// Whoever read our standard output has gone: nothing is wrong, and nothing is left to do.
    #[error("nobody reads the output any more")]
    OutputClosed,
}

impl From<LinkError> for CliError {
    fn from(error: LinkError) -> Self {
        match error {
            LinkError::Interrupted => Self::Interrupted,
            error => Self::Link(error),
        }
    }
}

impl CliError {
    pub fn usage(sentence: impl Into<String>) -> Self {
        Self::said(ErrorKind::InvalidArgument, sentence)
    }

    pub fn said(kind: ErrorKind, sentence: impl Into<String>) -> Self {
        Self::Said { kind, sentence: sentence.into() }
    }

    /// `doing` is a verb phrase: "write frame.png".
    pub fn io(doing: impl Into<String>, source: io::Error) -> Self {
        Self::Io { doing: doing.into(), source }
    }

    /// For writes to standard output.
    pub fn output(source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::io("write to standard output", source),
        }
    }

    /// The exit code that this ending is told by.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Link(error) => error.kind().exit_code(),
            Self::Os(error) => error.kind().exit_code(),
            #[cfg(feature = "cuda")]
            Self::Cuda(error) => error.kind().exit_code(),
            Self::Layout(error) => error.kind().exit_code(),
            Self::Io { source, .. } => kind_of_io(source).exit_code(),
            Self::Said { kind, .. } => kind.exit_code(),
            Self::ChecksFailed(_) => 1,
            Self::Interrupted => ErrorKind::Interrupted.exit_code(),
            Self::OutputClosed => 0,
        }
    }

    /// Whether the user is told more than the exit code does.
    pub fn needs_words(&self) -> bool {
        !matches!(self, Self::Interrupted | Self::OutputClosed)
    }
}

fn kind_of_io(error: &io::Error) -> ErrorKind {
    match error.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => ErrorKind::PermissionDenied,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::OutOfMemory => {
            ErrorKind::OutOfMemory
        }
        io::ErrorKind::Unsupported => ErrorKind::Unsupported,
        _ => ErrorKind::System,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_has_seen_enough_is_no_failure() {
        let gone = CliError::output(io::ErrorKind::BrokenPipe.into());
        assert_eq!(gone.exit_code(), 0);
        assert!(!gone.needs_words());
        assert_eq!(CliError::output(io::ErrorKind::StorageFull.into()).exit_code(), 8);
    }

    #[test]
    fn an_interrupted_link_is_an_interrupted_command() {
        assert_eq!(CliError::from(LinkError::Interrupted).exit_code(), 130);
    }

    #[test]
    fn checks_that_did_not_hold_have_a_code_of_their_own_and_words() {
        let failed = CliError::ChecksFailed("frame 3 is torn".to_owned());
        assert_eq!((failed.exit_code(), failed.needs_words()), (1, true));
    }
}
