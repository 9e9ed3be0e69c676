// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames of a device, copied to the host: into pinned memory, which is used again.
//!
//! A copy is put into a stream of ours, and a word of shared memory says when it is done: the processor waits for that
//! word alone, and for nothing else that the device does.

use std::sync::atomic::Ordering::Acquire;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use uncopy_core::{CopyReason, CopyRecord, Device, Layout, Stream};
use uncopy_os::{OsError, SharedMemory, SlotMemory, fork_generation, slot_align_bytes};
use uncopy_tensor::{Accelerator, Region, Tensor, Timeline, TimelinePoint};

use super::pace::{LOOK_EVERY, OVERRUN, SPIN};
use super::receive::spin_until;
use super::{Frame, SLICE, Waiting};
use crate::error::LinkError;
use crate::native::attachment::is_lost;
use crate::native::frame_memory::on_device;
use crate::service::{ask_until_done, lock};
use crate::site::{self, is_left_out};

/// Buffers that are kept while nobody uses them.
const MOST_IDLE: usize = 3;
/// Bytes of the page whose words say which copies are done.
const WORDS_BYTES: usize = 4096;

/// Pinned host memory that frames are copied into. Clones share it; it goes with the last of them and of the copies.
///
/// ```no_run
/// use std::time::Duration;
/// use uncopy_link::{Staging, subscribe};
///
/// let mut sub = subscribe("render").open()?;
/// let staging = Staging::new();
/// let frame = sub.recv(Duration::from_secs(1))?;
/// let on_host = staging.begin(&frame)?.wait(None)?; // other work can be done before `wait`
/// assert!(on_host.device().is_host_accessible());
/// # Ok::<(), uncopy_link::LinkError>(())
/// ```
#[derive(Clone, Default)]
pub struct Staging {
    stage: Arc<Mutex<Option<Arc<Stage>>>>,
}

/// What copies from one device need.
struct Stage {
    accelerator: Arc<dyn Accelerator>,
    stream: Stream,
    words: Arc<SharedMemory>,
    timeline: Arc<dyn Timeline>,
    idle: Mutex<Vec<Buffer>>,
    /// Words that no buffer has.
    free_words: Mutex<Vec<usize>>,
    /// How long copies took of late.
    takes: Mutex<Duration>,
    /// In a forked child all of it is the parent's.
    generation: u32,
}

/// Pinned memory for one frame, and the word that says when it is filled.
struct Buffer {
    region: Region,
    offset_bytes: usize,
    /// What the word says when the last copy is done.
    filled: u32,
}

/// A buffer in use; it goes back when the last array over it is gone.
struct Lent {
    stage: Arc<Stage>,
    buffer: Option<Buffer>,
}

/// A frame on its way to the host. The frame may be dropped meanwhile.
pub struct HostCopy {
    stage: Arc<Stage>,
    tensor: Tensor,
    point: TimelinePoint,
    begun: Instant,
    record: CopyRecord,
    link: String,
}

impl Staging {
    /// No memory yet: it is made for the first frame.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins to copy a frame that is on a device. Returns at once; [`HostCopy::wait`] gives the copy. The frame goes
    /// back to its producer after it, whenever it is dropped.
    ///
    /// # Errors
    /// [`LinkError::WrongPlace`] for a frame in host memory, [`LinkError::Device`], and no memory.
    pub fn begin(&self, frame: &Frame) -> Result<HostCopy, LinkError> {
        let stage = self.stage_for(frame)?;
        let source = frame.tensor()?;
        let layout = source.layout().to_c_contiguous();
        let link = frame.link().to_owned();
        let mut lent =
            Lent { buffer: Some(stage.buffer(&link, layout.len_bytes())?), stage: Arc::clone(&stage) };
        let Some(buffer) = lent.buffer.as_mut() else { return Err(LinkError::ForeignClaim) };
        // Before anything is put in: from here on the frame waits for our stream.
        frame.ready_on(stage.stream)?;
        let point = TimelinePoint { offset_bytes: buffer.offset_bytes, value: buffer.filled.wrapping_add(1) };
        let put = stage.timeline.copy_and_write(&source, &buffer.region, stage.stream, point);
        put.map_err(on_device(&link, "copying a frame to the host"))?;
        buffer.filled = point.value;
        let tensor = whole(&buffer.region.clone(), layout, lent)?;
        let len_bytes = layout.len_bytes() as u64;
        let record =
            CopyRecord { reason: CopyReason::DEVICE, from: frame.device(), to: Device::CPU, len_bytes };
        Ok(HostCopy { stage, tensor, point, begun: Instant::now(), record, link })
    }

    fn stage_for(&self, frame: &Frame) -> Result<Arc<Stage>, LinkError> {
        let Some(accelerator) = frame.accelerator() else {
            return Err(LinkError::WrongPlace {
                name: frame.link().to_owned(),
                what: "a frame to be copied to the host",
                found: frame.device(),
                wanted: Device::cuda(0),
            });
        };
        let mut known = lock(&self.stage);
        match &*known {
            Some(stage) if stage.accelerator.uuid() == accelerator.uuid() => Ok(Arc::clone(stage)),
            _ => Ok(Arc::clone(known.insert(Arc::new(Stage::new(frame.link(), accelerator)?)))),
        }
    }
}

/// A buffer's bytes as an array that gives the buffer back.
fn whole(region: &Region, layout: Layout, lent: Lent) -> Result<Tensor, LinkError> {
    let region = region.part(0, layout.len_bytes(), lent)?;
    Ok(Tensor::new(region, layout, 0)?)
}

impl Stage {
    fn new(link: &str, accelerator: &Arc<dyn Accelerator>) -> Result<Self, LinkError> {
        let failed = || on_device(link, "preparing copies to the host");
        let words = Arc::new(SharedMemory::create("uncopy-copied", WORDS_BYTES)?);
        let pages = words.shared_pages(0, WORDS_BYTES)?;
        Ok(Self {
            stream: accelerator.stream().map_err(failed())?,
            timeline: Arc::from(accelerator.timeline(pages).map_err(failed())?),
            accelerator: Arc::clone(accelerator),
            words,
            idle: Mutex::default(),
            free_words: Mutex::new((0..WORDS_BYTES / 4).map(|word| word * 4).collect()),
            takes: Mutex::default(),
            generation: fork_generation(),
        })
    }

    /// A buffer that nobody uses, or a new one. Copies are made one after the other, so that one whose last copy is
    /// still being made can be used again.
    fn buffer(self: &Arc<Self>, link: &str, len_bytes: usize) -> Result<Buffer, LinkError> {
        let mut idle = lock(&self.idle);
        let fits = |buffer: &Buffer| buffer.region.len_bytes() >= len_bytes;
        if let Some(at) = idle.iter().position(fits) {
            return Ok(idle.swap_remove(at));
        }
        // Frames have grown: those are too small from now on.
        let outgrown = std::mem::take(&mut *idle);
        drop(idle);
        outgrown.into_iter().for_each(|buffer| self.end(buffer));
        let memory =
            SlotMemory::create("uncopy-staging", 1, len_bytes.max(1).next_multiple_of(slot_align_bytes()))?;
        let pinned = self.accelerator.pin(memory.shared_pages()?);
        let region = pinned.map_err(on_device(link, "pinning memory for a copy"))?;
        let Some(offset_bytes) = lock(&self.free_words).pop() else {
            return Err(OsError::BadLength { what: "copies of frames held at once", len_bytes: 1024 }.into());
        };
        let filled = self.word(offset_bytes);
        Ok(Buffer { region, offset_bytes, filled })
    }

    fn word(&self, offset_bytes: usize) -> u32 {
        self.words.words().load_u32(offset_bytes, Acquire).unwrap_or_default()
    }

    fn is_reached(&self, point: TimelinePoint) -> bool {
        point.is_reached(self.word(point.offset_bytes))
    }

    /// Takes back a buffer that nobody looks at any more.
    fn give_back(self: &Arc<Self>, buffer: Buffer) {
        let mut idle = lock(&self.idle);
        if idle.len() < MOST_IDLE {
            idle.push(buffer);
            return;
        }
        drop(idle);
        self.end(buffer);
    }

    /// Lets go of a buffer, which the device may still be filling.
    fn end(self: &Arc<Self>, buffer: Buffer) {
        let stage = Arc::clone(self);
        let mut kept = Some(buffer);
        ask_until_done(move || {
            let is_filled = kept.as_ref().is_none_or(|buffer| {
                stage.is_reached(TimelinePoint { offset_bytes: buffer.offset_bytes, value: buffer.filled })
            }) || is_lost(&*stage.accelerator)
                || is_left_out(site::STAGING_KEPT);
            if let Some(buffer) = kept.take_if(|_| is_filled) {
                lock(&stage.free_words).push(buffer.offset_bytes);
            }
            is_filled
        });
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(buffer) = self.buffer.take() {
            match self.stage.generation == fork_generation() {
                true => self.stage.give_back(buffer),
                false => std::mem::forget(buffer),
            }
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // Unpinning does not wait for the device; what it still fills stays until it is filled.
        let idle = std::mem::take(&mut *lock(&self.idle));
        let words = Arc::clone(&self.words);
        if self.generation != fork_generation() {
            std::mem::forget((idle, Arc::clone(&self.timeline), Arc::clone(&self.accelerator)));
            return;
        }
        let mut kept = Some((idle, Arc::clone(&self.timeline), Arc::clone(&self.accelerator)));
        ask_until_done(move || {
            let is_filled = |buffer: &Buffer| {
                let now = words.words().load_u32(buffer.offset_bytes, Acquire).unwrap_or_default();
                TimelinePoint { offset_bytes: 0, value: buffer.filled }.is_reached(now)
            };
            let is_over = is_left_out(site::STAGING_STAGE)
                || kept.as_ref().is_none_or(|(idle, _, accelerator)| {
                    idle.iter().all(is_filled) || is_lost(&**accelerator)
                });
            if is_over {
                drop(kept.take());
            }
            is_over
        });
    }
}

impl HostCopy {
    /// Whether the copy is made.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.stage.is_reached(self.point)
    }

    /// What is to be said of it.
    #[must_use]
    pub fn record(&self) -> CopyRecord {
        self.record
    }

    /// Waits for the copy: a writable array in C order, whose memory is used again when its last clone is gone.
    ///
    /// # Errors
    /// [`LinkError::Device`] when the device is lost, [`LinkError::Interrupted`].
    pub fn wait(&self, mut waiting: Option<&mut dyn Waiting>) -> Result<Tensor, LinkError> {
        let mut asked = Instant::now();
        let takes = *lock(&self.stage.takes);
        let mut nap = takes.saturating_sub(self.begun.elapsed() + OVERRUN);
        // Near the end a sleep would overrun it.
        let mut spin = SPIN.max(takes / 4);
        loop {
            if !nap.is_zero() {
                std::thread::sleep(nap.min(SLICE));
            }
            if is_left_out(site::STAGING_WAIT) || spin_until(spin, || self.is_done()) {
                break;
            }
            spin = SPIN;
            nap = (self.begun.elapsed() / 8).clamp(SPIN, LOOK_EVERY);
            if asked.elapsed() >= SLICE {
                asked = Instant::now();
                // A device that is lost never writes the word, and says so when it is asked.
                let answer = self.stage.accelerator.is_capturing(self.stage.stream);
                answer.map_err(on_device(&self.link, "waiting for a copy to the host"))?;
                if !waiting.as_mut().is_none_or(|waiting| waiting.keep_waiting()) {
                    return Err(LinkError::Interrupted);
                }
            }
        }
        let mut takes = lock(&self.stage.takes);
        // The least of late, rising slowly: who comes late to look must not make the next one sleep too long.
        *takes = self.begun.elapsed().min(*takes + *takes / 8 + SPIN);
        Ok(self.tensor.clone())
    }
}

impl std::fmt::Debug for HostCopy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = if self.is_done() { "done" } else { "on its way" };
        write!(f, "HostCopy of a frame of '{}', {state}", self.link)
    }
}

impl std::fmt::Debug for Staging {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Staging")
    }
}
