// SPDX-License-Identifier: MIT OR Apache-2.0
//! What can go wrong with a device, with the values that were asked for and found.
//!
//! | error | `io::ErrorKind` of the seam's traits |
//! |---|---|
//! | no driver, a symbol that is missing, something that the device cannot do | `Unsupported` |
//! | no such device | `NotFound` |
//! | memory used up | `OutOfMemory` |
//! | a stream that is being captured | `ResourceBusy` |
//! | a context that is lost, a process that was forked | `BrokenPipe` |
//! | arguments, peers' handles | `InvalidInput`, `PermissionDenied` |

use std::io;

use uncopy_core::{Device, DeviceUuid, ErrorKind, Layout, LayoutError, Stream};

use crate::code::io_kind_of;
use crate::{DriverCode, NoCuda};

/// Why the driver or a device did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CudaError {
    /// There is no driver to ask.
    #[error(transparent)]
    NoCuda(#[from] NoCuda),
    /// A call of the driver failed.
    #[error("{call} failed: {code}")]
    Driver {
        /// The call, as `cuda.h` names it.
        call: &'static str,
        /// What it answered.
        code: DriverCode,
    },
    /// There is not enough memory on the device for what was to be shared.
    #[error(
        "{call} failed: {code}: {asked_bytes} bytes were asked for on {device}, where {free_bytes} of {total_bytes} are \
         free; have frameworks give back what they keep (torch.cuda.empty_cache()), or use fewer slots or smaller frames"
    )]
    NoMemory {
        /// The call, as `cuda.h` names it.
        call: &'static str,
        /// What it answered.
        code: DriverCode,
        /// The device.
        device: Device,
        /// Bytes that were wanted.
        asked_bytes: usize,
        /// Bytes of the device that nobody had.
        free_bytes: usize,
        /// Bytes of the device.
        total_bytes: usize,
    },
    /// This driver has no such call.
    #[error("this CUDA driver has no {symbol}: install a newer driver")]
    Missing {
        /// The call, as `cuda.h` names it.
        symbol: &'static str,
    },
    /// The context was lost to an earlier error; the driver was not asked.
    #[error(
        "{call} was not tried: the CUDA context is lost since {first_call} failed: {code}; start this process again"
    )]
    Poisoned {
        /// The call that was asked for now.
        call: &'static str,
        /// The call that found the context lost.
        first_call: &'static str,
        /// What that call answered.
        code: DriverCode,
    },
    /// The process was forked after the driver was started; the driver was not asked.
    #[error("{call} was not tried: the CUDA driver belongs to the parent of this forked process; use spawn")]
    Forked {
        /// The call that was asked for.
        call: &'static str,
    },
    /// No device of this process has the UUID.
    #[error(
        "no CUDA device of this process is {uuid}; it sees {count}: see nvidia-smi -L and CUDA_VISIBLE_DEVICES"
    )]
    NoSuchUuid {
        /// The UUID asked for.
        uuid: DeviceUuid,
        /// How many devices the process sees.
        count: i32,
    },
    /// There are fewer devices.
    #[error("there is no CUDA device {ordinal}: this process sees {}, see CUDA_VISIBLE_DEVICES", seen(*count))]
    NoSuchOrdinal {
        /// The ordinal asked for.
        ordinal: i32,
        /// How many devices the process sees.
        count: i32,
    },
    /// The device or the system cannot do it.
    #[error("{what} is not available on {device}: {hint}")]
    Unsupported {
        /// The service.
        what: &'static str,
        /// The device.
        device: Device,
        /// What to do.
        hint: &'static str,
    },
    /// A peer's handle leads to less memory than it said.
    #[error(
        "memory of a peer has fewer than {wanted_bytes} bytes: the driver refused to map that many ({code})"
    )]
    TooSmall {
        /// Bytes asked for.
        wanted_bytes: usize,
        /// What the driver answered.
        code: DriverCode,
    },
    /// A peer's handle leads to memory of something else.
    #[error("memory of a peer lies on {found}, not on {wanted}: match devices by UUID before sharing")]
    OtherDevice {
        /// Where it lies.
        found: String,
        /// The device that was to map it.
        wanted: Device,
    },
    /// The elements stand in an order that the copy engines do not pack.
    #[error(
        "{device} cannot pack strides {strides:?} of {layout} by itself: make the array contiguous first"
    )]
    Strides {
        /// The device.
        device: Device,
        /// The strides, in elements.
        strides: Vec<isize>,
        /// The layout.
        layout: Box<Layout>,
    },
    /// The layout cannot be copied at all.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The destination is smaller than the packed data.
    #[error("the packed data is {need_bytes} bytes, but the destination has {found_bytes}")]
    DestinationTooSmall {
        /// Bytes of the packed data.
        need_bytes: usize,
        /// Bytes of the destination.
        found_bytes: usize,
    },
    /// The destination may only be read.
    #[error("the destination on {device} may only be read: ask for it with write access")]
    ReadOnly {
        /// Where it lies.
        device: Device,
    },
    /// Memory that this device cannot reach.
    #[error("{device} cannot copy memory of {found}: copy it to the host first")]
    OutOfReach {
        /// The device.
        device: Device,
        /// Where the memory lies.
        found: Device,
    },
    /// A word of a timeline that is not there.
    #[error("there is no word at byte {offset_bytes} of a timeline of {len_bytes} bytes")]
    NoSuchWord {
        /// The offset asked for.
        offset_bytes: usize,
        /// Bytes of the timeline.
        len_bytes: usize,
    },
    /// Words that are not whole pages of host memory.
    #[error("a timeline needs whole pages of host memory, not {len_bytes} bytes at {address:#x}")]
    NotPages {
        /// First byte.
        address: usize,
        /// Length.
        len_bytes: usize,
    },
    /// A write without a stream that makes it.
    #[error("a timeline is written by a stream, and none was named")]
    NoStream,
    /// The stream records its work into a graph.
    #[error("{stream} is being captured into a graph: use another stream, or call before the capture begins")]
    Capturing {
        /// The stream.
        stream: Stream,
    },
    /// A stream of the context records its work into a graph, where all of the context was to be waited for.
    #[error(
        "a stream of {device} is being captured into a graph, and the capture is invalid now: work can't be ordered \
         after everything in a context meanwhile; end captures before frames go, or let frames go by their streams"
    )]
    CaptureInTheWay {
        /// The device.
        device: Device,
    },
    /// A system call failed.
    #[error("{call} failed for {what}: {source}")]
    System {
        /// The system call.
        call: &'static str,
        /// What it was called for.
        what: &'static str,
        /// The system's answer.
        source: io::Error,
    },
}

impl CudaError {
    /// The one list from which C codes and Python exceptions come.
    pub fn kind(&self) -> ErrorKind {
        match self {
            CudaError::NoCuda(reason) => reason.kind(),
            CudaError::Driver { code, .. } | CudaError::NoMemory { code, .. } => code.kind(),
            CudaError::Missing { .. }
            | CudaError::Unsupported { .. }
            | CudaError::Strides { .. }
            | CudaError::OutOfReach { .. } => ErrorKind::Unsupported,
            CudaError::Poisoned { .. } => ErrorKind::DeviceLost,
            CudaError::System { .. } => ErrorKind::System,
            CudaError::Forked { .. } => ErrorKind::ForkedProcess,
            CudaError::NoSuchUuid { .. } | CudaError::NoSuchOrdinal { .. } => ErrorKind::NotFound,
            CudaError::ReadOnly { .. } => ErrorKind::ReadOnly,
            CudaError::Layout(error) => error.kind(),
            CudaError::TooSmall { .. }
            | CudaError::OtherDevice { .. }
            | CudaError::DestinationTooSmall { .. }
            | CudaError::NoSuchWord { .. }
            | CudaError::NotPages { .. }
            | CudaError::NoStream
            | CudaError::Capturing { .. }
            | CudaError::CaptureInTheWay { .. } => ErrorKind::InvalidArgument,
        }
    }

    /// The kind that the traits of `uncopy_tensor::accelerator` promise; see the table above.
    pub fn io_kind(&self) -> io::ErrorKind {
        match self {
            CudaError::Driver { code, .. } | CudaError::NoMemory { code, .. } => code.io_kind(),
            CudaError::Capturing { .. } | CudaError::CaptureInTheWay { .. } => io::ErrorKind::ResourceBusy,
            CudaError::System { source, .. } => source.kind(),
            _ => io_kind_of(self.kind()),
        }
    }

    /// The driver's answer, when it was asked and failed.
    pub fn code(&self) -> Option<DriverCode> {
        match self {
            CudaError::Driver { code, .. }
            | CudaError::NoMemory { code, .. }
            | CudaError::TooSmall { code, .. } => Some(*code),
            _ => None,
        }
    }
}

impl From<CudaError> for io::Error {
    fn from(error: CudaError) -> io::Error {
        io::Error::new(error.io_kind(), error)
    }
}

/// The devices that a process sees, in words.
fn seen(count: i32) -> String {
    match count {
        ..=0 => "none".to_owned(),
        1 => "cuda:0 alone".to_owned(),
        _ => format!("cuda:0 to cuda:{}", count - 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_goes_through_the_seam_with_its_kind_and_itself_inside() {
        let lost =
            CudaError::Poisoned { call: "cuMemCreate", first_call: "cuStreamQuery", code: DriverCode(700) };
        let io = io::Error::from(lost);
        assert_eq!(io.kind(), io::ErrorKind::BrokenPipe);
        let inner = io.get_ref().and_then(|inner| inner.downcast_ref::<CudaError>()).unwrap();
        assert!(matches!(inner, CudaError::Poisoned { code: DriverCode(700), .. }));
        assert!(io.to_string().contains("cuMemCreate") && io.to_string().contains("cuStreamQuery"));
    }

    #[test]
    fn each_promise_of_the_seam_has_an_error() {
        let kinds = [
            (CudaError::Missing { symbol: "cuMemCreate" }, io::ErrorKind::Unsupported),
            (CudaError::NoSuchOrdinal { ordinal: 3, count: 1 }, io::ErrorKind::NotFound),
            (CudaError::Capturing { stream: Stream::LEGACY_DEFAULT }, io::ErrorKind::ResourceBusy),
            (CudaError::CaptureInTheWay { device: Device::cuda(0) }, io::ErrorKind::ResourceBusy),
            (CudaError::Forked { call: "cuMemCreate" }, io::ErrorKind::BrokenPipe),
            (CudaError::ReadOnly { device: Device::cuda(0) }, io::ErrorKind::PermissionDenied),
            (
                CudaError::Driver { call: "cuMemCreate", code: DriverCode::OUT_OF_MEMORY },
                io::ErrorKind::OutOfMemory,
            ),
            (CudaError::NoCuda(NoCuda::NoDevice), io::ErrorKind::NotFound),
            (CudaError::NoStream, io::ErrorKind::InvalidInput),
        ];
        for (error, kind) in kinds {
            assert_eq!(error.io_kind(), kind, "{error}");
        }
    }

    #[test]
    fn errors_are_small_enough_to_be_returned_by_every_call() {
        assert!(size_of::<CudaError>() <= 64, "{} bytes", size_of::<CudaError>());
    }
}
