// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a frame's calls cost over the bare calls of the driver, on this machine, in one run.
//!
//! `cargo run --release --package uncopy-cuda --example cost`. Prints nanoseconds of a call, the median of rounds in
//! which both ways take turns; the stream is drained between rounds, outside of the time.
#![expect(unsafe_code, reason = "fence: calls the driver without the device, to compare")]

use std::error::Error;
use std::hint::black_box;
use std::time::Instant;

use uncopy_core::{DType, Layout, Stream};
use uncopy_cuda::raw::CUstream;
use uncopy_cuda::{CudaDevice, CudaError, PinnedBuffer};
use uncopy_tensor::{Accelerator, Region, SharedPages, Tensor, Timeline, TimelinePoint};

const ROUNDS: usize = 301;
/// Few enough that the driver's queue does not fill up.
const CALLS: u32 = 200;
const LEN_BYTES: usize = 4096;

fn main() -> Result<(), Box<dyn Error>> {
    let device = match CudaDevice::with_ordinal(0) {
        Ok(device) => device,
        Err(CudaError::NoCuda(reason)) => {
            println!("skipped: {reason}");
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let frame = Frame::new(&device)?;
    let entering = median(|| {
        timed(|| {
            black_box(device.context().enter()?);
            Ok(())
        })
    })?;
    println!("enter, the context is not current: {entering:.1} ns");
    let current = device.context().enter()?;
    let entering = median(|| {
        timed(|| {
            black_box(device.context().enter()?);
            Ok(())
        })
    })?;
    println!("enter, the context is current:     {entering:.1} ns");
    let (mut bare, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        bare.push(timed(|| Ok(frame.bare(&current)?))?);
        device.synchronize(frame.stream)?;
        ours.push(timed(|| frame.ours())?);
        device.synchronize(frame.stream)?;
    }
    let (bare, ours) = (middle(bare), middle(ours));
    println!("copy and write, bare calls:        {bare:.1} ns");
    println!("copy and write, through the seam:  {ours:.1} ns (+{:.1})", ours - bare);
    Ok(())
}

struct Frame {
    source: Tensor,
    slot: Region,
    timeline: Box<dyn Timeline>,
    word: u64,
    stream: Stream,
}

impl Frame {
    fn new(device: &CudaDevice) -> Result<Frame, Box<dyn Error>> {
        let (source, slot) = (device.allocate(LEN_BYTES)?.region(), device.allocate(LEN_BYTES)?.region());
        let source = Tensor::new(source, Layout::contiguous(DType::U8, &[16, 64, 4])?, 0)?;
        let bare_word = PinnedBuffer::zeroed(device.context(), LEN_BYTES)?.into_region();
        let word = bare_word.address() as u64;
        // Used until the process ends.
        std::mem::forget(bare_word);
        let timeline = device.timeline(page()?)?;
        Ok(Frame { source, slot, timeline, word, stream: device.stream()? })
    }

    fn bare(&self, calls: &uncopy_cuda::Calls) -> Result<(), CudaError> {
        let stream = CUstream(self.stream.raw() as usize);
        let (to, from) = (self.slot.address() as u64, self.source.address() as u64);
        // SAFETY: both regions are device memory of that length, and `self` keeps them until the stream is drained.
        unsafe { calls.memcpy_dtod_async(to, from, LEN_BYTES, stream) }?;
        // SAFETY: the word is pinned memory with one address for host and device, and stays for the process.
        unsafe { calls.stream_write_value_32(stream, self.word, 1, 0) }
    }

    fn ours(&self) -> Result<(), Box<dyn Error>> {
        let point = TimelinePoint { offset_bytes: 0, value: 1 };
        Ok(self.timeline.copy_and_write(&self.source, &self.slot, self.stream, point)?)
    }
}

/// A page of host memory.
fn page() -> Result<SharedPages, Box<dyn Error>> {
    let layout = std::alloc::Layout::from_size_align(4096, 4096)?;
    // SAFETY: the layout has a size.
    let address = unsafe { std::alloc::alloc_zeroed(layout) };
    let address = std::ptr::NonNull::new(address).ok_or("no memory")?;
    // SAFETY: 1. a page of our own that is never freed. 2. Nobody takes a reference to it.
    Ok(unsafe { SharedPages::from_raw(address, 4096, std::sync::Arc::new(())) })
}

/// Nanoseconds of one call, over a round of them.
fn timed(mut call: impl FnMut() -> Result<(), Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    let start = Instant::now();
    for _ in 0..CALLS {
        call()?;
    }
    Ok(start.elapsed().as_nanos() as f64 / f64::from(CALLS))
}

fn median(mut round: impl FnMut() -> Result<f64, Box<dyn Error>>) -> Result<f64, Box<dyn Error>> {
    let rounds = (0..ROUNDS).map(|_| round()).collect::<Result<Vec<_>, _>>()?;
    Ok(middle(rounds))
}

fn middle(mut rounds: Vec<f64>) -> f64 {
    rounds.sort_by(f64::total_cmp);
    rounds.get(rounds.len() / 2).copied().unwrap_or_default()
}
