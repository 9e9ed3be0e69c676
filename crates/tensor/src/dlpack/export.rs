// SPDX-License-Identifier: MIT OR Apache-2.0
//! Tensors as DLPack structs for other libraries.
//!
//! One allocation holds the struct, its shape and strides, and the tensor that keeps the memory alive; the deleter
//! frees it. `data` is the address of element 0 with a `byte_offset` of 0, since many consumers ignore the offset;
//! only where `data` is a handle does the offset stand beside it.
#![expect(unsafe_code, reason = "fence: builds C structs and frees them in their deleters")]

use std::cell::Cell;
use std::mem::{MaybeUninit, offset_of};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;

use uncopy_core::MAX_NDIM;

use super::{
    DLManagedTensor, DLManagedTensorVersioned, DLTensor, DlpackError, FLAG_IS_COPIED, FLAG_READ_ONLY, VERSION,
};
use crate::{Tensor, has_addresses};

/// Gives a tensor to a DLPack 1.x consumer. Shares the memory, on its device, without ordering any stream.
///
/// Whoever gets the struct owns it and calls its deleter once, on any thread; the deleter drops the tensor. Read-only
/// and copied are said in the flags, and `strides` is never null. Without elements, `data` is null.
///
/// Source: DLPack 1.3, `DLManagedTensorVersioned`.
#[inline]
pub fn dlpack_versioned_from_tensor(tensor: Tensor) -> NonNull<DLManagedTensorVersioned> {
    let mut flags = 0;
    if tensor.is_read_only() {
        flags |= FLAG_READ_ONLY;
    }
    if tensor.was_copied() {
        flags |= FLAG_IS_COPIED;
    }
    export(tensor, |dl_tensor, manager_ctx| DLManagedTensorVersioned {
        version: VERSION,
        manager_ctx: manager_ctx.cast(),
        deleter: Some(delete_versioned),
        flags,
        dl_tensor,
    })
}

/// Gives a tensor to a consumer of the legacy form. As [`dlpack_versioned_from_tensor`], without flags.
///
/// # Errors
///
/// [`DlpackError::ReadOnlyLegacy`] for a read-only tensor, which is dropped: this form would let it be written.
pub fn dlpack_from_tensor(tensor: Tensor) -> Result<NonNull<DLManagedTensor>, DlpackError> {
    if tensor.is_read_only() {
        return Err(DlpackError::ReadOnlyLegacy);
    }
    Ok(export(tensor, |dl_tensor, manager_ctx| DLManagedTensor {
        dl_tensor,
        manager_ctx: manager_ctx.cast(),
        deleter: Some(delete_legacy),
    }))
}

/// What a struct of ours stands in. `managed` is first, so that both have one address; it is written last.
#[repr(C)]
struct Exported<M> {
    managed: MaybeUninit<M>,
    shape: [i64; MAX_NDIM],
    strides: [i64; MAX_NDIM],
    tensor: Tensor,
}

/// Allocates, and lets `manage` wrap the array and the allocation's own address into the struct.
fn export<M>(tensor: Tensor, manage: impl FnOnce(DLTensor, *mut Exported<M>) -> M) -> NonNull<M> {
    let mut exported =
        Exported { managed: MaybeUninit::uninit(), shape: [0; MAX_NDIM], strides: [0; MAX_NDIM], tensor };
    let layout = *exported.tensor.layout();
    // Lossless: a layout's extents are at most isize::MAX, and we support 64-bit targets.
    for (to, &extent) in exported.shape.iter_mut().zip(layout.shape()) {
        *to = extent as i64;
    }
    for (to, &stride) in exported.strides.iter_mut().zip(layout.strides_elems()) {
        *to = stride as i64;
    }
    let mut array = array_without_axes(&exported.tensor);
    let exported = Box::into_raw(Box::new(exported));
    array.shape = exported.wrapping_byte_add(offset_of!(Exported<M>, shape)).cast();
    array.strides = exported.wrapping_byte_add(offset_of!(Exported<M>, strides)).cast();
    let whole = manage(array, exported);
    let managed = exported.cast::<M>();
    // SAFETY: `managed` is the first field of the allocation just made, so it is writable and aligned for an `M`; the
    // old value is uninitialised, so nothing is leaked.
    unsafe { managed.write(whole) };
    // SAFETY: `Box::into_raw` gives no null pointer.
    unsafe { NonNull::new_unchecked(managed) }
}

/// The tensor as a `DLTensor`, its shape and strides still null.
fn array_without_axes(tensor: &Tensor) -> DLTensor {
    let layout = tensor.layout();
    let (data, byte_offset) = if layout.is_empty() {
        (std::ptr::null_mut(), 0)
    } else if has_addresses(tensor.device().kind) {
        (tensor.as_ptr(), 0)
    } else {
        (tensor.region().as_ptr(), tensor.offset_bytes() as u64)
    };
    DLTensor {
        data: data.cast(),
        device: tensor.device(),
        // Lossless: at most MAX_NDIM.
        ndim: layout.ndim() as i32,
        dtype: layout.dtype(),
        shape: std::ptr::null_mut(),
        strides: std::ptr::null_mut(),
        byte_offset,
    }
}

/// The deleter of versioned structs.
///
/// # Safety
///
/// `managed` is null or a struct of ours that was not deleted yet.
unsafe extern "C" fn delete_versioned(managed: *mut DLManagedTensorVersioned) {
    // SAFETY: passed on.
    unsafe { delete(managed) }
}

/// The deleter of legacy structs.
///
/// # Safety
///
/// As [`delete_versioned`].
unsafe extern "C" fn delete_legacy(managed: *mut DLManagedTensor) {
    // SAFETY: passed on.
    unsafe { delete(managed) }
}

thread_local! {
    /// How many deleters of ours are being called on this thread, one within the other.
    static CALLED: Cell<u32> = const { Cell::new(0) };
}

/// Whether a deleter of ours is being called on this thread. A consumer calls it wherever it likes: torch gives up Python's
/// lock for it in the midst of what the interpreter does. So an owner that needs a lock must not believe what it knows of it
/// from outside.
#[must_use]
pub fn is_in_deleter() -> bool {
    CALLED.try_with(|called| called.get() > 0).unwrap_or(true)
}

struct Called;

impl Called {
    fn begin() -> Self {
        let _ = CALLED.try_with(|called| called.set(called.get() + 1));
        Called
    }
}

impl Drop for Called {
    fn drop(&mut self) {
        let _ = CALLED.try_with(|called| called.set(called.get().saturating_sub(1)));
    }
}

/// # Safety
///
/// `managed` is null or came from [`export`] with the same `M` and was not deleted yet.
unsafe fn delete<M>(managed: *mut M) {
    if managed.is_null() {
        return;
    }
    // SAFETY: the struct is the first field of an `Exported<M>` that `export` boxed, and this is its one deletion. Both
    // have one address, and the struct's pointer was derived from the box's, so it may be used for all of it.
    let exported = unsafe { Box::from_raw(managed.cast::<Exported<M>>()) };
    let _called = Called::begin();
    // An owner whose drop panics has a bug, and the panic hook has reported it; but a C caller cannot be unwound, and
    // ending the host program over it would be worse.
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(exported))) {
        // Dropping what was thrown may throw again; that is leaked, so that this ends.
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
            std::mem::forget(payload);
        }
    }
}
