// SPDX-License-Identifier: MIT OR Apache-2.0
//! How a participant hears of the end, and how it is told to be alive: orders come in, beats go out.

use std::io::BufRead;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::script::emit;

/// Orders from standard input, read by a thread of their own so that a look costs no system call.
pub(super) struct Orders(Receiver<String>);

/// What to do when the wait for an order is over.
pub(super) enum Order {
    /// Nothing was said.
    None,
    /// This.
    Do(String),
    /// Nothing more will be said: end.
    Quit,
}

impl Orders {
    pub(super) fn listen() -> Self {
        let (sender, orders) = channel();
        std::thread::spawn(move || {
            for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self(orders)
    }

    /// What was ordered meanwhile.
    pub(super) fn look(&self) -> Order {
        match self.0.try_recv() {
            Ok(line) => Order::Do(line),
            Err(TryRecvError::Empty) => Order::None,
            Err(TryRecvError::Disconnected) => Order::Quit,
        }
    }

    /// Waits for the next order; `None` at the end of orders.
    pub(super) fn wait(&self) -> Option<String> {
        self.0.recv().ok()
    }
}

/// Sends what a participant has counted from time to time: what is lost with a killed one is the last of these.
pub(super) struct Beat {
    last: Instant,
    looks: u32,
}

/// Between two beats.
const EVERY: Duration = Duration::from_millis(50);
/// Looks between two readings of the clock.
const LOOKS: u32 = 32;

impl Beat {
    pub(super) fn new() -> Self {
        Self { last: Instant::now(), looks: 0 }
    }

    /// Sends `counts` if it is time. `slowly` says that the last look was long ago.
    pub(super) fn maybe(&mut self, slowly: bool, counts: impl FnOnce() -> Value) {
        self.looks += 1;
        if !slowly && self.looks < LOOKS {
            return;
        }
        self.looks = 0;
        if self.last.elapsed() >= EVERY {
            self.last = Instant::now();
            emit(&counts());
        }
    }
}
