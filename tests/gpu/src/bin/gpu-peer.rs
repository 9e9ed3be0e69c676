// SPDX-License-Identifier: MIT OR Apache-2.0
//! The other process of a GPU test. See `uncopy_gpu_tests::roles`.
#![forbid(unsafe_code)]

fn main() {
    let mut words = std::env::args().skip(1);
    let role = words.next().unwrap_or_default();
    uncopy_gpu_tests::roles::play(&role, words.collect());
}
