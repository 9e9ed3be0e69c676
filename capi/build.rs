// SPDX-License-Identifier: MIT OR Apache-2.0
//! How the shared library is linked.

#![forbid(unsafe_code)]

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux") {
        // The name by which programs ask for it at run time: of its interface's version, not of its own.
        println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libuncopy.so.1");
        // A host that unloads a plugin must not unload the code of the service thread.
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
