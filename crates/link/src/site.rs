// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names of the places at which a link waits for a device.
//!
//! A wait that is forgotten shows as a torn frame, once in a while, on some machines. So each has a name, and a test
//! build (feature `skip-waits`) leaves out the one that `UNCOPY_SKIP_WAIT` names: the tests must then fail. In other
//! builds the question is answered when they are compiled.

/// Every place, for the tests that leave out one after the other.
#[cfg(feature = "skip-waits")]
#[doc(hidden)]
pub const SITES: &[&str] = &[
    CLAIM_READY,
    CLAIM_DONE,
    LOAN_ALSO_ON,
    LOAN_JOIN,
    MIRROR_HEAD,
    MIRROR_READY,
    LOOK,
    LOOK_ON_STREAM,
    RELEASE,
    RELEASE_CONTEXT,
    RELEASE_AFTER,
    SOURCE,
    FLUSH,
    BRING_CONTENT,
    BRING_READERS,
    BRING_SLOT,
    BRING_MEMORY,
    STAGING_WAIT,
    STAGING_KEPT,
    STAGING_STAGE,
];

/// Who writes a slot waits for its last write.
pub(crate) const CLAIM_READY: &str = "claim/ready";
/// And for every reading.
pub(crate) const CLAIM_DONE: &str = "claim/done";
/// Another stream that writes a loan begins after the loan's own.
pub(crate) const LOAN_ALSO_ON: &str = "loan/also-on";
/// A loan is written when the other streams that write it are done too.
pub(crate) const LOAN_JOIN: &str = "loan/join";
/// The mirror's stream waits for the first part of a frame.
pub(crate) const MIRROR_HEAD: &str = "mirror/head";
/// And for all of it.
pub(crate) const MIRROR_READY: &str = "mirror/ready";
/// A consumer's processor waits for the content.
pub(crate) const LOOK: &str = "look/processor";
/// A consumer's stream waits for it.
pub(crate) const LOOK_ON_STREAM: &str = "look/stream";
/// A slot is given back after the streams that read it.
pub(crate) const RELEASE: &str = "release/streams";
/// Or after everything in the context.
pub(crate) const RELEASE_CONTEXT: &str = "release/context";
/// A ticket is written after the one before.
pub(crate) const RELEASE_AFTER: &str = "release/after";
/// What is being copied is kept.
pub(crate) const SOURCE: &str = "source/kept";
/// Who ends waits for what was published.
pub(crate) const FLUSH: &str = "flush/written";
/// A stream that brings a frame to another device waits for its content.
pub(crate) const BRING_CONTENT: &str = "bring/content";
/// And for those who read the memory that it is brought to.
pub(crate) const BRING_READERS: &str = "bring/readers";
/// The frame's slot is given back after that stream.
pub(crate) const BRING_SLOT: &str = "bring/slot";
/// Memory that frames are brought to stays until every copy is made.
pub(crate) const BRING_MEMORY: &str = "bring/memory";
/// A processor waits for the copy of a frame in host memory.
pub(crate) const STAGING_WAIT: &str = "staging/wait";
/// Pinned memory that is let go of stays until it is filled.
pub(crate) const STAGING_KEPT: &str = "staging/kept";
/// So does what is idle when everything for such copies goes.
pub(crate) const STAGING_STAGE: &str = "staging/stage";

/// Never, in what is shipped.
#[cfg(not(feature = "skip-waits"))]
#[inline(always)]
pub(crate) fn is_left_out(_site: &str) -> bool {
    false
}

/// Whether the environment of this test names the place.
#[cfg(feature = "skip-waits")]
pub(crate) fn is_left_out(site: &str) -> bool {
    use std::sync::OnceLock;
    static LEFT_OUT: OnceLock<Option<String>> = OnceLock::new();
    LEFT_OUT.get_or_init(|| std::env::var("UNCOPY_SKIP_WAIT").ok()).as_deref() == Some(site)
}
