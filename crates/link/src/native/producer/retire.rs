// SPDX-License-Identifier: MIT OR Apache-2.0
//! Giving back what a device was still at work on: arrays that were sent, once they are copied, and the memory of an
//! epoch that has ended, once its last frame is written.

use std::sync::Arc;
use std::sync::atomic::Ordering::Acquire;

use uncopy_os::PidFd;
use uncopy_tensor::{Tensor, TimelinePoint};

use super::{DeviceSlots, FrameMemory, Publisher, SlotState};
use crate::native::attachment::is_lost;
use crate::native::control::{Control, Live};
use crate::native::order::{self, DeviceCells, DeviceWord, Part};
use crate::native::server::Server;
use crate::native::wire::producer_state;
use crate::service::ask_until_done;

impl Publisher {
    /// Lets go of the memory of the current epoch as soon as its device has done what was put into streams: unmapping
    /// does not wait.
    pub(super) fn retire_memory(&mut self) {
        let Some(FrameMemory::Device(memory)) = self.epoch.take().map(|epoch| epoch.memory) else { return };
        // Dropped on this thread unless it ends the link before they are copied.
        let_copied_sources_go(self.control.live(), &mut self.slots);
        let sources = self.slots.iter_mut().map(|state| std::mem::take(&mut state.sources)).collect();
        let mut retired = Retired {
            has_mirror: memory.mirror.is_some(),
            kept: Some(Kept { memory, _sources: sources }),
            writes: self.slots.iter().map(|state| state.writes).collect(),
            // Our streams may wait for readers, whose death nobody else notices once the link is closed.
            readers: self.readers_at_close.take().unwrap_or_else(|| self.server.readers()),
            control: self.control.clone(),
            server: Arc::clone(&self.server),
        };
        ask_until_done(move || retired.is_over());
    }
}

/// The memory of an epoch that has ended, while its device may still be at work on it.
struct Retired {
    kept: Option<Kept>,
    has_mirror: bool,
    /// Per slot, how often the device was let at it.
    writes: Vec<u32>,
    readers: Vec<(u32, Arc<PidFd>)>,
    control: Control,
    server: Arc<Server>,
}

/// What the device reads and writes.
struct Kept {
    memory: Arc<DeviceSlots>,
    _sources: Vec<Vec<(Tensor, u32)>>,
}

impl Retired {
    /// Lets go of everything when the device is done with it, or is lost. Returns whether it is.
    fn is_over(&mut self) -> bool {
        self.end_waits_for_the_dead();
        let is_written = self.is_written();
        let is_lost = !is_written && self.is_lost();
        if is_lost && self.server.state() != producer_state::LIVE {
            // Nothing is written any more, so that nobody else ends the waits for it.
            order::force_ready(&self.control.live());
        }
        if is_written || is_lost {
            drop(self.kept.take());
        }
        is_written || is_lost
    }

    fn end_waits_for_the_dead(&self) {
        for (place, process) in &self.readers {
            if process.is_dead() {
                order::force_done(&self.control.live(), *place);
            }
        }
    }

    /// Whether every write has been made, in the mirror too.
    fn is_written(&self) -> bool {
        let live = self.control.live();
        self.writes.iter().enumerate().all(|(slot, write)| {
            order::is_at_least(&live, slot, Part::Device, *write)
                && (!self.has_mirror || order::is_at_least(&live, slot, Part::Mirror, *write))
        })
    }

    fn is_lost(&self) -> bool {
        self.kept.as_ref().is_some_and(|kept| is_lost(&*kept.memory.accelerator))
    }
}

/// Gives back what has been copied into slots. On the caller's thread: a tensor's owner may be anybody's.
#[inline]
pub(super) fn let_copied_sources_go(control: Live<'_>, slots: &mut [SlotState]) {
    for (slot, state) in slots.iter_mut().enumerate() {
        if !state.sources.is_empty() {
            let ready = DeviceWord::load(control.ready(slot), Acquire);
            let is_copied = |write| TimelinePoint { offset_bytes: 0, value: write }.is_reached(ready);
            state.sources.retain(|(_, write)| !is_copied(*write));
        }
    }
}
