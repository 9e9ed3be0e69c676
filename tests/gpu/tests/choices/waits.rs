// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every wait for a device that this program stands for is needed.

use uncopy_gpu_tests::left_out;

#[test]
fn f27_each_wait_that_is_left_out_is_noticed() {
    left_out::each_is_noticed(super::PEER, "choices");
}
