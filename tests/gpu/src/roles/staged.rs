// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a consumer does in tests of copies in host memory.
//!
//! | command | event |
//! |---|---|
//! | `staged run N` copies N frames to the host, and looks at each | `verified` |
//! | `staged early` begins copies of two frames, the second larger, lets go of them at once, and makes them once more | `verified` |
//! | `staged gone` begins a copy of a frame, lets go of it and of everything that made it, and makes it once more | `verified` |

use serde_json::{Value, json};
use uncopy::{Frame, HostCopy, LinkError, Staging};

use super::{Consumer, PATIENCE, key_of};
use crate::card::check_on_host;

/// More than are kept for the next frames.
const MANY: usize = 5;

impl Consumer {
    pub(super) fn stage(&mut self, how: &[&str]) -> Result<Value, LinkError> {
        let staging = Staging::new();
        match how {
            ["run", frames] => {
                let frames = frames.parse().expect("a number of frames");
                let mut wrong = 0;
                for _ in 0..frames {
                    let frame = self.sub.recv(PATIENCE)?;
                    wrong += wrong_in_copy(&staging, &frame)?;
                }
                Ok(verified(frames, wrong))
            }
            ["early"] => {
                let (small, large) = (self.sub.recv(PATIENCE)?, self.sub.recv(PATIENCE)?);
                drop(staging.begin(&small)?);
                // What is too small for this one is let go of, and then what is too much.
                let copies: Result<Vec<HostCopy>, LinkError> =
                    (0..MANY).map(|_| staging.begin(&large)).collect();
                drop(copies?);
                self.settle();
                let wrong = wrong_in_copy(&staging, &large)? + wrong_in_copy(&staging, &small)?;
                Ok(verified(2, wrong))
            }
            ["gone"] => {
                let frame = self.sub.recv(PATIENCE)?;
                let copy = staging.begin(&frame)?;
                drop(staging);
                drop(copy);
                self.settle();
                Ok(verified(1, wrong_in_copy(&Staging::new(), &frame)?))
            }
            other => panic!("no way '{other:?}' to copy"),
        }
    }

    /// Waits for the device, which ends the process if it writes where nothing is any more.
    fn settle(&self) {
        self.card.as_ref().expect("a device").settle();
    }
}

/// 1 if a frame's copy in host memory is not what its producer wrote.
fn wrong_in_copy(staging: &Staging, frame: &Frame) -> Result<u64, LinkError> {
    let copy = staging.begin(frame)?.wait(None)?;
    let bytes = copy.region().as_bytes().expect("host memory");
    let bytes = &bytes[..copy.layout().len_bytes()];
    Ok(u64::from(check_on_host(bytes, key_of(frame)).is_err()))
}

fn verified(frames: u64, wrong: u64) -> Value {
    json!({ "event": "verified", "frames": frames, "wrong": wrong })
}
