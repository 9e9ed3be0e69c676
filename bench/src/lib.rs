// SPDX-License-Identifier: MIT OR Apache-2.0
//! What measurements between processes are made of, for `uncopy-bench` and for the programs of `bench/peers`, which
//! measure against libraries that uncopy itself must not depend on.
//!
//! A measurement is a [`run`](run::Run) that starts its own program again as the other [`side`](side::Side), lets
//! both sides do the same with each of the things that it compares, in turns, and prints [`figures`](figure::Figure).
//! Two kinds are here: [`trips`] of a word or frame there and back, both sides spinning, and [`paced`] signals to a
//! side that sleeps.

#![deny(unsafe_code)]

pub mod bare;
pub mod clock;
pub mod failure;
pub mod figure;
pub mod paced;
pub mod run;
pub mod side;
pub mod trips;
