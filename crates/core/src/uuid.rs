// SPDX-License-Identifier: MIT OR Apache-2.0
//! The one name of a card that all processes agree on.
//!
//! An index counts what *one* process sees; `CUDA_VISIBLE_DEVICES` and container settings make it another card in the
//! next. Whoever names a device across processes uses its UUID.
//!
//! ```
//! use uncopy_core::DeviceUuid;
//!
//! let uuid = DeviceUuid([0x5a, 0x0c, 0x23, 0x1b, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
//! assert_eq!(uuid.to_string(), "GPU-5a0c231b-0102-0304-0506-0708090a0b0c"); // as nvidia-smi -L has it
//! ```

use std::fmt;

/// A device's UUID: 16 bytes that its driver gives, the same in every process and after every restart.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(transparent)]
pub struct DeviceUuid(pub [u8; 16]);

impl fmt::Display for DeviceUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GPU")?;
        for (at, byte) in self.0.iter().enumerate() {
            if matches!(at, 0 | 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for DeviceUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
