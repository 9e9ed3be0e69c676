// SPDX-License-Identifier: MIT OR Apache-2.0
//! Handing out an array as the one of a framework.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyCapsule, PyDict};
use uncopy::{DType, DTypeCode, Tensor};

use super::given::Given;
use super::numpy::numpy_from_taken;
use crate::arg::ArrayArg;
use crate::array::Array;
use crate::error::ArrayError;
use crate::take::{Taken, learn_torch, torch_from_tensor, torch_stream_of};

/// Whose array a function returns.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
#[non_exhaustive]
pub enum Framework {
    /// `numpy.ndarray`; host memory only.
    NumPy,
    /// `torch.Tensor`.
    Torch,
    /// `cupy.ndarray`; CUDA devices only.
    CuPy,
    /// `jax.Array`, which never changes.
    Jax,
    /// [`Array`], which every framework reads.
    Uncopy,
}

impl Framework {
    /// The framework of an argument; [`Uncopy`](Self::Uncopy) for those that have no entry of their own here.
    #[must_use]
    pub fn of(argument: &ArrayArg<'_, '_>) -> Self {
        let ty = argument.object().get_type();
        for class in ty.mro() {
            let Ok(class) = class.cast_into::<pyo3::types::PyType>() else { continue };
            let module = class.module().map(|module| module.to_string_lossy().into_owned());
            match module.as_deref().unwrap_or_default().split('.').next() {
                Some("numpy") => return Self::NumPy,
                Some("torch") => return Self::Torch,
                Some("cupy") => return Self::CuPy,
                Some("jax" | "jaxlib") => return Self::Jax,
                _ => {}
            }
        }
        Self::Uncopy
    }

    /// An array as one of this framework, which is imported if it was not. Shares: the result has the tensor's memory, and
    /// keeps it; but jax copies what does not stand at a multiple of 64 bytes. Work that the framework puts into its current stream comes after the work that makes the array.
    ///
    /// # Errors
    ///
    /// [`ArrayError::ReadOnly`] for a read-only tensor as torch's or CuPy's, which can't say so; [`ArrayError::NotOnHost`] for
    /// one on a device as NumPy's; [`ArrayError::NotHeld`] for what the framework has no array for: negative strides (torch),
    /// strides at all or 64-bit numbers without `jax_enable_x64` (jax), bfloat16 and fp8 (NumPy); the framework's, also of
    /// being imported.
    pub fn array<'py>(
        self,
        py: Python<'py>,
        array: impl Into<Taken>,
    ) -> Result<Bound<'py, PyAny>, ArrayError> {
        let taken = array.into();
        match self {
            Self::NumPy => numpy(py, taken),
            Self::Torch => torch(py, taken),
            Self::CuPy => by_dlpack(py, intern!(py, "cupy"), writable(taken, "a CuPy array")?),
            Self::Jax => jax(py, taken),
            Self::Uncopy => Ok(Bound::new(py, Array::from(taken))?.into_any()),
        }
    }
}

impl From<Tensor> for Taken {
    /// An array that is made already.
    fn from(tensor: Tensor) -> Self {
        Taken { tensor, stream: None, owner: None }
    }
}

fn writable(taken: Taken, asked: &'static str) -> Result<Taken, ArrayError> {
    let advice = "return it as an uncopy.Array, or a copy";
    match taken.tensor.is_read_only() {
        true => Err(ArrayError::ReadOnly { asked, advice }),
        false => Ok(taken),
    }
}

fn numpy(py: Python<'_>, taken: Taken) -> Result<Bound<'_, PyAny>, ArrayError> {
    let device = taken.tensor.device();
    match device.is_host_accessible() {
        true if is_small_float(taken.tensor.layout().dtype()) => Err(not_held(
            &taken,
            "NumPy has no such dtype",
            "return another, or its bytes as unsigned integers",
        )),
        true => numpy_from_taken(py, taken),
        false => Err(ArrayError::NotOnHost { type_name: "returned array".to_owned(), device }),
    }
}

/// Those that DLPack can say and NumPy can't take.
fn is_small_float(dtype: DType) -> bool {
    !matches!(
        dtype.code,
        DTypeCode::BOOL | DTypeCode::INT | DTypeCode::UINT | DTypeCode::FLOAT | DTypeCode::COMPLEX
    )
}

fn torch(py: Python<'_>, taken: Taken) -> Result<Bound<'_, PyAny>, ArrayError> {
    static CLASS: PyOnceLock<bool> = PyOnceLock::new();
    let has_table = CLASS.get_or_try_init(py, || {
        let class = py.import("torch")?.getattr("Tensor")?.cast_into::<pyo3::types::PyType>()?;
        PyResult::Ok(learn_torch(&class))
    })?;
    let taken = writable(taken, "a torch tensor")?;
    if taken.tensor.layout().strides_elems().iter().any(|stride| *stride < 0) {
        return Err(not_held(&taken, "torch has no negative strides", "return a packed copy"));
    }
    if !*has_table {
        return by_dlpack(py, intern!(py, "torch"), taken);
    }
    let device = taken.tensor.device();
    if let Some(maker) = taken.stream
        && let Some(reader) = torch_stream_of(py, device)
    {
        let ordered = uncopy::order_streams(device, maker, reader);
        ordered.map_err(|source| ArrayError::Device {
            what: "ordering torch's stream after an array",
            source,
        })?;
    }
    torch_from_tensor(py, taken.tensor)
}

/// jax never writes to what it takes, and knows read-only arrays in its newest versions alone.
fn jax(py: Python<'_>, taken: Taken) -> Result<Bound<'_, PyAny>, ArrayError> {
    let layout = taken.tensor.layout();
    if !layout.is_c_contiguous() {
        return Err(not_held(&taken, "jax has no strides", "return a packed copy"));
    }
    let config = py.import(intern!(py, "jax"))?.getattr(intern!(py, "config"))?;
    if layout.dtype().bits >= 64
        && layout.dtype() != DType::COMPLEX64
        && !config.getattr(intern!(py, "jax_enable_x64"))?.is_truthy()?
    {
        return Err(not_held(
            &taken,
            "jax would halve its numbers",
            "set jax_enable_x64, or return another dtype",
        ));
    }
    let carrier = Bound::new(py, Carrier { given: Given::from(taken) })?;
    Ok(py.import(intern!(py, "jax.dlpack"))?.call_method1(intern!(py, "from_dlpack"), (carrier,))?)
}

/// An array for a library that reads, whether its capsules can say read-only or not.
#[pyclass(frozen)]
struct Carrier {
    given: Given,
}

#[pymethods]
impl Carrier {
    #[pyo3(signature = (*, stream=None, **_others))]
    fn __dlpack__<'py>(
        &self,
        py: Python<'py>,
        stream: Option<&Bound<'py, PyAny>>,
        _others: Option<&Bound<'py, PyDict>>,
    ) -> Result<Bound<'py, PyCapsule>, ArrayError> {
        self.given.capsule_for_reading(py, stream)
    }

    fn __dlpack_device__(&self) -> (i32, i32) {
        self.given.dlpack_device()
    }
}

fn not_held(taken: &Taken, why: &'static str, advice: &'static str) -> ArrayError {
    ArrayError::NotHeld { layout: Box::new(*taken.tensor.layout()), why, advice }
}

fn by_dlpack<'py>(
    py: Python<'py>,
    module: &Bound<'py, pyo3::types::PyString>,
    taken: Taken,
) -> Result<Bound<'py, PyAny>, ArrayError> {
    let array = Bound::new(py, Array::from(taken))?;
    Ok(py.import(module)?.call_method1(intern!(py, "from_dlpack"), (array,))?)
}
