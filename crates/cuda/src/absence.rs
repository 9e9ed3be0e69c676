// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why there is no CUDA here: an ordinary value.

use std::fmt;

use uncopy_core::ErrorKind;

use crate::DriverCode;

/// Why this process has no CUDA. Asking again gives the same answer: the driver is looked for once in a process.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoCuda {
    /// The driver's library is not there.
    #[error("there is no CUDA driver: {tried} could not be loaded ({reason}); install NVIDIA's driver")]
    NoLibrary {
        /// The file name that was looked for.
        tried: &'static str,
        /// The system's answer.
        reason: String,
    },
    /// The driver lacks what everything here stands on.
    #[error("the CUDA driver supports CUDA {found}, but {needed} is needed: install a newer driver")]
    TooOld {
        /// What the driver supports.
        found: DriverVersion,
        /// The least that will do.
        needed: DriverVersion,
    },
    /// The library is no whole driver.
    #[error("{library} is no CUDA driver that can be used: it has no {symbol}; install NVIDIA's driver anew")]
    MissingSymbol {
        /// The file name of the library.
        library: &'static str,
        /// The symbol, as `cuda.h` names it.
        symbol: &'static str,
    },
    /// The driver does not start.
    #[error("the CUDA driver does not start: cuInit answered {name} ({}); {}", code.0, hint_for(*code))]
    InitFailed {
        /// What `cuInit` answered.
        code: DriverCode,
        /// The driver's name of it.
        name: String,
    },
    /// The driver is there and shows no device.
    #[error("the CUDA driver shows no device: see nvidia-smi -L and CUDA_VISIBLE_DEVICES")]
    NoDevice,
}

impl NoCuda {
    /// The one list from which C codes and Python exceptions come.
    pub fn kind(&self) -> ErrorKind {
        match self {
            NoCuda::NoDevice => ErrorKind::NotFound,
            NoCuda::NoLibrary { .. }
            | NoCuda::TooOld { .. }
            | NoCuda::MissingSymbol { .. }
            | NoCuda::InitFailed { .. } => ErrorKind::Unsupported,
        }
    }
}

/// What to try after `cuInit` failed.
fn hint_for(code: DriverCode) -> &'static str {
    match code {
        DriverCode::NOT_INITIALIZED => "was this process forked from one that uses CUDA? use spawn",
        DriverCode(34) => "that library is a stub for linking: remove it from the library path",
        DriverCode(803) => "the library and the kernel module differ: restart the machine",
        _ => "nvidia-smi may say more",
    }
}

/// A version of CUDA as the driver counts it: 13000 is 13.0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DriverVersion(pub i32);

impl DriverVersion {
    /// The oldest that will do: 11.4, the first whose UUIDs tell the parts of a divided card (MIG) apart, and the first
    /// series that gives calls by version.
    pub const NEEDED: DriverVersion = DriverVersion(11040);
}

impl fmt::Display for DriverVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0 / 1000, self.0 % 1000 / 10)
    }
}

impl fmt::Debug for DriverVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_read_as_people_write_them() {
        assert_eq!(DriverVersion(13000).to_string(), "13.0");
        assert_eq!(DriverVersion(11040).to_string(), "11.4");
        assert_eq!(DriverVersion(12085).to_string(), "12.8");
    }

    #[test]
    fn every_absence_says_what_was_found_and_what_to_try() {
        let tried = "libcuda.so.1";
        let reason = "cannot open shared object file".to_owned();
        assert!(NoCuda::NoLibrary { tried, reason }.to_string().contains("libcuda.so.1"));
        let old = NoCuda::TooOld { found: DriverVersion(10020), needed: DriverVersion::NEEDED };
        assert!(old.to_string().contains("10.2") && old.to_string().contains("11.4"));
        let missing = NoCuda::MissingSymbol { library: tried, symbol: "cuInit" };
        assert!(missing.to_string().contains("cuInit"));
        let forked = NoCuda::InitFailed {
            code: DriverCode::NOT_INITIALIZED,
            name: "CUDA_ERROR_NOT_INITIALIZED".to_owned(),
        };
        assert!(forked.to_string().contains("forked"), "{forked}");
    }
}
