// SPDX-License-Identifier: MIT OR Apache-2.0
//! A copy that happened, named: why, from where, to where, how many bytes.
//!
//! A frame carries at most [`MAX_COPY_RECORDS`] of these, in the order in which the copies were made. Reason codes are
//! wire numbers: fixed once published, and a number that this version does not know stays a value.
//!
//! This module refuses to decide whether a copy was acceptable; who forbids copies gets
//! [`ErrorKind::CopyRequired`](crate::ErrorKind::CopyRequired) before anything is copied.
//!
//! ```
//! use uncopy_core::{CopyReason, CopyRecord, Device};
//!
//! let record =
//!     CopyRecord { reason: CopyReason::GATHER, from: Device::CPU, to: Device::CPU, len_bytes: 8_294_400 };
//! assert_eq!(
//!     record.to_string(),
//!     "copied 8294400 bytes from cpu to cpu: the source was strided and was packed to C order"
//! );
//! ```

use crate::device::Device;
use std::fmt;

/// The most copies that a frame can tell of.
pub const MAX_COPY_RECORDS: usize = 8;

/// Why a copy was made. Any number is a value; the constants are the reasons of this version.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct CopyReason(pub u16);

/// Writes the constants and their texts from one list.
macro_rules! copy_reasons {
    ($($number:literal $constant:ident $name:literal $sentence:literal;)+) => {
        impl CopyReason {
            $(#[doc = concat!("`\"", $name, "\"`: ", $sentence, ".")]
            pub const $constant: CopyReason = CopyReason($number);)+

            /// Every reason that this version knows.
            pub const ALL: &[CopyReason] = &[$(CopyReason::$constant),+];

            /// A short stable name for JSON and Python; `None` for a number that this version does not know.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 { $($number => Some($name),)+ _ => None }
            }

            const fn sentence(self) -> Option<&'static str> {
                match self.0 { $($number => Some($sentence),)+ _ => None }
            }
        }
    };
}

copy_reasons! {
    1 SEND "send" "the array was copied into a slot of the link";
    2 GATHER "gather" "the source was strided and was packed to C order";
    3 ASKED "asked" "the caller asked for a copy";
    4 ALIGNMENT "alignment" "the data was not aligned as the receiver needs it";
    5 DEVICE "device" "the receiver cannot reach the memory of the source's device";
    6 DTYPE "dtype" "the items had to be converted to another dtype";
    7 MIRROR "mirror" "the producer keeps a mirror in host memory for consumers without the device";
    8 STAGED "staged" "the device that the receiver asked for does not reach the memory of the frame's device";
}

impl fmt::Display for CopyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sentence() {
            Some(sentence) => f.pad(sentence),
            None => write!(f, "for a reason that this version does not know (code {})", self.0),
        }
    }
}

impl fmt::Debug for CopyReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => write!(f, "CopyReason({})", self.0),
        }
    }
}

/// One copy that was made.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CopyRecord {
    /// Why.
    pub reason: CopyReason,
    /// Where the bytes were.
    pub from: Device,
    /// Where they were copied to.
    pub to: Device,
    /// How many bytes were written.
    pub len_bytes: u64,
}

impl fmt::Display for CopyRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CopyRecord { reason, from, to, len_bytes } = self;
        write!(f, "copied {len_bytes} bytes from {from} to {to}: {reason}")
    }
}

#[cfg(test)]
mod tests {
    use super::{CopyReason, CopyRecord};
    use crate::Device;
    use std::collections::HashSet;

    #[test]
    fn wire_numbers_never_move() {
        let golden = [
            (1, "send"),
            (2, "gather"),
            (3, "asked"),
            (4, "alignment"),
            (5, "device"),
            (6, "dtype"),
            (7, "mirror"),
            (8, "staged"),
        ];
        let ours: Vec<_> = CopyReason::ALL.iter().map(|r| (r.0, r.name().unwrap())).collect();
        assert_eq!(ours, golden);
    }

    #[test]
    fn every_reason_has_its_own_sentence() {
        let sentences: HashSet<_> = CopyReason::ALL.iter().map(|reason| reason.to_string()).collect();
        assert_eq!(sentences.len(), CopyReason::ALL.len());
    }

    #[test]
    fn a_reason_of_a_newer_version_is_shown_by_its_code() {
        let record = CopyRecord {
            reason: CopyReason(99),
            from: Device::cuda(1),
            to: Device::CPU,
            len_bytes: u64::MAX,
        };
        assert_eq!(
            record.to_string(),
            "copied 18446744073709551615 bytes from cuda:1 to cpu: for a reason that this version does not know \
             (code 99)"
        );
    }
}
