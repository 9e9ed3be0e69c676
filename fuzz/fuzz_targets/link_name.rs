// SPDX-License-Identifier: MIT OR Apache-2.0
//! The program of the target `link_name`: see `uncopy_fuzz::link_name`.
#![deny(unsafe_code)]
#![cfg_attr(fuzzing, no_main)]

uncopy_fuzz::run_target!(uncopy_fuzz::link_name::TARGET);
