// SPDX-License-Identifier: MIT OR Apache-2.0
//! The seam between devices that work by themselves and the links that carry frames in their memory.
//!
//! A link never learns which driver stands behind a device. It asks an [`Accelerator`] for memory, for copies, and for
//! the one thing that orders the work of several processes: *words* of host memory that a stream writes when it gets
//! there, and waits for ([`Timeline`]). A driver's crate implements these traits; the crate that users add introduces
//! it to the links.
//!
//! Nothing here waits for a device. Every call puts work into a stream and returns, or fails and has put none in.
//!
//! Errors are `io::Error`s with the driver's own error inside: `OutOfMemory`, `Unsupported`, `NotFound` and
//! `PermissionDenied` have those kinds, `ResourceBusy` says that a stream is being captured, and `BrokenPipe` that the
//! device is lost to this process for good.

use std::{fmt, io};

use uncopy_core::{Device, DeviceUuid, Stream};

use crate::{Access, Export, Region, ShareHandle, SharedPages, Tensor};

/// A device of this process, with memory and streams of its own.
pub trait Accelerator: Send + Sync + fmt::Debug {
    /// The device, as this process counts it.
    fn device(&self) -> Device;

    /// The same device's name in every process.
    fn uuid(&self) -> DeviceUuid;

    /// Makes zeroed memory that other processes may map, of at least `len_bytes` bytes.
    ///
    /// # Errors
    /// No memory left (nothing is kept then), or a driver that cannot share memory.
    fn allocate(&self, len_bytes: usize) -> io::Result<Box<dyn DeviceMemory>>;

    /// Maps memory that a peer [shared](Export::share), at least `len_bytes` of it. The handle is consumed, also on
    /// refusal; what the peer said about its memory is checked, never believed.
    ///
    /// The region unmaps with its last clone and does not wait for the device: whoever drops it knows that the device
    /// is done with it.
    ///
    /// # Errors
    /// Memory that is smaller, not of this device, or no memory at all.
    fn import(&self, handle: ShareHandle, len_bytes: usize, access: Access) -> io::Result<Region>;

    /// Whether the streams of this device can use memory of `owner`, another device of this machine, where it lies. A
    /// device reaches itself.
    ///
    /// # Errors
    /// `NotFound` where this process does not see `owner`.
    fn reaches(&self, owner: DeviceUuid) -> io::Result<bool>;

    /// [`import`](Self::import) of memory that lies on `owner`, for the streams of this device, which
    /// [reaches](Self::reaches) it. The region's device is this one.
    ///
    /// # Errors
    /// As for [`import`](Self::import), and a device that does not reach that memory.
    fn import_from(
        &self,
        owner: DeviceUuid,
        handle: ShareHandle,
        len_bytes: usize,
        access: Access,
    ) -> io::Result<Region>;

    /// Lets the streams of this device write and await words in these pages.
    ///
    /// # Errors
    /// Memory that can't be pinned, or a device without such operations.
    fn timeline(&self, words: SharedPages) -> io::Result<Box<dyn Timeline>>;

    /// Pins pages, so that copies from and to them go at the full speed of the bus and return at once. The region is
    /// all of them, as host memory of [`DeviceKind::CUDA_HOST`](uncopy_core::DeviceKind::CUDA_HOST) or its like; they
    /// are let go with its last clone.
    ///
    /// # Errors
    /// Memory that can't be pinned.
    fn pin(&self, pages: SharedPages) -> io::Result<Region>;

    /// A stream of this accelerator's own, not ordered after the default stream. It lives as long as the accelerator.
    ///
    /// # Errors
    /// The driver's.
    fn stream(&self) -> io::Result<Stream>;

    /// Puts a copy into `stream`: `from`, wherever it lies, packed in C order into the first bytes of `to`. Either may
    /// be on this device or in host memory; both must stay until the stream has made the copy. What is packed already may
    /// also go to, or come from, another device of the same driver, whether one reaches the other or not.
    ///
    /// # Errors
    /// A layout that the device can't pack by itself, or `to` too small or read-only.
    fn copy(&self, from: &Tensor, to: &Region, stream: Stream) -> io::Result<()>;

    /// Waits until the device has done everything that this process has put into its streams. The last resort of who
    /// can't tell which stream a use was in: it blocks the calling thread for as long as the device works.
    ///
    /// # Errors
    /// The driver's.
    fn settle(&self) -> io::Result<()>;

    /// Makes everything that is put into `later` after this wait for what is in `earlier` now.
    ///
    /// # Errors
    /// The driver's; `ResourceBusy` while one of them is being captured.
    fn order(&self, earlier: Stream, later: Stream) -> io::Result<()>;

    /// Why the device is lost to this process for good, once a call has found it so; `BrokenPipe`. Asks nobody and costs
    /// a load: a device that nobody has called since may be lost too.
    fn loss(&self) -> Option<io::Error>;

    /// Whether `stream` is recording work into a graph instead of doing it.
    ///
    /// # Errors
    /// The driver's.
    fn is_capturing(&self, stream: Stream) -> io::Result<bool>;

    /// The capture that `stream` takes part in now, to be asked later whether it is over: also when the stream is gone by
    /// then. `None` where it takes part in none. The capture is not disturbed, and its graph stays as it is.
    ///
    /// # Errors
    /// The driver's, of a capture that is invalid already, too.
    fn capture_of(&self, stream: Stream) -> io::Result<Option<Box<dyn Capture>>>;
}

/// A recording of work into a graph, which goes on.
pub trait Capture: Send {
    /// Whether it has ended, well or badly, or the device is lost. Names no stream of whoever captures.
    fn is_over(&self) -> bool;
}

/// Memory on a device that other processes may map.
pub trait DeviceMemory: Export + Send + Sync {
    /// All of it, writable. It is freed with this object *and* the last clone of the region, without waiting for the
    /// device: whoever drops the last knows that the device is done with it.
    fn region(&self) -> Region;
}

/// Words of host memory, shared by processes, that streams of one device write and wait for.
pub trait Timeline: Send + Sync {
    /// [`Accelerator::copy`], and a write of the word once it and all that was put in before is done: what a frame
    /// costs, in one call.
    ///
    /// # Errors
    /// As for those; `ResourceBusy` while the stream is being captured, and then nothing was put in.
    fn copy_and_write(
        &self,
        from: &Tensor,
        to: &Region,
        stream: Stream,
        point: TimelinePoint,
    ) -> io::Result<()>;

    /// Everything that is put into `stream` after this waits until each word has [reached](TimelinePoint::is_reached)
    /// its value. No value must be waited for that nobody is bound to write: a stream that waits cannot be ended.
    ///
    /// # Errors
    /// The driver's; `ResourceBusy` while the stream is being captured.
    fn wait(&self, stream: Stream, points: &[TimelinePoint]) -> io::Result<()>;

    /// Writes the word once everything that was put into each of the streams before this call is done. The last
    /// stream writes; it waits for the others, and nothing waits for it.
    ///
    /// # Errors
    /// The driver's; `ResourceBusy` while one of the streams is being captured, and then nothing was put in.
    fn write(&self, after: &[Stream], point: TimelinePoint) -> io::Result<()>;

    /// Makes ready for [`write_after_all`](Self::write_after_all), which a driver may not be able to do.
    ///
    /// # Errors
    /// `Unsupported` where it is not; the driver's.
    fn prepare_after_all(&self) -> io::Result<()>;

    /// Writes the word once everything is done that this process had put into *any* stream of the device before this
    /// call, and `after` is reached, if there is one. A stream of the timeline's own waits and writes.
    ///
    /// # Errors
    /// As for [`prepare_after_all`](Self::prepare_after_all); `ResourceBusy` where some stream was being captured:
    /// nothing was put in, and *the capture is invalid from now on*.
    fn write_after_all(&self, after: Option<TimelinePoint>, point: TimelinePoint) -> io::Result<()>;
}

/// A word of a timeline and a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TimelinePoint {
    /// Where the word lies, from the first byte of the timeline's memory; a multiple of 4.
    pub offset_bytes: usize,
    /// The value.
    pub value: u32,
}

impl TimelinePoint {
    /// Whether a word that reads `now` has reached this point. Values wrap, so that the comparison is cyclic: that of
    /// `cuStreamWaitValue32` with `CU_STREAM_WAIT_VALUE_GEQ`.
    #[must_use]
    pub fn is_reached(self, now: u32) -> bool {
        now.wrapping_sub(self.value).cast_signed() >= 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_reached_by_its_value_and_the_two_billion_after_it() {
        let point = TimelinePoint { offset_bytes: 0, value: u32::MAX };
        assert!(point.is_reached(u32::MAX) && point.is_reached(0) && point.is_reached(0x7FFF_FFFE));
        assert!(!point.is_reached(u32::MAX - 1) && !point.is_reached(0x7FFF_FFFF));
    }
}
