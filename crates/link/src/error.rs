// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can go wrong with a link: one enum, each variant with what was expected and what was found.

use std::time::Duration;

use uncopy_core::{Device, DeviceUuid, ErrorKind, LayoutError, NameError, Stream};
use uncopy_os::OsError;
use uncopy_tensor::TensorError;

use crate::form::Form;

/// Any failure of publishing, subscribing or looking at links.
///
/// [`LinkError::kind`] maps each variant to the one list of kinds from which Python exceptions, C codes and exit
/// codes come.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LinkError {
    /// The name breaks the rule for link names.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The operating system refused something.
    #[error(transparent)]
    Os(#[from] OsError),
    /// A shape or stride can't describe memory.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// A tensor could not be read or copied.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// The number of slots is outside what the protocol allows.
    #[error("a link has 2 to 64 slots, not {asked}; slots >= 2 + frames held at once is a good choice")]
    SlotCount {
        /// What was asked for.
        asked: usize,
    },
    /// A frame is larger than a link carries.
    #[error("a frame of {form} has {len_bytes} bytes; a link carries at most {limit_bytes} per frame")]
    FrameTooLarge {
        /// The form of the frame.
        form: Box<Form>,
        /// Its size.
        len_bytes: usize,
        /// The most that a link carries.
        limit_bytes: usize,
    },
    /// A form that can't be written to: two indices reach one element, or a stride is negative.
    #[error("a slot can't have the form {form}: its strides overlap or go backwards; use a C-ordered form")]
    FormNotWritable {
        /// The form that was asked for.
        form: Box<Form>,
    },
    /// The link was opened with a fixed form and another one came.
    #[error(
        "link '{name}' was opened for {wanted} and got {got}; open it without a shape to let frames change"
    )]
    FormMismatch {
        /// Name of the link.
        name: String,
        /// The fixed form.
        wanted: Box<Form>,
        /// The form that came.
        got: Box<Form>,
    },
    /// User metadata beyond the limit of the protocol.
    #[error(
        "metadata has {len_bytes} bytes; a frame carries at most {limit_bytes}; put more into the frame or a link of its own"
    )]
    MetaTooLarge {
        /// Its size.
        len_bytes: usize,
        /// The most that a frame carries.
        limit_bytes: usize,
    },
    /// More records of copies than a frame carries.
    #[error("a frame carries at most {limit} records of copies")]
    TooManyCopyRecords {
        /// The most that a frame carries.
        limit: usize,
    },
    /// Another process publishes under this name.
    #[error(
        "the name '{name}' is taken by process {pid} ({command}), which opened it {uptime:.1?} ago; \
         close it, choose another name, or open with takeover"
    )]
    NameTaken {
        /// The name.
        name: String,
        /// Process id of the holder, 0 where it can't be told.
        pid: i32,
        /// Its command line.
        command: String,
        /// How long ago it took the name.
        uptime: Duration,
    },
    /// The holder of a name did not give it up.
    #[error(
        "process {pid} holds the name '{name}' and did not answer a takeover within {waited:.1?}; is it stopped?"
    )]
    TakeoverUnanswered {
        /// The name.
        name: String,
        /// Process id of the holder.
        pid: i32,
        /// How long was waited.
        waited: Duration,
    },
    /// Each slot is held by a reader (or by a view kept from an earlier loan).
    #[error("no free slot in link '{name}': {holders}; release frames sooner or open with more slots")]
    NoFreeSlot {
        /// The link.
        name: String,
        /// Who holds which slots, in words.
        holders: String,
    },
    /// The device that frames are wanted on is not there, or can't be used by this process.
    #[error("frames of link '{name}' can't be received on {device}: {source}")]
    NoSuchDevice {
        /// The link.
        name: String,
        /// The device that was asked for.
        device: Device,
        /// What the driver has instead, or why there is none.
        source: std::io::Error,
    },
    /// Every buffer for copies of frames on another device is held by a frame, a view or a tensor.
    #[error(
        "each of the {held} copies that this process can have of frames of link '{name}' is held; drop frames before \
         receiving more, or have its producer open it with more slots"
    )]
    CopiesHeld {
        /// The link.
        name: String,
        /// How many there are.
        held: usize,
    },
    /// A loan belongs to another publisher or to an epoch that ended.
    #[error(
        "this loan is not of this publisher, or frames have outgrown its memory since; ask for a new one"
    )]
    ForeignClaim,
    /// Nobody publishes under this name.
    #[error("{0}")]
    NotFound(Box<Missing>),
    /// No frame came in time although the producer lives.
    #[error("no new frame of '{name}' within {waited:.3?}; the last one had number {last_seq}")]
    TimedOut {
        /// The link.
        name: String,
        /// How long was waited.
        waited: Duration,
        /// Sequence number of the last frame that was received, 0 for none.
        last_seq: u64,
    },
    /// The producer died or vanished and no other took the name.
    #[error(
        "the producer of '{name}' (process {pid}) is gone for {since:.1?} and no other has taken the name; start one, or wait longer"
    )]
    ProducerLost {
        /// The link.
        name: String,
        /// Process id of the lost producer.
        pid: i32,
        /// How long it has been gone.
        since: Duration,
    },
    /// The producer closed the link and no other took the name.
    #[error(
        "the producer of '{name}' closed the link {since:.1?} ago and no other has taken the name; start one, or wait longer"
    )]
    ProducerClosed {
        /// The link.
        name: String,
        /// How long ago.
        since: Duration,
    },
    /// This end of the link was closed before.
    #[error("this end of link '{name}' is closed")]
    Closed {
        /// The link.
        name: String,
    },
    /// Another producer took the name over.
    #[error("another producer took the name '{name}' over")]
    Superseded {
        /// The link.
        name: String,
    },
    /// Each place for consumers is taken.
    #[error("link '{name}' has {limit} consumers, which is the most; close one of them")]
    TooManyConsumers {
        /// The link.
        name: String,
        /// The most that a link takes.
        limit: usize,
    },
    /// The producer refused to let this process in.
    #[error("the producer of '{name}' refused: {detail}")]
    Refused {
        /// The link.
        name: String,
        /// Kind of the refusal.
        kind: ErrorKind,
        /// Its words.
        detail: String,
    },
    /// Another user's process serves the name.
    #[error(
        "the producer of '{name}' belongs to user {theirs}, you are user {ours}; a link has one user on both sides"
    )]
    ForeignProducer {
        /// The link.
        name: String,
        /// Its user id.
        theirs: u32,
        /// Ours.
        ours: u32,
    },
    /// The other side speaks another major version, or needs a feature that this build lacks.
    #[error("link '{name}' speaks protocol {theirs}, this build {ours}; update the older side")]
    VersionMismatch {
        /// The link.
        name: String,
        /// Version and features of the other side, in words.
        theirs: String,
        /// Ours.
        ours: String,
    },
    /// What the other side wrote is not what the protocol allows.
    #[error("link '{name}' is corrupt: {detail}; restart its producer")]
    Corrupt {
        /// The link.
        name: String,
        /// What was expected and found.
        detail: String,
    },
    /// A process asked to join and ended before it could be let in.
    #[error("process {pid} is not the one that connected to link '{name}'; has it ended meanwhile?")]
    PeerGone {
        /// The link.
        name: String,
        /// The number.
        pid: i32,
    },
    /// New frame memory was sent and could not be received.
    #[error(
        "frame memory of epoch {epoch} of link '{name}' did not arrive; this process has no file descriptor left"
    )]
    EpochWithoutMemory {
        /// The link.
        name: String,
        /// The epoch.
        epoch: u32,
    },
    /// The scheme of the name is not supported by this build.
    #[error("links of scheme '{scheme}' are not supported by this build; use a plain name")]
    UnsupportedScheme {
        /// The scheme before the colon.
        scheme: String,
    },
    /// The producer took this consumer's place away, because it kept slots from it for too long.
    #[error(
        "the producer of '{name}' took our place away: slots were held, or frames not received, for longer than it \
         allows; release frames sooner; the next call joins anew"
    )]
    Evicted {
        /// The link.
        name: String,
    },
    /// The caller's [`Waiting`](crate::Waiting) asked to stop.
    #[error("the wait was interrupted")]
    Interrupted,
    /// A process made by `fork` used a link of its parent.
    #[error("link '{name}' was opened before fork and can't be used in the child; open it again there")]
    Forked {
        /// The link.
        name: String,
    },
    /// A device's driver refused something.
    #[error("link '{name}', {what}: {source}")]
    Device {
        /// The link.
        name: String,
        /// What was being done.
        what: &'static str,
        /// The driver's answer.
        source: std::io::Error,
    },
    /// A call that puts work into a stream met one that is being recorded into a graph.
    #[error(
        "link '{name}' can't work on {stream} while it is being captured: the graph would repeat one frame for ever; \
         copy the frame into an input of the graph before each launch"
    )]
    Capturing {
        /// The link.
        name: String,
        /// The stream.
        stream: Stream,
    },
    /// Frames lie on a device that this process can't use.
    #[error(
        "frames of link '{name}' are on {device}, which this process can't use ({source}); have its producer open it \
         with a mirror in host memory"
    )]
    DeviceUnreachable {
        /// The link.
        name: String,
        /// The device.
        device: DeviceUuid,
        /// Why.
        source: std::io::Error,
    },
    /// Host code asked for bytes that are on a device, or the other way round.
    #[error("{what} of link '{name}' is on {found}, not on {wanted}")]
    WrongPlace {
        /// The link.
        name: String,
        /// A frame, a loan, or a tensor to be sent.
        what: &'static str,
        /// Where it is.
        found: Device,
        /// Where it would have to be.
        wanted: Device,
    },
    /// Not enough consumers came in time.
    #[error("{found} of {wanted} consumers of '{name}' came within {waited:.1?}")]
    FewConsumers {
        /// The link.
        name: String,
        /// How many were waited for.
        wanted: usize,
        /// How many there were.
        found: usize,
        /// How long was waited.
        waited: Duration,
    },
}

/// A name that nobody publishes under, with what could help.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// The name that was looked for.
    pub name: String,
    /// How long was waited.
    pub waited: Duration,
    /// Names of the links that are live now.
    pub live: Vec<String>,
    /// The live name nearest to the one looked for.
    pub nearest: Option<String>,
    /// Why a name that exists did not answer, where that is so.
    pub obstacle: Option<String>,
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let waited = match self.waited {
            Duration::ZERO => String::new(),
            waited => format!(" (waited {waited:.1?})"),
        };
        if let Some(obstacle) = &self.obstacle {
            return write!(f, "link '{}' did not answer{waited}: {obstacle}", self.name);
        }
        write!(f, "nobody publishes '{}'{waited}", self.name)?;
        match self.live.as_slice() {
            [] => write!(f, "; no link is live")?,
            live => write!(f, "; live links: {}", live.join(", "))?,
        }
        match &self.nearest {
            Some(nearest) => write!(f, "; did you mean '{nearest}'?"),
            None => write!(f, "; start the producer first or wait longer"),
        }
    }
}

impl LinkError {
    /// The kind of this error, from the one list that every language shares.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Name(e) => e.kind(),
            Self::Os(e) => e.kind(),
            Self::Layout(e) => e.kind(),
            Self::Tensor(e) => e.kind(),
            Self::SlotCount { .. }
            | Self::MetaTooLarge { .. }
            | Self::TooManyCopyRecords { .. }
            | Self::ForeignClaim => ErrorKind::InvalidArgument,
            Self::FrameTooLarge { .. } | Self::FormNotWritable { .. } => ErrorKind::InvalidLayout,
            Self::FormMismatch { .. } => ErrorKind::FormMismatch,
            Self::NameTaken { .. } | Self::TakeoverUnanswered { .. } => ErrorKind::NameTaken,
            Self::NoFreeSlot { .. } | Self::CopiesHeld { .. } => ErrorKind::NoFreeSlot,
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::TimedOut { .. } | Self::FewConsumers { .. } => ErrorKind::TimedOut,
            Self::ProducerLost { .. } => ErrorKind::ProducerLost,
            Self::ProducerClosed { .. } => ErrorKind::ProducerClosed,
            Self::Closed { .. } => ErrorKind::Closed,
            Self::Superseded { .. } => ErrorKind::Superseded,
            Self::TooManyConsumers { .. } => ErrorKind::TooManyConsumers,
            Self::PeerGone { .. } => ErrorKind::PermissionDenied,
            Self::Refused { kind, .. } => *kind,
            Self::ForeignProducer { .. } => ErrorKind::PermissionDenied,
            Self::VersionMismatch { .. } => ErrorKind::VersionMismatch,
            Self::Corrupt { .. } => ErrorKind::CorruptLink,
            Self::EpochWithoutMemory { .. } => ErrorKind::OutOfResources,
            Self::UnsupportedScheme { .. } => ErrorKind::Unsupported,
            Self::Evicted { .. } => ErrorKind::Evicted,
            Self::Device { source, .. } => device_error_kind(source),
            Self::Capturing { .. } | Self::WrongPlace { .. } => ErrorKind::InvalidArgument,
            // That the device is lost is said as of any other device.
            Self::NoSuchDevice { source, .. } if source.kind() != std::io::ErrorKind::NotFound => {
                device_error_kind(source)
            }
            Self::NoSuchDevice { .. } | Self::DeviceUnreachable { .. } => ErrorKind::Unsupported,
            Self::Interrupted => ErrorKind::Interrupted,
            Self::Forked { .. } => ErrorKind::ForkedProcess,
        }
    }
}

/// The kind of a driver's error, as the tensor crate's `accelerator` has it.
#[must_use]
pub fn device_error_kind(error: &std::io::Error) -> ErrorKind {
    match error.kind() {
        std::io::ErrorKind::OutOfMemory => ErrorKind::OutOfMemory,
        std::io::ErrorKind::Unsupported => ErrorKind::Unsupported,
        std::io::ErrorKind::NotFound => ErrorKind::NotFound,
        std::io::ErrorKind::PermissionDenied => ErrorKind::PermissionDenied,
        std::io::ErrorKind::InvalidInput | std::io::ErrorKind::ResourceBusy => ErrorKind::InvalidArgument,
        std::io::ErrorKind::BrokenPipe => ErrorKind::DeviceLost,
        _ => ErrorKind::System,
    }
}
