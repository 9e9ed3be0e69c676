// SPDX-License-Identifier: MIT OR Apache-2.0
//! What this library is.

use std::ffi::{CStr, c_char};

/// The version of this interface. A program and a library of one number fit; fields and functions are added under it.
pub const UNCOPY_ABI_VERSION: u32 = 1;

/// `UNCOPY_ABI_VERSION` of the library that was loaded. With another number than the header's, call nothing else.
#[unsafe(no_mangle)]
pub extern "C" fn uncopy_abi_version() -> u32 {
    UNCOPY_ABI_VERSION
}

/// The version of the library that was loaded, such as `"0.1.0"`. It lives as long as the process.
#[unsafe(no_mangle)]
pub extern "C" fn uncopy_version() -> *const c_char {
    const VERSION: &CStr =
        match CStr::from_bytes_with_nul(concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes()) {
            Ok(version) => version,
            Err(_) => c"",
        };
    VERSION.as_ptr()
}
