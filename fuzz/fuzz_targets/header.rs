// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program of the target `header`: see `uncopy_fuzz::header`.
#![deny(unsafe_code)]
#![cfg_attr(fuzzing, no_main)]

uncopy_fuzz::run_target!(uncopy_fuzz::header::TARGET);
