// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a frame in Python holds, and after which work on its device the slot goes back.
//!
//! The lease is in a cell that the subscriber knows too: the loop's next step takes it out, and what was handed out
//! before (arrays, capsules, buffers) holds a share of its own.
//!
//! # When a frame on a device goes back
//!
//! | a view was handed out | the slot goes back after |
//! |---|---|
//! | with a stream (`__dlpack__`, `torch`, `cupy`, `used_on`) | what that stream holds when the last view is gone |
//! | to torch, or to whoever, while torch is there | likewise torch's current stream of the thread that drops it |
//! | to CuPy, by its name | likewise CuPy's |
//! | by address (`ptr`, `__cuda_array_interface__`) | both, and the legacy default stream |
//! | to jax, whose streams nobody knows | everything that the device was given by this process |
//!
//! A stream is noted with the object that owns it, where there is one: the lease keeps both, whoever else lets go of it.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use uncopy::{CopyRecord, Device, Frame, HostCopy, MetaKind, Tensor};
use uncopy_pyo3::{ArrayError, torch_current_stream};

use crate::end::locked;
use crate::errors::Failure;
use crate::streams;

/// A frame's lease, shared by the Python object and the subscriber that made it.
pub struct Cell {
    held: Mutex<Held>,
    /// The pixels on the host, for a frame on a device of which they were asked.
    hosted: Mutex<Option<Arc<HostCopy>>>,
    /// Its address was given out: whoever has it did not say in which stream it works.
    by_address: AtomicBool,
}

pub enum Held {
    Lease(Frame),
    /// The address was given out without an owner (`__array_interface__`): held as long as the Python object lives.
    Kept(Frame, Tensor),
    Released(Rest),
}

/// What is left of a released frame beside its numbers.
pub struct Rest {
    pub kind: MetaKind,
    pub meta: Box<[u8]>,
    pub copies: Box<[CopyRecord]>,
}

impl Cell {
    pub fn new(frame: Frame) -> Arc<Self> {
        Arc::new(Cell {
            held: Mutex::new(Held::Lease(frame)),
            hosted: Mutex::default(),
            by_address: AtomicBool::new(false),
        })
    }

    /// Looks at what is held.
    pub fn look<R>(&self, f: impl FnOnce(&Held) -> R) -> R {
        f(&locked(&self.held))
    }

    /// The frame, with a share of the lease, unless it was released.
    pub fn frame(&self) -> Option<Frame> {
        match &*locked(&self.held) {
            Held::Lease(frame) | Held::Kept(frame, _) => Some(frame.clone()),
            Held::Released(_) => None,
        }
    }

    /// Holds the frame as long as the Python object lives: its address is given out without an owner.
    pub fn keep(&self, tensor: Tensor) {
        let mut held = locked(&self.held);
        if let Held::Lease(frame) = &*held {
            *held = Held::Kept(frame.clone(), tensor);
        }
    }

    /// Notes that the address was given out.
    pub fn note_address(&self) {
        self.by_address.store(true, SeqCst);
    }

    /// The copy on the host, if there is one.
    pub fn hosted(&self) -> Option<Arc<HostCopy>> {
        locked(&self.hosted).clone()
    }

    /// Remembers the copy on the host.
    pub fn set_hosted(&self, copy: &Arc<HostCopy>) {
        let before = locked(&self.hosted).replace(Arc::clone(copy));
        drop(before);
    }

    /// The pixels as a tensor that holds a share of the lease, and ends it after the work that may read it.
    pub fn exported(&self, frame: &Frame) -> Result<Tensor, Failure> {
        let tensor = frame.tensor()?;
        if frame.device() == Device::CPU {
            return Ok(tensor);
        }
        let hold = Exported { frame: frame.clone() };
        let region = tensor.region().part(0, tensor.region().len_bytes(), hold).map_err(ArrayError::from)?;
        let tensor =
            Tensor::new(region, *tensor.layout(), tensor.offset_bytes()).map_err(ArrayError::from)?;
        Ok(tensor.read_only())
    }

    /// Lets go of this object's share of the lease.
    pub fn release(&self) {
        let mut held = locked(&self.held);
        let Held::Lease(frame) = &*held else { return };
        let meta = frame.meta();
        let rest = Rest { kind: meta.kind, meta: meta.bytes.into(), copies: frame.copies().into() };
        let lease = std::mem::replace(&mut *held, Held::Released(rest));
        drop(held);
        // Not under the lock: asking CuPy runs Python code.
        self.end(&lease);
        let hosted = locked(&self.hosted).take();
        drop((lease, hosted));
    }

    /// Notes the streams that work by the address may be in.
    fn end(&self, lease: &Held) {
        let (Held::Lease(frame) | Held::Kept(frame, _)) = lease else { return };
        if frame.device() != Device::CPU && self.by_address.load(SeqCst) {
            streams::note_current(frame);
        }
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        let held = locked(&self.held);
        self.end(&held);
    }
}

/// A view of a frame on a device that somebody else has.
struct Exported {
    frame: Frame,
}

impl Drop for Exported {
    fn drop(&mut self) {
        // On any thread, perhaps without the GIL or when the interpreter is gone: torch is asked without Python.
        if let Some(stream) = torch_current_stream(self.frame.device()) {
            streams::note_torch(&self.frame, stream);
        }
    }
}
