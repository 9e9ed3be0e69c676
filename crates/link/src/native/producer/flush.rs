// SPDX-License-Identifier: MIT OR Apache-2.0
//! Waiting until devices have written what was published: a process that ends takes the work of its devices with it.

use std::time::{Duration, Instant};

use uncopy_os::fork_generation;

use super::Publisher;
use super::retire::let_copied_sources_go;
use crate::error::LinkError;
use crate::native::consumer::{LOOK_EVERY, SPIN, Waiting, spin_until};
use crate::native::order::{self, Part};
use crate::site::{self, is_left_out};

/// Between two times that the caller is asked whether to go on.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// What has become of the frames that were published.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    Whole,
    NotYet,
    /// The device is lost, and some will never be whole: so the promises' vigil has marked them.
    Never,
}

impl Publisher {
    /// How long [`close`](Self::close) waits at most for devices.
    pub const CLOSE_PATIENCE: Duration = Duration::from_secs(1);

    /// Waits until devices have written every frame that was published and is still there, mirrors included, at most
    /// `timeout`. Returns whether they have; at once where all frames are in host memory. From then on the frames need this
    /// process no longer, and what was [sent](Publisher::send_on) has been given back. Loans that are not published are not
    /// waited for.
    ///
    /// The link goes on meanwhile: consumers receive, join and leave. `false` when the time is over; within about a
    /// second when the device is lost to this process, which ends the link; and at once in a process that was forked
    /// after the link was opened.
    pub fn flush(&mut self, timeout: Duration) -> bool {
        self.flush_until(Some(timeout), None).unwrap_or(false)
    }

    /// Like [`flush`](Self::flush), telling `waiting` about the wait; without a timeout for as long as it takes.
    ///
    /// # Errors
    /// [`LinkError::Interrupted`].
    pub fn flush_with(
        &mut self,
        timeout: Option<Duration>,
        waiting: &mut dyn Waiting,
    ) -> Result<bool, LinkError> {
        self.flush_until(timeout, Some(waiting))
    }

    fn flush_until(
        &mut self,
        timeout: Option<Duration>,
        waiting: Option<&mut dyn Waiting>,
    ) -> Result<bool, LinkError> {
        if self.generation != fork_generation() {
            return Ok(false);
        }
        let is_whole = self.wait_until_written(timeout, waiting);
        let_copied_sources_go(self.control.live(), &mut self.slots);
        is_whole
    }

    fn wait_until_written(
        &self,
        timeout: Option<Duration>,
        mut waiting: Option<&mut dyn Waiting>,
    ) -> Result<bool, LinkError> {
        if is_left_out(site::FLUSH) {
            return Ok(true);
        }
        let begun = Instant::now();
        let (mut asked, mut nap) = (begun, SPIN);
        loop {
            spin_until(SPIN, || self.written() != Written::NotYet);
            match self.written() {
                Written::Whole => return Ok(true),
                Written::Never => return Ok(false),
                Written::NotYet => {}
            }
            let left = timeout.map(|timeout| timeout.saturating_sub(begun.elapsed()));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(false);
            }
            std::thread::sleep(left.map_or(nap, |left| left.min(nap)));
            nap = (nap * 2).min(LOOK_EVERY);
            if asked.elapsed() >= ASK_EVERY {
                asked = Instant::now();
                if waiting.as_mut().is_some_and(|waiting| !waiting.keep_waiting()) {
                    return Err(LinkError::Interrupted);
                }
            }
        }
    }

    fn written(&self) -> Written {
        let control = self.control.live();
        let mut all = Written::Whole;
        for (slot, state) in self.slots.iter().enumerate() {
            for part in [Part::Device, Part::Mirror] {
                if part == Part::Mirror && !self.is_mirrored {
                    continue;
                }
                if !order::is_at_least(&control, slot, part, state.shown) {
                    all = Written::NotYet;
                } else if order::is_torn(&control, slot, part) {
                    return Written::Never;
                }
            }
        }
        all
    }
}
