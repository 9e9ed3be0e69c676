// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program of the target `from_producer`: see `uncopy_fuzz::from_producer`.
#![deny(unsafe_code)]
#![cfg_attr(fuzzing, no_main)]

uncopy_fuzz::run_target!(uncopy_fuzz::from_producer::TARGET);
