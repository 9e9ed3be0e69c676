// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frame links between processes: one producer, up to 16 consumers, and frames that nobody copies.
//!
//! A producer lends a slot of shared memory, writes a frame into it and publishes it. Consumers hold the newest frame
//! for as long as they like; while it is held it does not change, and nobody can write to it. Whoever dies, the others
//! go on.
//!
//! ```
//! use std::time::Duration;
//! use uncopy_core::PixelFormat;
//! use uncopy_link::{Form, Meta, publish, subscribe};
//! # let dir = std::env::temp_dir().join(format!("uncopy-doc-link-{}", std::process::id()));
//!
//! let mut out = publish("camera").slots(4)
//! #    .directory(&dir)
//!     .open()?;
//! let mut sub = subscribe("camera") // usually in another process
//! #    .directory(&dir)
//!     .open()?;
//!
//! let mut slot = out.loan(&Form::image(1080, 1920, PixelFormat::RGBA8))?;
//! slot.bytes_mut().fill(7);
//! slot.publish(Meta::default())?;
//!
//! let frame = sub.recv(Duration::from_secs(1))?;
//! assert_eq!(frame.view::<u8, 3>()?.shape(), [1080, 1920, 4]);
//! assert!(frame.copies().is_empty());
//! # drop((frame, sub, out)); std::fs::remove_dir_all(dir).ok();
//! # Ok::<(), uncopy_link::LinkError>(())
//! ```
//!
//! # Limits
//! One machine, one user. A frame has at most 8 axes and 16 GiB. This crate knows protocol logic only: memory, sockets
//! and clocks are `uncopy-os`'s, arrays are `uncopy-tensor`'s, and it contains no unsafe code.
#![cfg_attr(not(all(test, loom)), forbid(unsafe_code))]

#[cfg(all(feature = "leases-off", not(debug_assertions)))]
compile_error!(
    "the feature `leases-off` breaks every promise of this crate; it exists for debug builds of its tests only"
);

mod accelerators;
mod ages;
mod error;
mod errors;
mod form;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod meta;
mod native;
mod service;
mod site;
mod stamp;
mod streams;

use std::path::PathBuf;

use uncopy_core::{LinkName, Scheme};
use uncopy_os::RuntimeDir;

pub use accelerators::{Accelerators, device_of, introduce};
pub use ages::Ages;
pub use error::{LinkError, Missing, device_error_kind};
pub use errors::{ErrorRecord, Side, errors, errors_in};
pub use form::{AsForm, Form};
pub use meta::{CaptureClock, Captured, MAX_META_BYTES, Meta, MetaKind, UserMeta};
#[cfg(feature = "futures")]
pub use native::FrameStream;
pub use native::{
    Answer, Claim, Cleaning, ConsumerInfo, Fate, Frame, HeldFrame, HostCopy, LinkInfo, Loan, MAX_CONSUMERS,
    MAX_FRAME_BYTES, MAX_SLOTS, MIN_SLOTS, Observer, Presence, PublishOptions, Published, Publisher,
    PublisherStats, Read, Release, RuntimeFiles, Sent, Staging, SubscribeOptions, Subscriber,
    SubscriberStats, Waiting, Waker, WhenFull, Where, Whereabouts, clean_in, info, list, list_in, publish,
    subscribe, wait, wait_with,
};

pub use service::keep_what_devices_use;
#[cfg(feature = "skip-waits")]
#[doc(hidden)]
pub use site::SITES;
pub use stamp::Stamp;
pub use streams::order_streams;

/// A checked name of the native scheme.
fn native_name(name: &str) -> Result<LinkName, LinkError> {
    let name = LinkName::parse(name)?;
    match name.scheme() {
        Scheme::Native => Ok(name),
        _ => Err(LinkError::UnsupportedScheme { scheme: name.scheme_text().unwrap_or_default().to_owned() }),
    }
}

/// The directory that was asked for, or the user's own.
fn runtime_dir(asked: Option<&PathBuf>) -> Result<RuntimeDir, LinkError> {
    Ok(match asked {
        Some(path) => RuntimeDir::open_at(path)?,
        None => RuntimeDir::open()?,
    })
}
