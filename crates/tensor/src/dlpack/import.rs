// SPDX-License-Identifier: MIT OR Apache-2.0
//! DLPack structs of other libraries as tensors.
//!
//! The law of this module: a struct becomes a [`Loan`] before anything else is looked at, so every way out, refusals
//! and panics included, calls its deleter exactly once.
#![expect(unsafe_code, reason = "fence: reads C structs and calls their deleters")]

use std::ffi::c_void;
use std::num::NonZero;
use std::ptr::NonNull;

use uncopy_core::{DType, Layout, MAX_NDIM};

use super::{
    DLManagedTensor, DLManagedTensorVersioned, DLPackVersion, DLTensor, DlpackError, FLAG_IS_COPIED,
    FLAG_IS_SUBBYTE_TYPE_PADDED, FLAG_READ_ONLY, VERSION,
};
use crate::{Access, Region, Tensor, has_addresses};

/// Takes a versioned struct as a tensor. Shares the memory, on its device, without ordering any stream.
///
/// The struct belongs to the tensor's region from now on, also when it is refused: its deleter is called exactly once,
/// when the last clone is dropped (on that thread) or before this function returns an error. A null deleter is never
/// called. With a major version other than 1, nothing but version and deleter is read.
///
/// Source: DLPack 1.3, `DLManagedTensorVersioned`.
///
/// # Errors
///
/// See [`DlpackError`] and the table of the [module](super).
///
/// # Safety
///
/// 1. `managed` points to a struct that its producer gave to the caller, whose deleter was not called, and that nobody
///    else uses or deletes.
/// 2. If its major version is 1, the struct tells the truth: `shape` and `strides` are null or have `ndim` entries, and
///    the memory of the elements stays allocated until the deleter is called; if the CPU can reach the device, it is
///    readable from any thread, and writable unless `FLAG_READ_ONLY` is set.
/// 3. The deleter may be called on any thread and does not unwind.
/// 4. Whoever writes the elements does so only while no slice or view of the tensor is alive.
#[inline]
pub unsafe fn tensor_from_dlpack_versioned(
    managed: NonNull<DLManagedTensorVersioned>,
) -> Result<Tensor, DlpackError> {
    // SAFETY: a struct of any major version begins with these fields (DLPack keeps everything up to `flags` stable),
    // and by 1. it is live and ours to read.
    let head = unsafe { managed.cast::<VersionedHead>().read() };
    let loan = Loan { managed, deleter: head.deleter };
    let DLPackVersion { major, minor } = head.version;
    if major != VERSION.major {
        return Err(DlpackError::Version { major, minor });
    }
    // SAFETY: by 1. and the version, the struct is a live `DLManagedTensorVersioned`, which is plain data.
    let whole = unsafe { managed.read() };
    // SAFETY: 2. and 4. are what is asked; the loan calls the deleter when it is dropped, not before.
    unsafe { tensor_from_dl_tensor(&whole.dl_tensor, whole.flags, loan) }
}

/// Takes a legacy struct (from before DLPack 1.0) as a tensor. As [`tensor_from_dlpack_versioned`]; a legacy struct
/// cannot say that it is read-only, so call [`Tensor::read_only`] where the producer is known to mean it.
///
/// # Errors
///
/// See [`DlpackError`] and the table of the [module](super).
///
/// # Safety
///
/// As [`tensor_from_dlpack_versioned`], the elements being writable.
pub unsafe fn tensor_from_dlpack(managed: NonNull<DLManagedTensor>) -> Result<Tensor, DlpackError> {
    // SAFETY: the struct is live and ours to read (1.), and plain data.
    let whole = unsafe { managed.read() };
    let loan = Loan { managed, deleter: whole.deleter };
    // SAFETY: 2. and 4. are what is asked; the loan calls the deleter when it is dropped, not before.
    unsafe { tensor_from_dl_tensor(&whole.dl_tensor, 0, loan) }
}

/// Describes a borrowed `DLTensor` as a tensor kept alive by `owner`. For the exchange table's
/// `dltensor_from_py_object_no_sync`, and for structs that something else deletes. Shape and strides are copied out of
/// the struct; the elements are shared.
///
/// # Errors
///
/// See [`DlpackError`] and the table of the [module](super); `owner` is dropped then.
///
/// # Safety
///
/// 1. `shape` and `strides` of `array` are null or have `ndim` entries.
/// 2. The memory of the elements stays allocated until `owner` is dropped; if the CPU can reach the device, it is
///    readable from any thread, and writable unless `flags` has `FLAG_READ_ONLY`.
/// 3. Whoever writes the elements does so only while no slice or view of the tensor is alive.
#[inline]
pub unsafe fn tensor_from_dl_tensor(
    array: &DLTensor,
    flags: u64,
    owner: impl Send + Sync + 'static,
) -> Result<Tensor, DlpackError> {
    check_dtype(array.dtype, flags)?;
    // SAFETY: 1. is what is asked.
    let layout = unsafe { layout_of(array) }?;
    let span = Span::find(array, &layout)?;
    let access = if flags & FLAG_READ_ONLY == 0 { Access::ReadWrite } else { Access::ReadOnly };
    // SAFETY: the span covers the elements that the struct describes and no more; by 2. and 3. they are what
    // `Region::from_raw` asks for, until `owner` is dropped.
    let region = unsafe { Region::from_raw(span.start, span.len_bytes, array.device, access, owner) };
    let tensor = Tensor::new(region, layout, span.offset_bytes)?;
    Ok(if flags & FLAG_IS_COPIED == 0 { tensor } else { tensor.copied() })
}

/// A struct that was given to us, with the duty to call its deleter once.
struct Loan<M> {
    managed: NonNull<M>,
    deleter: Option<unsafe extern "C" fn(*mut M)>,
}

// SAFETY: the deleter may be called on any thread (contract of the import functions), and nothing else is done with the
// struct.
unsafe impl<M> Send for Loan<M> {}
// SAFETY: a shared `Loan` can do nothing at all.
unsafe impl<M> Sync for Loan<M> {}

impl<M> Drop for Loan<M> {
    fn drop(&mut self) {
        if let Some(deleter) = self.deleter {
            // SAFETY: the struct was given to us with its deleter not called (contract of the import functions), the
            // loan is its only holder, and a drop happens once.
            unsafe { deleter(self.managed.as_ptr()) }
        }
    }
}

/// The fields that every version of a versioned struct begins with.
#[repr(C)]
#[derive(Clone, Copy)]
struct VersionedHead {
    version: DLPackVersion,
    manager_ctx: *mut c_void,
    deleter: Option<unsafe extern "C" fn(*mut DLManagedTensorVersioned)>,
}

const _: () = {
    use std::mem::offset_of;
    assert!(offset_of!(VersionedHead, version) == offset_of!(DLManagedTensorVersioned, version));
    assert!(offset_of!(VersionedHead, manager_ctx) == offset_of!(DLManagedTensorVersioned, manager_ctx));
    assert!(offset_of!(VersionedHead, deleter) == offset_of!(DLManagedTensorVersioned, deleter));
};

/// Known codes must have bits that make sense; unknown ones are only bytes to us. Padding is refused where it matters.
fn check_dtype(dtype: DType, flags: u64) -> Result<(), DlpackError> {
    if dtype.is_known() {
        dtype.validate()?;
    }
    if flags & FLAG_IS_SUBBYTE_TYPE_PADDED != 0 && dtype.item_bytes().is_none() {
        return Err(DlpackError::PaddedSubByte { dtype });
    }
    Ok(())
}

/// # Safety
///
/// `shape` and `strides` of `array` are null or have `ndim` entries.
#[inline]
unsafe fn layout_of(array: &DLTensor) -> Result<Layout, DlpackError> {
    let ndim = array.ndim;
    let axes =
        usize::try_from(ndim).ok().filter(|&axes| axes <= MAX_NDIM).ok_or(DlpackError::Ndim { ndim })?;
    if axes == 0 {
        return Ok(Layout::contiguous(array.dtype, &[])?);
    }
    let shape = NonNull::new(array.shape).ok_or(DlpackError::NullShape { ndim })?;
    let mut extents = [0_usize; MAX_NDIM];
    for (axis, extent) in extents.iter_mut().enumerate().take(axes) {
        // SAFETY: the array has `ndim` entries (contract), and `axis` is below that.
        let value = unsafe { shape.as_ptr().wrapping_add(axis).read() };
        *extent = usize::try_from(value).map_err(|_| DlpackError::NegativeExtent { axis, extent: value })?;
    }
    let extents = extents.get(..axes).unwrap_or_default();
    let Some(strides) = NonNull::new(array.strides) else {
        return Ok(Layout::contiguous(array.dtype, extents)?);
    };
    let mut strides_elems = [0_isize; MAX_NDIM];
    for (axis, stride) in strides_elems.iter_mut().enumerate().take(axes) {
        // SAFETY: the array has `ndim` entries (contract), and `axis` is below that.
        let value = unsafe { strides.as_ptr().wrapping_add(axis).read() };
        // Lossless on the 64-bit targets that we support; the extents are checked by the layout.
        *stride = value as isize;
    }
    Ok(Layout::strided(array.dtype, extents, strides_elems.get(..axes).unwrap_or_default())?)
}

/// The memory that a struct's elements span, and where element 0 stands in it.
struct Span {
    start: NonNull<u8>,
    len_bytes: usize,
    offset_bytes: usize,
}

impl Span {
    fn find(array: &DLTensor, layout: &Layout) -> Result<Span, DlpackError> {
        let Some(data) = NonNull::new(array.data.cast::<u8>()) else {
            if !layout.is_empty() {
                return Err(DlpackError::NullData { len_elems: layout.len_elems() });
            }
            return Ok(Span { start: NonNull::dangling(), len_bytes: 0, offset_bytes: 0 });
        };
        if layout.is_empty() {
            return Ok(Span { start: data, len_bytes: 0, offset_bytes: 0 });
        }
        let overflow =
            DlpackError::AddressOverflow { address: data.addr().get(), byte_offset: array.byte_offset };
        let found = if has_addresses(array.device.kind) {
            Span::of_addresses(data, array.byte_offset, layout)
        } else {
            Span::of_handle(data, array.byte_offset, layout)
        };
        found.ok_or(overflow)
    }

    /// From the lowest byte of any element to the highest; strides may lead below element 0.
    fn of_addresses(data: NonNull<u8>, byte_offset: u64, layout: &Layout) -> Option<Span> {
        let (lowest, highest) = layout.extent_bytes();
        let element0 = data.addr().get().checked_add(usize::try_from(byte_offset).ok()?)?;
        let start = element0.checked_add_signed(lowest)?;
        let end = element0.checked_add_signed(highest)?;
        let len_bytes = end.checked_sub(start)?;
        // `with_addr` keeps the provenance of `data`.
        let start = data.with_addr(NonZero::new(start)?);
        Some(Span { start, len_bytes, offset_bytes: lowest.unsigned_abs() })
    }

    /// From the handle's first byte: how much memory stands before and behind the elements, only the producer knows.
    fn of_handle(handle: NonNull<u8>, byte_offset: u64, layout: &Layout) -> Option<Span> {
        let (_, highest) = layout.extent_bytes();
        let offset_bytes = usize::try_from(byte_offset).ok()?;
        let len_bytes = offset_bytes.checked_add_signed(highest)?;
        Some(Span { start: handle, len_bytes, offset_bytes })
    }
}
