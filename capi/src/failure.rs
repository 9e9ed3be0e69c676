// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a call of the C interface can fail with: an error of the parts below, or words of this crate.

use uncopy::{DTypeError, DlpackError, ErrorKind, LayoutError, LinkError, TensorError};

/// Why a call failed. Its kind becomes the status, its text the message of the calling thread.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A link's.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// A DLPack struct was refused.
    #[error(transparent)]
    Dlpack(#[from] DlpackError),
    /// A tensor could not be made or copied.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// A shape or strides are impossible.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A dtype is none.
    #[error(transparent)]
    DType(#[from] DTypeError),
    /// A driver's.
    #[error("{what}: {source}")]
    Device {
        /// What was being done.
        what: &'static str,
        /// The driver's answer.
        source: std::io::Error,
    },
    /// A pointer that has to lead somewhere is null.
    #[error("{argument} is NULL; pass the address of {wanted}")]
    Null {
        /// The argument's name in the header.
        argument: &'static str,
        /// What it has to point to.
        wanted: &'static str,
    },
    /// A handle is not, or not any more, one of its kind.
    #[error("this is no live {wanted}: {found}")]
    Handle {
        /// The type of the handle in the header.
        wanted: &'static str,
        /// What is known of it.
        found: Stale,
    },
    /// A handle of the parent in a forked child.
    #[error("this {what} was made before fork and can't be used in the child; make it again there")]
    Forked {
        /// The type of the handle in the header.
        what: &'static str,
    },
    /// Two threads in one end of a link.
    #[error(
        "this {what} of '{name}' is in use by another thread; give each thread its own, or guard it with a lock"
    )]
    InUse {
        /// The type of the handle in the header.
        what: &'static str,
        /// The link.
        name: String,
    },
    /// A struct of another size than any version of it had.
    #[error(
        "{name} says that it has {size_bytes} bytes, and the smallest has {least_bytes}; begin with {init}"
    )]
    StructSize {
        /// The struct's name.
        name: &'static str,
        /// What its first field says.
        size_bytes: u32,
        /// The size of its first version.
        least_bytes: u32,
        /// The macro that fills it.
        init: &'static str,
    },
    /// A struct whose fields mean something else than this library knows.
    #[error("{name} has version {found}, and this library knows {known}; build with its own uncopy.h")]
    StructVersion {
        /// The struct's name.
        name: &'static str,
        /// What its second field says.
        found: u32,
        /// What this library knows.
        known: u32,
    },
    /// A struct of a newer header asks for something that this library does not know.
    #[error(
        "{name} has fields beyond the {known_bytes} bytes that this library knows, and they are not 0; \
         load a newer libuncopy or leave them"
    )]
    StructNewer {
        /// The struct's name.
        name: &'static str,
        /// The size that this library knows.
        known_bytes: u32,
    },
    /// A number or a text outside what the call accepts.
    #[error("{0}")]
    Argument(String),
    /// This system or build can't.
    #[error("{0}")]
    Unsupported(String),
    /// A panic of ours, stopped at the edge.
    #[error("{function} failed inside, which is a bug of uncopy: {message}")]
    Panicked {
        /// The function that was called.
        function: &'static str,
        /// What the panic said.
        message: String,
    },
}

/// What is known of a handle that leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Stale {
    /// NULL.
    #[error("it is NULL")]
    Null,
    /// It was one.
    #[error("it was destroyed")]
    Destroyed,
    /// It is a handle of another type.
    #[error("it is a handle of another type")]
    OtherType,
    /// No handle looks like this.
    #[error("it was never one")]
    Never,
}

impl Failure {
    /// The one list from which C codes come.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Failure::Link(error) => error.kind(),
            Failure::Dlpack(error) => error.kind(),
            Failure::Tensor(error) => error.kind(),
            Failure::Layout(error) => error.kind(),
            Failure::DType(error) => error.kind(),
            Failure::Device { source, .. } => uncopy::device_error_kind(source),
            Failure::Null { .. }
            | Failure::Handle { .. }
            | Failure::StructSize { .. }
            | Failure::Argument(_) => ErrorKind::InvalidArgument,
            Failure::StructVersion { .. } | Failure::StructNewer { .. } => ErrorKind::VersionMismatch,
            Failure::Forked { .. } => ErrorKind::ForkedProcess,
            Failure::InUse { .. } | Failure::Unsupported(_) => ErrorKind::Unsupported,
            Failure::Panicked { .. } => ErrorKind::System,
        }
    }
}
