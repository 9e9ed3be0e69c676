// SPDX-License-Identifier: MIT OR Apache-2.0
//! Whether there is a GPU to test on, and a stage with peers that use it.

use std::path::PathBuf;

use uncopy_cuda::CudaDevice;
use uncopy_tests::{Event, Peer, Stage};

/// What most frames look like.
pub const FORM: &str = "256x256x4";
/// Longer than any test: work that never comes to be done.
pub const NEVER_MS: u32 = 600_000;

/// Says why a test is skipped, once there is no device; `true` where there is one.
#[must_use]
pub fn has_card() -> bool {
    match CudaDevice::with_ordinal(0) {
        Ok(_) => true,
        Err(error) if std::env::var_os("UNCOPY_TEST_NEEDS_CUDA").is_some() => panic!("no device: {error}"),
        Err(error) => {
            println!("SKIP no CUDA device: {error}");
            false
        }
    }
}

/// The same for tests that need two devices.
#[must_use]
pub fn has_two_cards() -> bool {
    if !has_card() {
        return false;
    }
    // Peers on the stand-in are given as many as they need.
    let count = uncopy_cuda::list_devices().map_or(0, |devices| devices.len());
    let has_two = is_standin() || count > 1;
    if !has_two {
        println!("SKIP two CUDA devices are needed, and there is one");
    }
    has_two
}

/// Whether the driver is the stand-in.
#[must_use]
pub fn is_standin() -> bool {
    std::env::var_os("UNCOPY_STANDIN").is_some()
}

/// Whether the driver is one that can be told to fail, to lack something and to be late; says why a test is skipped where
/// it is not.
#[must_use]
pub fn can_be_told_to_fail() -> bool {
    if has_card() && !is_standin() {
        println!("SKIP a card can't be told to fail or to lack something; the stand-in driver can");
        return false;
    }
    true
}

/// Opens a peer with settings of the stand-in: `LAG_US`, `FAULTS` and so on, without their prefix.
///
/// # Panics
/// When it does not open.
#[track_caller]
pub fn open_with(stage: &Stage, role: &[&str], settings: &[(&str, &str)]) -> Peer {
    let mut peer = stage.peer_in(role, |command| {
        for (name, value) in settings {
            command.env(format!("UNCOPY_STANDIN_{name}"), value);
        }
    });
    peer.expect("open");
    peer
}

/// Some frames were verified, and each was right.
///
/// # Panics
/// When they were not.
#[track_caller]
pub fn all_right(event: &Event) {
    assert_eq!(event.name(), "verified", "{event}");
    assert_eq!(event.number("wrong"), 0, "{event}");
    assert!(event.number("frames") > 0, "{event}");
}

/// A frame that was looked at: whole, and with this number.
///
/// # Panics
/// When it is not.
#[track_caller]
pub fn is_frame(event: &Event, seq: u64) {
    assert_eq!(event.name(), "took", "{event}");
    assert_eq!((event.number("seq"), event.value("right")), (seq, &true.into()), "{event}");
}

/// A stage whose peers are `gpu-peer`s. `built` is `env!("CARGO_BIN_EXE_gpu-peer")`; on a machine to which the test was
/// carried the peer lies beside it.
#[must_use]
pub fn stage(built: &str) -> Stage {
    let beside = std::env::current_exe().ok().and_then(|own| Some(own.parent()?.join("gpu-peer")));
    let peer = std::env::var_os("UNCOPY_TEST_PEER").map(PathBuf::from);
    let built = PathBuf::from(built);
    let peer = peer.or_else(|| built.exists().then_some(built)).or(beside).expect("a peer to start");
    // The driver keeps descriptors and mappings of its own, which no stage may take for leaks.
    drop(CudaDevice::with_ordinal(0));
    Stage::new(peer.to_str().expect("a path in UTF-8"))
}
