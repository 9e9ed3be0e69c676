// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every wait on the way to another card is needed.

use uncopy_gpu_tests::{left_out, scene};

#[test]
fn f27_each_wait_on_the_way_to_another_card_that_is_left_out_is_noticed() {
    if scene::has_two_cards() {
        left_out::each_is_noticed(super::PEER, "two_cards");
    }
}
