// SPDX-License-Identifier: MIT OR Apache-2.0
//! A foreign producer in a few lines: it owns the elements, the axes and the struct, and counts deleter calls.
//!
//! The struct, its axes and its elements are freed in the deleter, so under Miri a second call is a use after free
//! and a missing one is a leak, besides what the count says.

use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use uncopy_core::{DType, Device};
use uncopy_tensor::Tensor;
use uncopy_tensor::dlpack::{
    DLManagedTensor, DLManagedTensorVersioned, DLPackVersion, DLTensor, DlpackError, VERSION,
    tensor_from_dlpack, tensor_from_dlpack_versioned,
};

/// What the producer says. `data` is where `bytes` begin unless `data_at` names another address.
#[derive(Clone, Debug)]
pub struct Says {
    pub version: DLPackVersion,
    pub flags: u64,
    pub device: Device,
    pub dtype: DType,
    pub ndim: i32,
    pub shape: Option<Vec<i64>>,
    pub strides: Option<Vec<i64>>,
    pub byte_offset: u64,
    pub data_at: Option<usize>,
    pub bytes: Vec<u8>,
    pub deletes: bool,
}

impl Says {
    /// `bytes.len()` bytes of `uint8` in one axis on the CPU, in C order.
    pub fn bytes(bytes: &[u8]) -> Says {
        let len = i64::try_from(bytes.len()).unwrap();
        Says {
            version: VERSION,
            flags: 0,
            device: Device::CPU,
            dtype: DType::U8,
            ndim: 1,
            shape: Some(vec![len]),
            strides: Some(vec![1]),
            byte_offset: 0,
            data_at: None,
            bytes: bytes.to_vec(),
            deletes: true,
        }
    }

    pub fn with_axes(self, shape: &[i64], strides: Option<&[i64]>) -> Says {
        let ndim = i32::try_from(shape.len()).unwrap();
        Says { ndim, shape: Some(shape.to_vec()), strides: strides.map(<[i64]>::to_vec), ..self }
    }
}

/// How often the deleter was called.
#[derive(Clone, Default)]
pub struct Deletions(Arc<AtomicUsize>);

impl Deletions {
    pub fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// Either form of struct, as the producer sees it.
trait Form: Sized {
    fn new(says: &Says, dl_tensor: DLTensor, manager_ctx: *mut c_void) -> Self;
    fn manager_ctx(&self) -> *mut c_void;
    /// # Safety
    /// As the import function of this form.
    unsafe fn import(managed: NonNull<Self>) -> Result<Tensor, DlpackError>;
}

impl Form for DLManagedTensorVersioned {
    fn new(says: &Says, dl_tensor: DLTensor, manager_ctx: *mut c_void) -> Self {
        let deleter = says.deletes.then_some(delete::<Self> as unsafe extern "C" fn(*mut Self));
        DLManagedTensorVersioned { version: says.version, manager_ctx, deleter, flags: says.flags, dl_tensor }
    }

    fn manager_ctx(&self) -> *mut c_void {
        self.manager_ctx
    }

    unsafe fn import(managed: NonNull<Self>) -> Result<Tensor, DlpackError> {
        // SAFETY: passed on.
        unsafe { tensor_from_dlpack_versioned(managed) }
    }
}

impl Form for DLManagedTensor {
    fn new(says: &Says, dl_tensor: DLTensor, manager_ctx: *mut c_void) -> Self {
        let deleter = says.deletes.then_some(delete::<Self> as unsafe extern "C" fn(*mut Self));
        DLManagedTensor { dl_tensor, manager_ctx, deleter }
    }

    fn manager_ctx(&self) -> *mut c_void {
        self.manager_ctx
    }

    unsafe fn import(managed: NonNull<Self>) -> Result<Tensor, DlpackError> {
        // SAFETY: passed on.
        unsafe { tensor_from_dlpack(managed) }
    }
}

/// What `manager_ctx` points to. Read through raw pointers only while it is lent.
struct Context {
    _shape: Option<Vec<i64>>,
    _strides: Option<Vec<i64>>,
    _bytes: Vec<u8>,
    deletions: Deletions,
}

unsafe extern "C" fn delete<M: Form>(managed: *mut M) {
    // SAFETY: `managed` is the struct that `produce` boxed, and the consumer calls this once.
    let managed = unsafe { Box::from_raw(managed) };
    // SAFETY: as above, for the context.
    let context = unsafe { Box::from_raw(managed.manager_ctx().cast::<Context>()) };
    context.deletions.0.fetch_add(1, Ordering::SeqCst);
}

fn produce<M: Form>(says: &Says) -> (NonNull<M>, Deletions) {
    let (mut shape, mut strides, mut bytes) = (says.shape.clone(), says.strides.clone(), says.bytes.clone());
    let pointer =
        |axes: &mut Option<Vec<i64>>| axes.as_mut().map_or(std::ptr::null_mut(), |axes| axes.as_mut_ptr());
    let data = says.data_at.map_or(bytes.as_mut_ptr(), std::ptr::without_provenance_mut);
    let dl_tensor = DLTensor {
        data: data.cast(),
        device: says.device,
        ndim: says.ndim,
        dtype: says.dtype,
        shape: pointer(&mut shape),
        strides: pointer(&mut strides),
        byte_offset: says.byte_offset,
    };
    let deletions = Deletions::default();
    let context = Context { _shape: shape, _strides: strides, _bytes: bytes, deletions: deletions.clone() };
    let managed = M::new(says, dl_tensor, Box::into_raw(Box::new(context)).cast());
    (NonNull::from(Box::leak(Box::new(managed))), deletions)
}

fn import<M: Form>(says: &Says) -> (Result<Tensor, DlpackError>, Deletions) {
    let (managed, deletions) = produce::<M>(says);
    // SAFETY: 1. the struct is new and given away here. 2. What it says of its axes is true; of its memory too,
    // wherever a test reads it. 3. The deleter frees boxes and counts, on any thread. 4. Nobody else has the bytes.
    let imported = unsafe { M::import(managed) };
    if !says.deletes {
        // The producer never learns that the loan ended, so the test ends it: with a refusal now, with a tensor later.
        assert!(imported.is_err(), "tests of null deleters use `import_without_deleter`");
    }
    (imported, deletions)
}

/// Imports what a versioned struct says.
pub fn import_versioned(says: &Says) -> (Result<Tensor, DlpackError>, Deletions) {
    import::<DLManagedTensorVersioned>(says)
}

/// Imports what a legacy struct says; version and flags are not said.
pub fn import_legacy(says: &Says) -> (Result<Tensor, DlpackError>, Deletions) {
    import::<DLManagedTensor>(says)
}

/// Imports a versioned struct without deleter, shows the tensor to `check`, drops it, and only then frees the struct.
pub fn import_without_deleter(says: &Says, check: impl FnOnce(Tensor)) {
    let (managed, deletions) = produce::<DLManagedTensorVersioned>(&Says { deletes: false, ..says.clone() });
    // SAFETY: as in `import`; the memory is freed below, after the tensor is gone.
    let tensor = unsafe { tensor_from_dlpack_versioned(managed) }.unwrap();
    check(tensor);
    assert_eq!(deletions.count(), 0);
    // SAFETY: nothing called the deleter, since there is none, and the last tensor is gone.
    unsafe { delete(managed.as_ptr()) }
}
