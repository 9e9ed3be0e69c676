// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program of the target `from_client`: see `uncopy_fuzz::from_client`.
#![deny(unsafe_code)]
#![cfg_attr(fuzzing, no_main)]

uncopy_fuzz::run_target!(uncopy_fuzz::from_client::TARGET);
