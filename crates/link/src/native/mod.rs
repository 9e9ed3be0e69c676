// SPDX-License-Identifier: MIT OR Apache-2.0
//! Native protocol v1. The law is `docs/protocol/link-v1.md`.
//!
//! | module | holds |
//! |---|---|
//! | `wire` | offsets, versions, socket messages |
//! | `header`, `control` | the control memory: what it says of itself, and its words |
//! | `ring` | the slot machine, generic over its words |
//! | `order` | the order of devices' work on the slots, likewise |
//! | `description` | what the frame in a slot is |
//! | `frame_memory` | the memory of an epoch: host, or a device and its mirror |
//! | `producer`, `server` | the producing end: frame path, and everything else |
//! | `naming` | whose a name is |
//! | `conversation` | reaching a producer and taking its answer |
//! | `attachment`, `frame`, `consumer` | the consuming end: a place, a held frame, the user's handle |
//! | `vigil` | looking now and then whether a device is lost that owes something |
//! | `waker` | ending a wait from another thread |
//! | `observe`, `observer` | looking without taking part: once, and again and again |
//! | `leftovers` | what dead producers left, and removing it |

mod attachment;
mod consumer;
mod control;
mod conversation;
mod description;
mod frame;
mod frame_memory;
pub(crate) mod header;
mod leftovers;
mod naming;
mod observe;
mod observer;
mod order;
mod producer;
mod ring;
mod server;
mod vigil;
mod waker;
pub(crate) mod wire;

pub use attachment::Where;
pub use attachment::wanted::Release;
#[cfg(feature = "futures")]
pub use consumer::FrameStream;
pub use consumer::{
    HostCopy, Read, Staging, SubscribeOptions, Subscriber, SubscriberStats, Waiting, subscribe, wait,
    wait_with,
};
pub use frame::Frame;
pub use leftovers::{Cleaning, Fate, RuntimeFiles, clean_in};
pub use observe::{Answer, ConsumerInfo, HeldFrame, LinkInfo, Whereabouts, info, list, list_in};
pub use observer::{Observer, Presence, Published};
pub use producer::{Claim, Loan, PublishOptions, Publisher, PublisherStats, Sent, WhenFull, publish};
pub use waker::Waker;
pub use wire::{MAX_CONSUMERS, MAX_FRAME_BYTES, MAX_SLOTS, MIN_SLOTS};
