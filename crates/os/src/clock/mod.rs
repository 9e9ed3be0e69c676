// SPDX-License-Identifier: MIT OR Apache-2.0
//! Two clocks, in nanoseconds.
//!
//! Durations and ages between processes of one boot: [`monotonic_nanos`]. What to show to people: [`realtime_nanos`],
//! which can jump. Monotonic times of different boots cannot be compared: see [`boot_id`](crate::boot_id).
//!
//! ```
//! # #[cfg(target_os = "linux")] {
//! let before = uncopy_os::monotonic_nanos();
//! assert!(uncopy_os::monotonic_nanos() >= before);
//! # }
//! ```

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
use unix as system;
#[cfg(windows)]
use windows as system;

#[cfg(unix)]
pub(crate) use system::offsets;
pub use system::{machine_monotonic_nanos, monotonic_nanos, own_monotonic_nanos, realtime_nanos};
