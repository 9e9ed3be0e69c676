// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program of the target `control_page`: see `uncopy_fuzz::control_page`.
#![deny(unsafe_code)]
#![cfg_attr(fuzzing, no_main)]

uncopy_fuzz::run_target!(uncopy_fuzz::control_page::TARGET);
