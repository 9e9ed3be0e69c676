// SPDX-License-Identifier: MIT OR Apache-2.0
//! Epochs: which frame memory the next frame goes into, and when there must be another.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, Release};

use uncopy_os::{WatchGuard, kill_point, slot_align_bytes, watch_read_only};
use uncopy_tensor::Access;

use super::device::Target;
use super::{FormWords, FrameMemory, Publisher};
use crate::error::LinkError;
use crate::form::Form;
use crate::native::wire::MAX_FRAME_BYTES;

/// The frame memory of the current epoch.
pub(super) struct Epoch {
    pub(super) number: u32,
    /// Explains the crash of a late write through a view; made when the first slot is protected. Ends before the
    /// memory.
    guard: Option<WatchGuard>,
    pub(super) memory: FrameMemory,
}

impl Epoch {
    /// Makes a published slot read-only, because a view of its loan is alive. On a device nothing can.
    pub(super) fn protect(&mut self, name: &str, slot: usize) -> Result<(), LinkError> {
        let FrameMemory::Host(memory) = &self.memory else { return Ok(()) };
        self.guard.get_or_insert_with(|| {
            let first = memory.address();
            let note =
                format!("a slot of link '{name}' that was published; write before the end of its loan");
            watch_read_only((first, first + memory.len_bytes()), note)
        });
        Ok(memory.protect(slot, Access::ReadOnly)?)
    }
}

impl Publisher {
    /// Makes sure that the slots of the current epoch can take a frame of `form`.
    pub(super) fn prepare(&mut self, form: &Form, target: &Target) -> Result<(), LinkError> {
        let shrinks = self.small_frames >= SHRINK_AFTER_FRAMES;
        let is_there = |epoch: &Epoch| target.is_at(epoch.memory.place());
        let is_in_place = self.epoch.as_ref().is_some_and(is_there);
        if !shrinks && is_in_place && matches!(&self.form, Some((last, _)) if **last == *form) {
            return Ok(());
        }
        self.check_form(form)?;
        let stride = form.len_bytes().max(1).next_multiple_of(slot_align_bytes());
        let have = self.epoch.as_ref().filter(|_| is_in_place).map(|epoch| epoch.memory.stride_bytes());
        match have {
            Some(have) if stride <= have && !shrinks => {}
            Some(have) if stride <= have => {
                self.small_frames = 0;
                if wastes(have, stride)
                    && let Err(error) = self.start_epoch(stride, target)
                {
                    // Less memory would be better; what there is serves as well.
                    tracing::warn!(link = self.name(), %error, "memory could not be given back");
                }
            }
            _ => {
                self.start_epoch(stride, target)?;
                self.small_frames = 0;
            }
        }
        if !matches!(&self.form, Some((last, _)) if **last == *form) {
            let words = FormWords::of(form, self.form.as_ref().map(|(_, words)| words));
            self.form = Some((Arc::new(*form), words));
        }
        Ok(())
    }

    /// Counts frames in a row that leave most of their slots empty: this one is of `len_bytes`.
    #[inline]
    pub(super) fn note_len(&mut self, len_bytes: usize) {
        let have = self.epoch.as_ref().map_or(0, |epoch| epoch.memory.stride_bytes());
        self.small_frames = if wastes(have, len_bytes) { self.small_frames.saturating_add(1) } else { 0 };
    }

    /// Whether this link carries frames of `form` at all.
    fn check_form(&self, form: &Form) -> Result<(), LinkError> {
        if let Some(fixed) = self.fixed.filter(|fixed| fixed != form) {
            return Err(self.mismatch(&fixed, form));
        }
        if !form.is_writable() {
            return Err(LinkError::FormNotWritable { form: Box::new(*form) });
        }
        let len_bytes = form.len_bytes();
        if len_bytes > MAX_FRAME_BYTES {
            return Err(LinkError::FrameTooLarge {
                form: Box::new(*form),
                len_bytes,
                limit_bytes: MAX_FRAME_BYTES,
            });
        }
        Ok(())
    }

    /// New frame memory: consumers get it over their sockets before a frame in it is published.
    fn start_epoch(&mut self, stride: usize, target: &Target) -> Result<(), LinkError> {
        let number = self.epoch.as_ref().map_or(1, |epoch| epoch.number.wrapping_add(1).max(1));
        let memory = self.make_memory(stride, target)?;
        kill_point("producer.epoch_made");
        self.retire_memory();
        for state in &mut self.slots {
            // Views of the old memory keep that memory; the new slots have none.
            state.views = Arc::default();
        }
        self.control.live().slot_stride().store(stride as u64, Relaxed);
        self.control.live().show_memory(&memory.info());
        self.control.live().epoch().store(number, Release);
        self.server.announce(number, memory.clone());
        kill_point("producer.epoch_told");
        self.epoch = Some(Epoch { number, memory, guard: None });
        Ok(())
    }
}

/// Frames in a row that leave most of their slots empty before memory is given back.
const SHRINK_AFTER_FRAMES: u32 = 256;

/// Whether slots of `have` bytes are far too large for frames that need `need`.
#[inline]
fn wastes(have: usize, need: usize) -> bool {
    have > 1 << 20 && have / 4 >= need
}
