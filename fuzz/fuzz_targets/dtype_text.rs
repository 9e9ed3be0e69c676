// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program of the target `dtype_text`: see `uncopy_fuzz::dtype_text`.
#![deny(unsafe_code)]
#![cfg_attr(fuzzing, no_main)]

uncopy_fuzz::run_target!(uncopy_fuzz::dtype_text::TARGET);
