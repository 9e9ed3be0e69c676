// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arrays by the C exchange table of their type: no Python call, no capsule, and the producer's current stream.
//!
//! The table orders no streams and skips what `__dlpack__` checks: see `ordered.rs` for what is asked beside it.
//!
//! Source: DLPack 1.3, `DLPackExchangeAPI`.
#![expect(unsafe_code, reason = "fence: calls the functions of a producer's exchange table")]

use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyType};
use uncopy::dlpack::{self, DLPackExchangeAPI, DLPackExchangeAPIHeader, DLTensor, DlpackError};
use uncopy::{Device, DeviceKind, Stream, Tensor};

use super::dlpack::refuse_device;
use super::lent::Lent;
use super::route::Producer;
use super::torch;
use crate::error::ArrayError;

/// The exchange table of a type. It lives as long as the process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Exchange(NonNull<DLPackExchangeAPI>);

// SAFETY: the table is constant and lives as long as the process (DLPack 1.3); each of its functions says itself who
// may call it.
unsafe impl Send for Exchange {}
// SAFETY: as above.
unsafe impl Sync for Exchange {}

/// The table of torch, once a tensor of it was seen: the way to its current streams from any thread.
static TORCH: OnceLock<Exchange> = OnceLock::new();

impl Exchange {
    /// The table of a type, in a version that this build reads; `None` for types without one.
    pub(crate) fn of(ty: &Bound<'_, PyType>) -> Option<Exchange> {
        let attribute = ty.getattr(intern!(ty.py(), "__dlpack_c_exchange_api__")).ok()?;
        let capsule = attribute.cast_into::<PyCapsule>().ok()?;
        let found = capsule.pointer_checked(Some(dlpack::NAME_EXCHANGE_API)).ok()?;
        let mut table = found.cast::<DLPackExchangeAPIHeader>();
        loop {
            // SAFETY: a capsule of this name holds a table that lives as long as the process, and tables of every
            // version begin with this header, whose links lead to older tables (DLPack 1.3).
            let header = unsafe { table.read() };
            if header.version.major == dlpack::VERSION.major {
                return Some(Exchange(table.cast()));
            }
            table = NonNull::new(header.prev_api)?;
        }
    }

    /// Remembers that this is torch's.
    pub(crate) fn is_of_torch(self) {
        let _ = TORCH.set(self);
    }

    fn table(self) -> DLPackExchangeAPI {
        // SAFETY: `of` found a table of this version, which is plain data and lives as long as the process.
        unsafe { self.0.read() }
    }

    /// An array of the table's type as a tensor that owns a share of it. Orders no streams and checks nothing.
    #[inline]
    pub(crate) fn tensor(self, array: &Bound<'_, PyAny>) -> Result<Tensor, ArrayError> {
        let Some(export) = self.table().managed_tensor_from_py_object_no_sync else {
            return Err(no_function(array));
        };
        let mut managed = ptr::null_mut();
        // SAFETY: the object is alive and of the type whose table this is, the place is ours, and the interpreter is
        // attached, as `Bound` says.
        let status = unsafe { export(array.as_ptr().cast(), &raw mut managed) };
        match NonNull::new(managed) {
            // SAFETY: 1. the struct was made for this call and is nobody else's. 2. The producer promises it by having
            // the table. 3. DLPack lets a consumer call the deleter from any thread. 4. See `tensor_from_python` on
            // writers.
            Some(managed) if status == 0 => Ok(unsafe { dlpack::tensor_from_dlpack_versioned(managed) }?),
            _ => Err(ArrayError::refused(array, error_of(array.py()))),
        }
    }

    /// An array of the table's type as it is now, without a share of it: for as long as the object is held and Python code
    /// does not change it. `None` where the table can't say, and for more axes than there is room for. Orders no streams and checks no marks of the producer's.
    #[inline]
    pub(super) fn lent<const M: usize>(
        self,
        array: &Bound<'_, PyAny>,
    ) -> Option<Result<Lent<M>, Box<ArrayError>>> {
        // SAFETY: `of` found a table of this version, which is plain data and lives as long as the process.
        let borrow = unsafe { (*self.0.as_ptr()).dltensor_from_py_object_no_sync }?;
        let mut said = MaybeUninit::<DLTensor>::uninit();
        // SAFETY: the object is alive and of the type whose table this is, the place is ours, and the interpreter is
        // attached, as `Bound` says.
        let status = unsafe { borrow(array.as_ptr().cast(), said.as_mut_ptr()) };
        if status != 0 {
            return Some(Err(Box::new(ArrayError::refused(array, error_of(array.py())))));
        }
        // SAFETY: the function returned 0, and so has filled the struct (DLPack 1.3).
        let said = unsafe { said.assume_init_ref() };
        // SAFETY: what it points to is the producer's and stays until control returns to it, which is after this function.
        match unsafe { lent_from_dl_tensor(said) } {
            Ok(lent) => lent.map(Ok),
            Err(error) => Some(Err(Box::new(ArrayError::from(*error)))),
        }
    }

    /// The stream that the producer puts work into now, on this thread.
    pub(crate) fn current_stream(
        self,
        array: &Bound<'_, PyAny>,
        device: Device,
    ) -> Result<Stream, ArrayError> {
        let current = self.table().current_work_stream.ok_or_else(|| no_function(array))?;
        let mut stream = ptr::null_mut();
        // SAFETY: the place is ours, and the interpreter is attached, so that the function may set an exception.
        match unsafe { current(device.kind, device.id, &raw mut stream) } {
            0 => {
                if TORCH.get() == Some(&self) {
                    TELLS.fetch_or(bit_of(device), Relaxed);
                }
                Ok(Stream::from_raw(stream.addr() as u64))
            }
            _ => Err(ArrayError::refused(array, error_of(array.py()))),
        }
    }
}

/// An array in host memory by the exchange table of its type, if that has one.
pub(crate) fn tensor_on_host(
    array: &Bound<'_, PyAny>,
    producer: Producer,
) -> Option<Result<Tensor, ArrayError>> {
    let exchange = producer.exchange?;
    Some(exchange.tensor(array).and_then(|tensor| {
        refuse_device(array, tensor.device())?;
        if producer.torch {
            torch::check_values(array, &tensor)?;
            torch::check_gradient(array)?;
        }
        Ok(if producer.immutable { tensor.read_only() } else { tensor })
    }))
}

/// What a struct says, checked as far as a reader of the elements depends on it; `None` for more axes than there is room
/// for.
///
/// # Safety
/// `shape` and `strides` are null or have `ndim` entries.
#[inline]
unsafe fn lent_from_dl_tensor<const M: usize>(said: &DLTensor) -> Result<Option<Lent<M>>, Box<DlpackError>> {
    let ndim = said.ndim;
    let axes = usize::try_from(ndim).map_err(|_| DlpackError::Ndim { ndim })?;
    if axes > 0 && said.shape.is_null() {
        return Err(Box::new(DlpackError::NullShape { ndim }));
    }
    let address = said.data.cast::<u8>().wrapping_add(said.byte_offset as usize);
    let Some(mut lent) = Lent::new(address, said.dtype, said.device, axes) else { return Ok(None) };
    let mut packed = 1_isize;
    for axis in (0..axes).rev() {
        // SAFETY: not null, and the array has `ndim` entries.
        let extent = unsafe { said.shape.wrapping_add(axis).read() };
        let len = usize::try_from(extent).map_err(|_| DlpackError::NegativeExtent { axis, extent })?;
        let stride = match said.strides.is_null() {
            true => packed,
            // SAFETY: as for the shape.
            false => unsafe { said.strides.wrapping_add(axis).read() as isize },
        };
        packed = packed.wrapping_mul(len.cast_signed());
        lent.set_axis(axis, len, stride);
    }
    if !lent.is_possible() {
        return Err(Box::new(lent.layout().err().map_or(DlpackError::Ndim { ndim }, DlpackError::from)));
    }
    match said.data.is_null() && !lent.shape().contains(&0) {
        true => Err(Box::new(DlpackError::NullData { len_elems: lent.shape().iter().product() })),
        false => Ok(Some(lent)),
    }
}

/// CUDA devices of which torch has told its stream before, one bit each: it will tell it again, and set no exception.
static TELLS: AtomicU64 = AtomicU64::new(0);

fn bit_of(device: Device) -> u64 {
    let id = u32::try_from(device.id).ok().filter(|_| device.kind == DeviceKind::CUDA);
    id.and_then(|id| 1_u64.checked_shl(id)).unwrap_or(0)
}

/// The stream that torch puts work of this thread into, on a device of which it was [asked](torch_stream_of) before; else
/// `None`. Touches no Python: it may be called without the GIL and when the interpreter is gone.
#[must_use]
pub fn torch_current_stream(device: Device) -> Option<Stream> {
    if TELLS.load(Relaxed) & bit_of(device) == 0 {
        return None;
    }
    let current = TORCH.get()?.table().current_work_stream?;
    let mut stream = ptr::null_mut();
    // SAFETY: the place is ours. torch reads a variable of this thread (`getCurrentCUDAStream`), and sets an exception, for
    // which it would need Python, only for a device that it can't use; it could use this one before.
    let status = unsafe { current(device.kind, device.id, &raw mut stream) };
    (status == 0).then(|| Stream::from_raw(stream.addr() as u64))
}

/// As [`torch_current_stream`], also for the first time; `None` for a torch without an exchange table (before 2.10), where
/// none was [learned](learn_torch), and where torch can't use the device.
#[must_use]
pub fn torch_stream_of(py: Python<'_>, device: Device) -> Option<Stream> {
    if let Some(stream) = torch_current_stream(device) {
        return Some(stream);
    }
    let current = TORCH.get()?.table().current_work_stream?;
    let mut stream = ptr::null_mut();
    // SAFETY: the place is ours, and the interpreter is attached, so that the function may set an exception.
    match unsafe { current(device.kind, device.id, &raw mut stream) } {
        0 => {
            TELLS.fetch_or(bit_of(device), Relaxed);
            Some(Stream::from_raw(stream.addr() as u64))
        }
        _ => {
            drop(PyErr::take(py));
            None
        }
    }
}

/// Looks for torch's exchange table, for [`torch_stream_of`]. Returns whether it has one. Costs a look-up each time.
pub fn learn_torch(tensor_class: &Bound<'_, PyType>) -> bool {
    if TORCH.get().is_none()
        && let Some(exchange) = Exchange::of(tensor_class)
    {
        exchange.is_of_torch();
    }
    TORCH.get().is_some()
}

/// A tensor as torch's, by its table. Orders no streams.
///
/// # Errors
/// [`ArrayError::NotACapsule`] where no table was [learned](learn_torch), and torch's.
pub(crate) fn torch_from_tensor(py: Python<'_>, tensor: Tensor) -> Result<Bound<'_, PyAny>, ArrayError> {
    let table = TORCH.get().map(|exchange| exchange.table());
    let Some(make) = table.and_then(|table| table.managed_tensor_to_py_object_no_sync) else {
        let type_name = "torch.Tensor".to_owned();
        return Err(ArrayError::NotACapsule { type_name, found: "no exchange table".to_owned() });
    };
    let managed = dlpack::dlpack_versioned_from_tensor(tensor);
    let mut made = ptr::null_mut();
    // SAFETY: the struct was just made and is ours to give, the place is ours, and the interpreter is attached. The function
    // takes the struct where it returns 0.
    let status = unsafe { make(managed.as_ptr(), &raw mut made) };
    if status != 0 {
        // SAFETY: the struct was not taken, so that it is whole.
        if let Some(delete) = unsafe { managed.read() }.deleter {
            // SAFETY: its deleter was not called yet (DLPack 1.3: on an error the caller keeps the struct).
            unsafe { delete(managed.as_ptr()) }
        }
        return Err(ArrayError::Python(error_of(py)));
    }
    // SAFETY: a new reference to an object, which nobody else counts.
    Ok(unsafe { Bound::from_owned_ptr_or_err(py, made.cast()) }?)
}

fn no_function(array: &Bound<'_, PyAny>) -> ArrayError {
    ArrayError::NotACapsule {
        type_name: crate::error::type_name_of(array),
        found: "an exchange table without its functions".to_owned(),
    }
}

/// The exception that a function of a table has set.
fn error_of(py: Python<'_>) -> PyErr {
    PyErr::take(py).unwrap_or_else(|| {
        pyo3::exceptions::PyBufferError::new_err("its exchange table failed without saying why")
    })
}
