// SPDX-License-Identifier: MIT OR Apache-2.0
//! The name by which programs ask for the library at run time: of its interface's version, not of its own.

#![forbid(unsafe_code)]

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libuncopy.so.1");
    }
}
