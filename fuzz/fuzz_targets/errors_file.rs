// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program of the target `errors_file`: see `uncopy_fuzz::errors_file`.
#![deny(unsafe_code)]
#![cfg_attr(fuzzing, no_main)]

uncopy_fuzz::run_target!(uncopy_fuzz::errors_file::TARGET);
