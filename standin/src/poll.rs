// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a stream waits for what no other thread can tell it: words of memory that another process may write.

use crate::queue::Queue;
use std::{thread, time::Duration};

const FIRST_NAP: Duration = Duration::from_micros(20);
const LONGEST_NAP: Duration = Duration::from_micros(500);

/// Waits until it is so, or until the stream is given up. A card would look again at once; a thread naps, longer
/// each time.
pub fn until(stream: &Queue, mut is_so: impl FnMut() -> bool) {
    let mut nap = FIRST_NAP;
    while !is_so() && !stream.is_abandoned() {
        thread::sleep(nap);
        nap = (nap * 5 / 4).min(LONGEST_NAP);
    }
}

/// The same for a caller, who has no stream to be given up.
pub fn on_host(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        thread::sleep(FIRST_NAP);
    }
}
