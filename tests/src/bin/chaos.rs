// SPDX-License-Identifier: MIT OR Apache-2.0
//! The chaos runner and its participants; see `uncopy_tests::chaos`. `cargo xtask chaos` builds and starts it.
#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    uncopy_tests::chaos::main(std::env::args().skip(1).collect())
}
