// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arrays from DLPack's structs, and as such structs.

use std::collections::HashSet;
use std::ptr::NonNull;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{Arc, Mutex, PoisonError};

use uncopy::dlpack::{self, DLManagedTensor, DLManagedTensorVersioned, DLPackVersion, DLTensor, DlpackError};
use uncopy::os::fork_generation;

use super::array::{Held, get, put, uncopy_array};
use super::call::call;
use super::error::uncopy_status;
use super::pointers::Out;
use crate::failure::Failure;

/// Takes a DLPack 1.x struct as an array. Shares the memory, on its device; copies shape and strides.
///
/// Owner: **the struct is uncopy's after a success only**. Its deleter is called once, when the last handle, DLPack struct
/// and pending copy of the array is gone, on any thread. After a failure it is still yours to delete.
///
/// Stream order: none. Say with `uncopy_array_made_on` where the content is being made, unless it is there.
///
/// Errors: `UNCOPY_ERROR_VERSION_MISMATCH` for another major version, `UNCOPY_ERROR_INVALID_LAYOUT`,
/// `UNCOPY_ERROR_INVALID_DTYPE`, `UNCOPY_ERROR_UNSUPPORTED` for more than 8 axes, `UNCOPY_ERROR_INVALID_ARGUMENT` for a
/// struct without data, and for one that uncopy has already.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_array_from_dlpack(
    managed: *mut DLManagedTensorVersioned,
    out: *mut *mut uncopy_array,
) -> uncopy_status {
    call("uncopy_array_from_dlpack", || {
        // SAFETY: the contract of the header.
        let out = unsafe { Out::at("out", out, std::ptr::null_mut()) }?;
        let managed = NonNull::new(managed)
            .ok_or(Failure::Null { argument: "managed", wanted: "a DLManagedTensorVersioned" })?;
        let given = Given::of(managed)?;
        // SAFETY: every version of the struct begins with its version, and the caller owns it.
        let DLPackVersion { major, minor } = unsafe { managed.cast::<DLPackVersion>().read() };
        if major != dlpack::VERSION.major {
            return Err(DlpackError::Version { major, minor }.into());
        }
        // SAFETY: of this major version it is plain data that the caller owns.
        let whole = unsafe { managed.read() };
        // SAFETY: by DLPack's own rules, which the caller keeps, the struct tells the truth until its deleter is called,
        // which `given` does.
        unsafe { given.keep(&whole.dl_tensor, whole.flags, whole.deleter, &out) }
    })
}

/// Takes a legacy DLPack struct, from before 1.0, as an array. As `uncopy_array_from_dlpack`; it can't say that it is
/// read-only, and counts as writable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_array_from_dlpack_legacy(
    managed: *mut DLManagedTensor,
    out: *mut *mut uncopy_array,
) -> uncopy_status {
    call("uncopy_array_from_dlpack_legacy", || {
        // SAFETY: the contract of the header.
        let out = unsafe { Out::at("out", out, std::ptr::null_mut()) }?;
        let managed = NonNull::new(managed)
            .ok_or(Failure::Null { argument: "managed", wanted: "a DLManagedTensor" })?;
        let given = Given::of(managed)?;
        // SAFETY: it is plain data that the caller owns.
        let whole = unsafe { managed.read() };
        // SAFETY: by DLPack's own rules, which the caller keeps, the struct tells the truth until its deleter is called,
        // which `given` does.
        unsafe { given.keep(&whole.dl_tensor, 0, whole.deleter, &out) }
    })
}

/// The addresses of structs that are ours now: one that comes again is told, before it is deleted twice.
struct Taken {
    addresses: Mutex<Option<HashSet<usize>>>,
    /// The process that keeps them, plus 1. A forked child keeps none: a thread of its parent may have held the lock.
    kept_in: AtomicU32,
}

static TAKEN: Taken = Taken { addresses: Mutex::new(None), kept_in: AtomicU32::new(0) };

impl Taken {
    /// Uses them; `None` in a process that keeps none.
    fn with<R>(&self, f: impl FnOnce(&mut HashSet<usize>) -> R) -> Option<R> {
        let ours = fork_generation().wrapping_add(1);
        let kept_in =
            self.kept_in.compare_exchange(0, ours, Relaxed, Relaxed).unwrap_or_else(|kept_in| kept_in);
        if kept_in != 0 && kept_in != ours {
            return None;
        }
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        Some(f(addresses.get_or_insert_default()))
    }
}

/// A struct that is being taken. Ours once it is armed; then its deleter is called when this is dropped.
struct Given<M> {
    managed: NonNull<M>,
    deleter: Option<unsafe extern "C" fn(*mut M)>,
    /// Shared with whoever takes it, who sets it at the end.
    is_ours: Arc<AtomicBool>,
}

// SAFETY: DLPack's deleters may be called on any thread, and nothing else is done with the struct.
unsafe impl<M> Send for Given<M> {}
// SAFETY: a shared `Given` can do nothing at all.
unsafe impl<M> Sync for Given<M> {}

impl<M: 'static> Given<M> {
    fn of(managed: NonNull<M>) -> Result<Self, Failure> {
        if TAKEN.with(|taken| taken.insert(managed.addr().get())) == Some(false) {
            return Err(Failure::Argument(format!(
                "the DLPack struct at {managed:p} was taken before and is not deleted yet; each is given once"
            )));
        }
        Ok(Given { managed, deleter: None, is_ours: Arc::default() })
    }

    /// Makes the array, and from then on owns the struct.
    ///
    /// # Safety
    /// As for [`dlpack::tensor_from_dl_tensor`], until `deleter` is called.
    unsafe fn keep(
        mut self,
        array: &DLTensor,
        flags: u64,
        deleter: Option<unsafe extern "C" fn(*mut M)>,
        out: &Out<*mut uncopy_array>,
    ) -> Result<(), Failure> {
        self.deleter = deleter;
        let is_ours = Arc::clone(&self.is_ours);
        // SAFETY: passed on.
        let tensor = unsafe { dlpack::tensor_from_dl_tensor(array, flags, self) }?;
        let handle = put(Held::new(tensor, None, None))?;
        // pairs with: `drop`
        is_ours.store(true, Release);
        out.put(handle);
        Ok(())
    }
}

impl<M> Drop for Given<M> {
    fn drop(&mut self) {
        // Before the deleter: its memory may be given out again at once.
        TAKEN.with(|taken| taken.remove(&self.managed.addr().get()));
        if let (true, Some(deleter)) = (self.is_ours.load(Acquire), self.deleter) {
            // SAFETY: the struct is ours, its deleter was not called, and a drop happens once.
            unsafe { deleter(self.managed.as_ptr()) }
        }
    }
}

/// Gives an array as a DLPack 1.x struct. Shares the memory; shape and strides are the struct's own.
///
/// Owner: the caller, who gives it on or calls its deleter once, on any thread. It keeps the memory by itself, and of a
/// frame the slot: the handle may be destroyed before. Read-only arrays say so in the flags, and **must not be written**.
///
/// Stream order: none; see `uncopy_array_ready_on`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_array_to_dlpack(
    array: *const uncopy_array,
    out: *mut *mut DLManagedTensorVersioned,
) -> uncopy_status {
    call("uncopy_array_to_dlpack", || {
        // SAFETY: the contract of the header.
        let out = unsafe { Out::at("out", out, std::ptr::null_mut()) }?;
        let held = get(array)?;
        out.put(dlpack::dlpack_versioned_from_tensor(held.tensor().clone()).as_ptr());
        Ok(())
    })
}

/// Gives an array as a legacy DLPack struct, from before 1.0. As `uncopy_array_to_dlpack`.
///
/// Errors: `UNCOPY_ERROR_READ_ONLY` for a read-only array, such as a received frame: the struct can't say so.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_array_to_dlpack_legacy(
    array: *const uncopy_array,
    out: *mut *mut DLManagedTensor,
) -> uncopy_status {
    call("uncopy_array_to_dlpack_legacy", || {
        // SAFETY: the contract of the header.
        let out = unsafe { Out::at("out", out, std::ptr::null_mut()) }?;
        let held = get(array)?;
        out.put(dlpack::dlpack_from_tensor(held.tensor().clone())?.as_ptr());
        Ok(())
    })
}
