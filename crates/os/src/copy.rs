// SPDX-License-Identifier: MIT OR Apache-2.0
//! Copying large frames with two threads.
//!
//! One core moves about half of what the memory of a desktop or a small server can take, so a frame of several MiB is
//! there sooner when a second thread takes part. Both take chunks from a counter: a helper that the scheduler does not
//! run in time takes none, and nobody waits for it. It is one thread per process, started by the first large copy, idle
//! in between, and gone two seconds after the last.
//!
//! Refused: to cut strided copies into parts (they are one pass of [`Tensor::copy_packed_into`]), and to use more
//! threads: a frame must not take the cores from those who read it.
#![expect(unsafe_code, reason = "fence: two threads copy parts of one slice")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use uncopy_tensor::{Tensor, TensorError};

use crate::{ForkLock, spawn_quiet};

/// Copies of fewer bytes are over before a second thread is awake.
const SHARED_FROM_BYTES: usize = 2 << 20;
/// What a thread takes at a time: long enough for `memcpy` to choose what it does for large copies, short enough to end
/// together.
const CHUNK_BYTES: usize = 1 << 20;
/// How long the helper waits for another copy before it ends.
const IDLE: Duration = Duration::from_secs(2);

/// As [`Tensor::copy_packed_into`], for large contiguous tensors with the help of a second thread.
///
/// It returns when every byte is there. The helper runs no signal handlers. Where no thread can be started, and where
/// another thread of this process is being helped, the caller copies alone.
///
/// ```
/// use uncopy_os::copy_packed;
/// # use uncopy_core::{DType, Layout};
/// # use uncopy_tensor::{HostBuffer, Tensor};
/// # let layout = Layout::contiguous(DType::U8, &[3 << 20])?;
/// # let mut buffer = HostBuffer::zeroed(layout.len_bytes())?;
/// # buffer.fill(7);
/// # let tensor = Tensor::new(buffer.into_region(), layout, 0)?;
/// let mut out = vec![0; 3 << 20];
/// copy_packed(&tensor, &mut out)?;
/// assert!(out.iter().all(|byte| *byte == 7));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// As for [`Tensor::copy_packed_into`].
pub fn copy_packed(source: &Tensor, out: &mut [u8]) -> Result<(), TensorError> {
    let pays = out.len() >= SHARED_FROM_BYTES && source.layout().is_c_contiguous() && has_two_cores();
    // What is wrong with the arguments is said by the copy of one thread.
    let plain = out.len() == source.layout().len_bytes()
        && source.device().kind.is_host_accessible()
        && !overlap(source, out);
    if !pays || !plain {
        return source.copy_packed_into(out);
    }
    let job = Arc::new(Job::new(source, out));
    let is_helped = DESK.lock().ask_for_help(&job);
    job.work();
    if is_helped {
        DESK.lock().withdraw(&job);
    }
    job.wait();
    Ok(())
}

/// Asked of the system once: that takes as long as a good part of a copy.
fn has_two_cores() -> bool {
    static HAS: OnceLock<bool> = OnceLock::new();
    *HAS.get_or_init(|| thread::available_parallelism().is_ok_and(|cores| cores.get() > 1))
}

fn overlap(source: &Tensor, out: &[u8]) -> bool {
    let (start, range) = (source.address(), out.as_ptr_range());
    start < range.end.addr() && range.start.addr() < start.saturating_add(out.len())
}

/// Where copies wait for the helper. A forked child has an empty one: the helper stayed with the parent.
static DESK: ForkLock<Desk> = ForkLock::new();

#[derive(Default)]
struct Desk {
    job: Option<Arc<Job>>,
    helper: Option<Thread>,
}

impl Desk {
    /// Lays out `job`, unless another one lies there; starts or wakes the helper.
    fn ask_for_help(&mut self, job: &Arc<Job>) -> bool {
        if self.job.is_some() {
            return false;
        }
        let helper = match self.helper.take() {
            Some(helper) => helper,
            None => match spawn_quiet("uncopy-copy", help) {
                Ok(handle) => handle.thread().clone(),
                Err(error) => {
                    tracing::debug!(%error, "a frame is copied by one thread");
                    return false;
                }
            },
        };
        self.job = Some(Arc::clone(job));
        helper.unpark();
        self.helper = Some(helper);
        true
    }

    /// Takes `job` back if the helper has not come for it.
    fn withdraw(&mut self, job: &Arc<Job>) {
        self.job.take_if(|laid_out| Arc::ptr_eq(laid_out, job));
    }
}

/// The helper's life.
fn help() {
    loop {
        let begun = Instant::now();
        let job = DESK.lock().job.take();
        if let Some(job) = job {
            job.work();
            continue;
        }
        thread::park_timeout(IDLE);
        if begun.elapsed() >= IDLE {
            let mut desk = DESK.lock();
            if desk.job.is_none() {
                desk.helper = None;
                return;
            }
        }
    }
}

/// One copy, of which each thread takes chunks until none is left.
struct Job {
    /// Not the tensor: the helper must not be the one to let go of it last, since that may run anything.
    from: *const u8,
    out: *mut u8,
    len_bytes: usize,
    next: AtomicUsize,
    finished: AtomicUsize,
}

// SAFETY: both pointers are dereferenced for a chunk that one thread took from `next`, and for no other, so that no two
// threads write the same byte; see `work`. The memory is readable and writable from every thread.
unsafe impl Send for Job {}
// SAFETY: as for `Send`: `next` and `finished` are atomics, the other fields never change.
unsafe impl Sync for Job {}

impl Job {
    fn new(source: &Tensor, out: &mut [u8]) -> Job {
        let (next, finished) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Job { from: source.as_ptr(), out: out.as_mut_ptr(), len_bytes: out.len(), next, finished }
    }

    fn chunks(&self) -> usize {
        self.len_bytes.div_ceil(CHUNK_BYTES)
    }

    /// Copies chunks until all are taken.
    fn work(&self) {
        loop {
            // Nothing is handed over by this counter: what the pointers lead to was there before the job was shared.
            let chunk = self.next.fetch_add(1, Ordering::Relaxed);
            if chunk >= self.chunks() {
                return;
            }
            let offset = chunk * CHUNK_BYTES;
            let len = CHUNK_BYTES.min(self.len_bytes - offset);
            let from = self.from.wrapping_add(offset);
            let to = self.out.wrapping_add(offset);
            // SAFETY: 1. `copy_packed` checked that the source is contiguous, on the host and `len_bytes` long, so
            // these bytes of it are readable while it lives. 2. `copy_packed` borrows both, `out` mutably, and does
            // not return before `finished` counts every chunk (`wait`): they are alive until the line below, and
            // these bytes of `out` are nobody else's, since another thread has another chunk. 3. The two do not
            // overlap (checked).
            unsafe { std::ptr::copy_nonoverlapping(from, to, len) };
            // pairs with: wait. The chunk is there.
            self.finished.fetch_add(1, Ordering::Release);
        }
    }

    /// Waits for the chunk that the other thread may be at. Called when all chunks are taken. A helper that is taken
    /// off its processor in the midst of a chunk is waited for until it is put back: nobody else can tell how far it
    /// came.
    fn wait(&self) {
        /// About as long as a chunk takes; who is then not done was taken off its processor.
        const LOOKS: u32 = 2_000;
        let mut looks = 0;
        // pairs with: work.
        while self.finished.load(Ordering::Acquire) < self.chunks() {
            looks += 1;
            if looks < LOOKS { std::hint::spin_loop() } else { thread::yield_now() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uncopy_core::{DType, Layout};
    use uncopy_tensor::HostBuffer;

    fn numbered(len_bytes: usize) -> Tensor {
        let layout = Layout::contiguous(DType::U8, &[len_bytes]).expect("a small layout");
        let mut buffer = HostBuffer::zeroed(len_bytes).expect("memory for a test");
        for (index, byte) in buffer.iter_mut().enumerate() {
            *byte = (index / 251 + index) as u8;
        }
        Tensor::new(buffer.into_region(), layout, 0).expect("it fits its region")
    }

    #[test]
    fn every_byte_is_copied_once_whatever_the_length() {
        let around = [0, 1, SHARED_FROM_BYTES - 1, SHARED_FROM_BYTES, SHARED_FROM_BYTES + 1];
        for len in around.into_iter().chain([5 * CHUNK_BYTES + 17]) {
            let source = numbered(len);
            let mut out = vec![0xEE; len];
            copy_packed(&source, &mut out).expect("a plain copy");
            assert!(source.region().as_bytes() == Some(&out[..]), "{len} bytes");
        }
    }

    #[test]
    fn many_threads_copy_at_the_same_time() {
        let source = numbered(3 << 20);
        thread::scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| {
                    for _ in 0..20 {
                        let mut out = vec![0; 3 << 20];
                        copy_packed(&source, &mut out).expect("a plain copy");
                        assert!(source.region().as_bytes() == Some(&out[..]));
                    }
                });
            }
        });
    }

    #[test]
    fn a_helper_takes_part_and_each_chunk_is_taken_by_one() {
        let source = numbered(24 * CHUNK_BYTES);
        let mut out = vec![0; 24 * CHUNK_BYTES];
        let job = Arc::new(Job::new(&source, &mut out));
        thread::scope(|threads| {
            for _ in 0..3 {
                threads.spawn(|| job.work());
            }
        });
        job.wait();
        assert_eq!(job.finished.load(Ordering::Relaxed), 24);
        assert!(source.region().as_bytes() == Some(&out[..]));
    }

    #[test]
    fn what_is_wrong_is_said_as_by_the_copy_of_one_thread() {
        let source = numbered(SHARED_FROM_BYTES);
        let mut out = vec![0; SHARED_FROM_BYTES + 1];
        assert!(matches!(copy_packed(&source, &mut out), Err(TensorError::SizeMismatch { .. })));
    }
}
