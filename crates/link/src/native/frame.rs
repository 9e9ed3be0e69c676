// SPDX-License-Identifier: MIT OR Apache-2.0
//! A received frame: a description of its own and a lease that keeps the shared bytes as they are.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use uncopy_core::{CopyRecord, Device, Layout, Stream};
use uncopy_tensor::{Accelerator, Element, Tensor, View};

use super::attachment::{FrameContext, Lease};
use super::description::{self, Description};
use crate::error::LinkError;
use crate::form::Form;
use crate::meta::{Captured, UserMeta};
use crate::stamp::Stamp;

/// A frame of another process, held: its bytes stay as they are until the last clone, view and tensor of it is gone.
///
/// The memory is shared and read-only; nothing was copied to get here. Holding a frame keeps one slot from the
/// producer, so hold as many as the link has slots for (slots - 2) and drop the others.
///
/// A clone is the same lease and costs two counters; nothing is allocated to receive a frame in host memory.
#[derive(Clone)]
pub struct Frame {
    lease: Lease,
    description: Description,
    missed: u64,
    lazy: Lazy,
}

/// What is made of a frame on demand. A clone makes its own.
#[derive(Default)]
struct Lazy(OnceLock<Box<Made>>);

#[derive(Default)]
struct Made {
    tensor: OnceLock<Option<Tensor>>,
    meta: OnceLock<Box<[u8]>>,
    copies: OnceLock<Box<[CopyRecord]>>,
}

impl Clone for Lazy {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Frame {
    #[inline(always)]
    pub(crate) fn new(lease: Lease, description: Description, missed: u64) -> Self {
        Self { lease, description, missed, lazy: Lazy::default() }
    }

    fn made(&self) -> &Made {
        self.lazy.0.get_or_init(Box::default)
    }

    /// The tensor behind borrowed views; it needs no lease of its own.
    fn borrowed(&self) -> Result<&Tensor, LinkError> {
        if self.lease.context.attachment.is_foreign() {
            return Err(LinkError::Forked { name: self.lease.context.attachment.name.clone() });
        }
        match self.made().tensor.get_or_init(|| tensor_over(&self.lease, ()).ok()) {
            Some(tensor) => Ok(tensor),
            // The error that making it met.
            None => Err(tensor_over(&self.lease, ()).err().unwrap_or(LinkError::ForeignClaim)),
        }
    }

    /// The producer's number of this frame, from 1.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.description.seq
    }

    /// The allocation of frame memory that it lies in; changes when frames outgrow their slots.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.description.epoch()
    }

    /// Dtype, shape, strides, pixel format and origin.
    #[must_use]
    pub fn form(&self) -> &Form {
        &self.lease.context.form
    }

    /// Dtype, shape and strides.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        self.form().layout()
    }

    /// When it was published, on the clock that all processes of this machine share.
    #[must_use]
    pub fn published(&self) -> Stamp {
        Stamp::new(self.description.published_nanos, self.lease.context.attachment.is_of_this_boot)
    }

    /// When it was published: nanoseconds of this process's `CLOCK_MONOTONIC`.
    #[must_use]
    pub fn published_nanos(&self) -> u64 {
        self.published().nanos()
    }

    /// Time since it was published; `None` where its stamp is of another boot, and no measure of anything.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.published().age()
    }

    /// When its content came to be, if the producer said so, on the producer's clock.
    #[must_use]
    pub fn captured(&self) -> Option<Captured> {
        self.description.captured()
    }

    /// Frames that were published between the one received before (or, for the first, the joining of the producer) and
    /// this one: the price of reading the latest.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// The producer's metadata, copied out of shared memory on the first call.
    #[must_use]
    pub fn meta(&self) -> UserMeta<'_> {
        let control = self.lease.context.control();
        let len = self.description.meta_len();
        let bytes = self.made().meta.get_or_init(|| description::load_meta(control, self.lease.slot, len));
        UserMeta { kind: self.description.meta_kind(), bytes }
    }

    /// Every copy that the content went through, with the reason. Empty for a frame that was rendered into its slot.
    #[must_use]
    pub fn copies(&self) -> &[CopyRecord] {
        let control = self.lease.context.control();
        let len = self.description.copies_len();
        self.made().copies.get_or_init(|| description::load_copies(control, self.lease.slot, len))
    }

    /// Where its bytes are.
    #[must_use]
    pub fn device(&self) -> Device {
        self.lease.context.map.device()
    }

    /// Notes that work in `stream` reads the frame, through an address or a view: the slot goes back to the producer only
    /// after what the stream holds when the last of frame, views and tensors is dropped. Without any such stream it goes
    /// back at that moment. Nothing is noted of a frame in host memory.
    ///
    /// **The stream lives until then**: a call of the driver on a stream that was destroyed ends the process. Once the last of
    /// frame, views and tensors is gone it may be destroyed at once, whatever it still has to do. A tensor that was given to
    /// [`send_on`](crate::Publisher::send_on) is one of them until it is given back. Where the stream's end can't be told
    /// by the frame's, [`used_on_kept`](Self::used_on_kept) keeps it.
    ///
    /// If the stream is being captured at that moment, the slot goes back after the capture, and after everything that the
    /// device was given by then; a capture that is begun just then can be ended by that.
    pub fn used_on(&self, stream: Stream) {
        self.lease.note_use(stream);
    }

    /// As [`used_on`](Self::used_on), and takes what keeps the stream from being destroyed, such as a share of its owner.
    /// It is dropped, on any thread, once the stream is not needed any more: after the last of frame, views and tensors, or
    /// later if the stream is being captured at that moment. The slot goes back by the stream then too, and no other capture
    /// is in danger.
    pub fn used_on_kept(&self, stream: Stream, keeper: impl Send + Sync + 'static) {
        self.lease.note_use_kept(stream, Box::new(keeper));
    }

    /// Orders `stream` after the content of the frame and notes it as [used](Self::used_on): work that is put into it
    /// after this call may read the frame. Only a frame that was received [for another
    /// stream](crate::Subscriber::recv_on) has its content still to come; for every other this is
    /// [`used_on`](Self::used_on), and the stream lives as long as there.
    ///
    /// # Errors
    /// [`LinkError::Capturing`] and [`LinkError::Device`].
    pub fn ready_on(&self, stream: Stream) -> Result<(), LinkError> {
        self.lease.order_after_content(stream)?;
        self.used_on(stream);
        Ok(())
    }

    /// Notes that something reads the frame on its device that can't say in which stream: the slot goes back to the
    /// producer only when the device has done everything that this process gave it. Costs a thread at that moment, so
    /// that [`used_on`](Self::used_on) is better wherever the stream is known.
    pub fn used_anywhere(&self) {
        self.lease.note_use_anywhere();
    }

    /// The device that it is on, and what that can do; `None` for a frame in host memory.
    pub(crate) fn accelerator(&self) -> Option<&Arc<dyn Accelerator>> {
        self.lease.context.map.on_device().map(|map| map.accelerator())
    }

    /// The name of its link.
    #[must_use]
    pub fn link(&self) -> &str {
        &self.lease.context.attachment.name
    }

    /// Whether its content never came: the producer died while its device was at work on it. Only a frame that was
    /// received [for a stream](crate::Subscriber::recv_on) can turn out so.
    #[must_use]
    pub fn is_torn(&self) -> bool {
        self.lease.is_torn()
    }

    /// The bytes of the frame from its first to its last element, shared and read-only. There are none of a frame on a
    /// [device](Self::device): see [`tensor`](Self::tensor). In a process that was forked after the frame was received
    /// there are none either: frames stay with the process that holds them.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        let Lease { context, slot, .. } = &self.lease;
        let FrameContext { attachment, map, form, .. } = &**context;
        if attachment.is_foreign() {
            return &[];
        }
        map.bytes(*slot, form.len_bytes())
    }

    /// The frame as an array of `N` axes of `T`, borrowed from this frame: no copy.
    ///
    /// # Errors
    /// [`LinkError::Tensor`] where the dtype or the number of axes is another; [`LinkError::Forked`] in a process that
    /// was forked after the frame was received.
    pub fn view<T: Element, const N: usize>(&self) -> Result<View<'_, T, N>, LinkError> {
        Ok(self.borrowed()?.view()?)
    }

    /// The frame as a tensor: shared, read-only, and holding the lease by itself. On a device whoever reads it in a
    /// stream says so with [`used_on`](Self::used_on).
    ///
    /// # Errors
    /// [`LinkError::Forked`] in a process that was forked after the frame was received; [`LinkError::Os`] where the
    /// system refuses, which is not expected for a frame that was received.
    pub fn tensor(&self) -> Result<Tensor, LinkError> {
        tensor_over(&self.lease, self.lease.clone())
    }

    /// Address of the first element in this process: equal addresses are the same memory.
    #[must_use]
    pub fn address(&self) -> usize {
        self.lease.context.map.address(self.lease.slot)
    }
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Frame {} of '{}': {}", self.seq(), self.lease.context.attachment.name, self.form())
    }
}

/// The bytes of a held slot as a read-only tensor that keeps `hold` alive.
fn tensor_over(lease: &Lease, hold: impl Send + Sync + 'static) -> Result<Tensor, LinkError> {
    let FrameContext { attachment, map, form, .. } = &*lease.context;
    if attachment.is_foreign() {
        return Err(LinkError::Forked { name: attachment.name.clone() });
    }
    let region = map.region(lease.slot, form.len_bytes(), hold)?;
    Ok(Tensor::new(region, *form.layout(), 0)?.read_only())
}
