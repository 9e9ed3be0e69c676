// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a call of the driver answered.
//!
//! A code is a number, not an enumeration: newer drivers have more of them. Its name and text are the driver's own,
//! looked up when it is shown.

use std::fmt;
use std::io;

use uncopy_core::ErrorKind;

use crate::Driver;

/// A `CUresult` other than 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct DriverCode(pub i32);

/// Whether a context can be used after a code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Aftermath {
    /// The call failed, and that is all.
    Usable,
    /// `cuda.h`: "leaves the process in an inconsistent state and any further CUDA work will return the same error".
    Lost,
    /// It may mean anything: ask the context.
    Unknown,
}

impl DriverCode {
    /// An argument is wrong; also what a forged handle of memory is answered with.
    pub const INVALID_VALUE: DriverCode = DriverCode(1);
    /// No memory left, on the device or pinned.
    pub const OUT_OF_MEMORY: DriverCode = DriverCode(2);
    /// `cuInit` was not called in this process; also after `fork`.
    pub const NOT_INITIALIZED: DriverCode = DriverCode(3);
    /// The driver is shutting down with the process.
    pub const DEINITIALIZED: DriverCode = DriverCode(4);
    /// The device is busy with another's exclusive use, or gone.
    pub const DEVICE_UNAVAILABLE: DriverCode = DriverCode(46);
    /// There is no device.
    pub const NO_DEVICE: DriverCode = DriverCode(100);
    /// No context is current, or the wrong one.
    pub const INVALID_CONTEXT: DriverCode = DriverCode(201);
    /// Something asked for is not there.
    pub const NOT_FOUND: DriverCode = DriverCode(500);
    /// Work is not finished: an answer, not a failure.
    pub const NOT_READY: DriverCode = DriverCode(600);
    /// The host memory is registered already.
    pub const ALREADY_REGISTERED: DriverCode = DriverCode(712);
    /// Not here, or not in this way; also what a mapping longer than its memory is answered with.
    pub const NOT_SUPPORTED: DriverCode = DriverCode(801);
    /// The call can't be made while a stream is captured, and has ended the capture.
    pub const CAPTURE_UNSUPPORTED: DriverCode = DriverCode(900);
    /// The call would disturb a capture through the legacy default stream.
    pub const CAPTURE_IMPLICIT: DriverCode = DriverCode(906);
    /// Anything.
    pub const UNKNOWN: DriverCode = DriverCode(999);

    /// The driver's name, such as `CUDA_ERROR_OUT_OF_MEMORY`; `None` without a driver, or for a code that it does not
    /// know.
    pub fn name(self) -> Option<&'static str> {
        Driver::loaded()?.name_of(self)
    }

    /// The driver's sentence, such as `out of memory`; `None` as for [`name`](Self::name).
    pub fn text(self) -> Option<&'static str> {
        Driver::loaded()?.text_of(self)
    }

    /// The one list from which C codes and Python exceptions come.
    pub fn kind(self) -> ErrorKind {
        if self.aftermath() == Aftermath::Lost {
            return ErrorKind::DeviceLost;
        }
        match self.0 {
            1 | 101 | 201 | 400 | 900..=908 => ErrorKind::InvalidArgument,
            2 => ErrorKind::OutOfMemory,
            805 | 807..=809 => ErrorKind::OutOfResources,
            36 | 217 | 801 | 804 => ErrorKind::Unsupported,
            100 | 500 => ErrorKind::NotFound,
            800 => ErrorKind::PermissionDenied,
            909 => ErrorKind::TimedOut,
            _ => ErrorKind::System,
        }
    }

    /// As the traits of `uncopy_tensor::accelerator` have it.
    pub(crate) fn io_kind(self) -> io::ErrorKind {
        match self.0 {
            900..=908 => io::ErrorKind::ResourceBusy,
            _ => io_kind_of(self.kind()),
        }
    }

    /// Whether the context that answered with this code is lost.
    ///
    /// Codes of which `cuda.h` says "inconsistent state" are (226, 700, 702, 714 to 719), an assertion of a kernel
    /// (710: "further CUDA work" needs a new context), and those after which there is no device, driver or server: 4,
    /// 46, 214, 220, 709, 806, 810. 999 is answered to harmless mistakes as well, such as OpenGL on another card.
    pub(crate) fn aftermath(self) -> Aftermath {
        match self.0 {
            4 | 46 | 214 | 220 | 226 | 700 | 702 | 709 | 710 | 714..=719 | 806 | 810 => Aftermath::Lost,
            999 => Aftermath::Unknown,
            _ => Aftermath::Usable,
        }
    }
}

/// The kind of an `io::Error` that carries an error of ours.
pub(crate) fn io_kind_of(kind: ErrorKind) -> io::ErrorKind {
    match kind {
        ErrorKind::InvalidArgument | ErrorKind::InvalidLayout => io::ErrorKind::InvalidInput,
        ErrorKind::OutOfMemory => io::ErrorKind::OutOfMemory,
        ErrorKind::Unsupported => io::ErrorKind::Unsupported,
        ErrorKind::NotFound => io::ErrorKind::NotFound,
        ErrorKind::PermissionDenied | ErrorKind::ReadOnly => io::ErrorKind::PermissionDenied,
        ErrorKind::TimedOut => io::ErrorKind::TimedOut,
        ErrorKind::DeviceLost | ErrorKind::ForkedProcess => io::ErrorKind::BrokenPipe,
        _ => io::ErrorKind::Other,
    }
}

impl fmt::Display for DriverCode {
    /// `CUDA_ERROR_OUT_OF_MEMORY (2, out of memory)`, or `error 2` where there is no driver to ask.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name(), self.text()) {
            (Some(name), Some(text)) => write!(f, "{name} ({}, {text})", self.0),
            _ => write!(f, "error {}", self.0),
        }
    }
}

impl fmt::Debug for DriverCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_after_which_no_call_succeeds_are_told_from_those_that_only_failed() {
        for code in [4, 46, 214, 700, 702, 710, 714, 715, 716, 717, 718, 719] {
            assert_eq!(DriverCode(code).aftermath(), Aftermath::Lost, "{code}");
            assert_eq!(DriverCode(code).io_kind(), io::ErrorKind::BrokenPipe, "{code}");
        }
        for code in [1, 2, 3, 100, 201, 304, 400, 500, 600, 701, 712, 713, 720, 801, 900, 906] {
            assert_eq!(DriverCode(code).aftermath(), Aftermath::Usable, "{code}");
        }
        assert_eq!(DriverCode::UNKNOWN.aftermath(), Aftermath::Unknown);
    }

    #[test]
    fn the_kinds_that_the_seam_promises_come_from_the_codes_that_mean_them() {
        assert_eq!(DriverCode::OUT_OF_MEMORY.io_kind(), io::ErrorKind::OutOfMemory);
        assert_eq!(DriverCode(801).io_kind(), io::ErrorKind::Unsupported);
        assert_eq!(DriverCode(800).io_kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(DriverCode::NO_DEVICE.io_kind(), io::ErrorKind::NotFound);
        for capturing in 900..=908 {
            assert_eq!(DriverCode(capturing).io_kind(), io::ErrorKind::ResourceBusy);
        }
    }

    #[test]
    fn a_code_is_shown_as_a_number_when_no_driver_can_name_it() {
        assert!(DriverCode(-7).to_string().contains("-7"));
    }
}
