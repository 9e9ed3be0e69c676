// SPDX-License-Identifier: MIT OR Apache-2.0
//! What no crate of uncopy can test alone: several real processes, killed at each step of the protocol, and golden
//! bytes.
//!
//! | module | for |
//! |---|---|
//! | [`stage`] | one test's own runtime directory, its peers, and the check that nothing is left behind |
//! | [`peer`] | another process that is told what to do, line by line, and answers in JSON lines |
//! | [`roles`] | what that process does: the binary `peer` |
//! | [`pattern`] | frame content made from the frame's number, so that every byte of every frame can be checked |
//! | [`chaos`] | real processes killed, stopped and started again at random, every frame checked: the binary `chaos` |
//! | [`footprint`] | descriptors, threads and mappings of ours in a process |
//! | [`wire`] | protocol v1 written by hand from `docs/protocol/link-v1.md`, apart from the product's own code |
//! | [`hostile`] | a producer that hands out whatever a test makes up |
//! | [`golden`] | bytes that were written down once |
//! | [`points`] | the kill points that the sources name |
//! | [`raw`] | what only unsafe code can do to a process: fork, signals, stray writes |
//! | [`strace`] | one failing system call in a process that runs |
//!
//! A harness fails by panicking, with what it saw. It waits for events, never for time; the one clock in it ends a test
//! whose peer hangs, after [`peer::HANGS_AFTER`].
//!
//! ```
//! use uncopy_tests::pattern;
//! let mut frame = vec![0; 10_000];
//! pattern::fill(&mut frame, 7);
//! assert!(pattern::check(&frame, 7).is_ok());
//! frame[9_999] ^= 1;
//! assert_eq!(pattern::check(&frame, 7).unwrap_err().at_byte, 9_999);
//! ```
#![deny(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test harness fails by panicking"
)]

pub mod chaos;
pub mod footprint;
pub mod golden;
pub mod hostile;
pub mod pattern;
pub mod peer;
pub mod points;
pub mod raw;
pub mod roles;
pub mod script;
pub mod stage;
pub mod strace;
pub mod wire;

pub use peer::{Event, Peer};
pub use stage::Stage;

use uncopy::{Form, LinkError};

/// A form from text: `64x48x4` (bytes) or `float32:480x640`.
///
/// # Panics
/// When the text names no form: a test asked for nonsense.
#[must_use]
pub fn form(text: &str) -> Form {
    let (dtype, shape) = text.split_once(':').unwrap_or(("uint8", text));
    let dtype = dtype.parse().expect("a dtype's name");
    let shape: Vec<usize> = shape.split('x').map(|len| len.parse().expect("a length")).collect();
    Form::new(dtype, &shape).expect("a form that fits memory")
}

/// An error's kind by its stable name, as peers report it.
#[must_use]
pub fn kind(error: &LinkError) -> &'static str {
    error.kind().name()
}
