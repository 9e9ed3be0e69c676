// SPDX-License-Identifier: MIT OR Apache-2.0
//! Queues of work on a device, as the number that libraries pass to each other.
//!
//! A stream is named by its driver handle. This module refuses to know whether it exists: who makes a stream keeps it
//! alive while its number is in use.
//!
//! ```
//! use uncopy_core::Stream;
//!
//! assert_eq!(Stream::from_raw(0), Stream::LEGACY_DEFAULT); // the driver's two names of one stream
//! assert_eq!(Stream::from_raw(0x7f00_1234).to_string(), "stream 0x7f001234");
//! ```

use std::fmt;

/// A CUDA stream by its driver handle (`CUstream`, `cudaStream_t`) as a number.
///
/// The numbers of the two default streams are those of the driver, of DLPack and of the CUDA array interface. Sources:
/// `cuda.h` (`CU_STREAM_LEGACY`, `CU_STREAM_PER_THREAD`), DLPack 1.3 and the CUDA array interface 3 ("stream").
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct Stream(u64);

impl Stream {
    /// The default stream that all threads share; it waits for other blocking streams and they for it.
    pub const LEGACY_DEFAULT: Stream = Stream(1);
    /// The calling thread's own default stream: another one in every thread, so never keep it for a later call.
    pub const PER_THREAD_DEFAULT: Stream = Stream(2);

    /// The stream with this driver handle. 0, the driver's other name of the legacy default stream, becomes 1.
    pub const fn from_raw(handle: u64) -> Stream {
        Stream(if handle == 0 { 1 } else { handle })
    }

    /// The driver handle; never 0.
    pub const fn raw(self) -> u64 {
        self.0
    }

    /// Whether it is one of the two default streams.
    pub const fn is_default(self) -> bool {
        self.0 <= 2
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Stream::LEGACY_DEFAULT => f.pad("the legacy default stream"),
            Stream::PER_THREAD_DEFAULT => f.pad("the per-thread default stream"),
            Stream(handle) => write!(f, "stream {handle:#x}"),
        }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
