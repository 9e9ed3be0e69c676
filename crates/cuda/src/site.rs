// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names of the places at which a wait of the device is put in.
//!
//! A wait that is forgotten shows as a torn frame, once in a while, on some machines. So each wait has a name, and a
//! test build (feature `skip-waits`) leaves out the one that `UNCOPY_SKIP_WAIT` names: the tests must then fail. In
//! other builds the question is answered when they are compiled.

/// One place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Site(&'static str);

impl Site {
    /// A stream waits for words of a timeline: [`Timeline::wait`](uncopy_tensor::Timeline::wait).
    pub const TIMELINE_WAIT: Site = Site("timeline/wait");
    /// The stream that writes a word waits for the others: [`Timeline::write`](uncopy_tensor::Timeline::write).
    pub const TIMELINE_JOIN: Site = Site("timeline/join");
    /// A stream waits for everything in its context, to write a word:
    /// [`Timeline::write_after_all`](uncopy_tensor::Timeline::write_after_all).
    pub const TIMELINE_ALL: Site = Site("timeline/all");
    /// And for the word that is written before.
    pub const TIMELINE_ALL_AFTER: Site = Site("timeline/all-after");
    /// A stream waits for another: [`Accelerator::order`](uncopy_tensor::Accelerator::order).
    pub const STREAM_ORDER: Site = Site("stream/order");
    /// New memory is waited for until it is zeroed.
    pub const MEMORY_ZEROED: Site = Site("memory/zeroed");

    /// Every place of this crate.
    pub const ALL: &[Site] = &[
        Site::TIMELINE_WAIT,
        Site::TIMELINE_JOIN,
        Site::TIMELINE_ALL,
        Site::TIMELINE_ALL_AFTER,
        Site::STREAM_ORDER,
        Site::MEMORY_ZEROED,
    ];

    /// Never, in what is shipped.
    #[cfg(not(feature = "skip-waits"))]
    #[inline(always)]
    pub(crate) fn is_skipped(self) -> bool {
        false
    }

    /// Whether the environment of this test names it.
    #[cfg(feature = "skip-waits")]
    pub(crate) fn is_skipped(self) -> bool {
        use std::sync::OnceLock;
        static SKIPPED: OnceLock<Option<String>> = OnceLock::new();
        SKIPPED.get_or_init(|| std::env::var("UNCOPY_SKIP_WAIT").ok()).as_deref() == Some(self.0)
    }

    /// The name, as `UNCOPY_SKIP_WAIT` has it.
    pub fn name(self) -> &'static str {
        self.0
    }
}
