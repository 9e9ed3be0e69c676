// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program of the target `dlpack`: see `uncopy_fuzz::dlpack`.
#![deny(unsafe_code)]
#![cfg_attr(fuzzing, no_main)]

uncopy_fuzz::run_target!(uncopy_fuzz::dlpack::TARGET);
