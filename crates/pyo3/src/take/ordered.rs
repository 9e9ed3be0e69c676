// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arrays on any device, each with the stream in which it may be read.
//!
//! | array | by | read in |
//! |---|---|---|
//! | has an exchange table (torch from 2.10) | the table | the framework's current stream on the array's device |
//! | older torch | `to_dlpack` | `torch.cuda.current_stream` |
//! | CuPy | `__dlpack__(stream=-1)` | `cupy.cuda.get_current_stream` |
//! | another with `__dlpack__` (jax, cuda.core, ...) | `__dlpack__(stream=ours)`, which makes ours wait for it | ours |
//! | numba | the CUDA array interface | its `stream`; the legacy default stream where none is bound to it |
//! | another with the CUDA array interface only | that | its `stream`; ours where it has none |
//!
//! A stream that the caller names takes the place of the framework's current one.

use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use uncopy::{Device, DeviceKind, Stream, Tensor, dlpack};

use super::cuda::{self, Made};
use super::exchange::Exchange;
use super::route::{Keywords, Producer, Route, Streams, Unnamed, route_of};
use super::types::remember;
use super::{tensor_from_python, torch};
use crate::error::{ArrayError, type_name_of};
use crate::stream::{StreamOwner, owner_of_stream};

/// An array that was taken where it is.
#[derive(Debug, Clone)]
pub struct Taken {
    /// The array.
    pub tensor: Tensor,
    /// Work that is put into this stream may read it; `None` in host memory.
    pub stream: Option<Stream>,
    /// What keeps that stream, where it is known and the stream not the caller's: hold it for as long as the stream is used.
    pub owner: Option<StreamOwner>,
}

impl Taken {
    fn in_stream(tensor: Tensor, stream: Stream) -> Self {
        Taken { tensor, stream: Some(stream), owner: None }
    }

    fn on_host(tensor: Tensor) -> Self {
        Taken { tensor, stream: None, owner: None }
    }
}

/// Any array on any device, and the stream in which it is to be read: as
/// [`tensor_from_python`](super::tensor_from_python), which takes what is in host memory.
///
/// - **Stream**: `named` if the caller names one; else the stream that the array or its framework works in on the array's
///   device, or `own(device)`, a stream of the caller's that was made to wait for the array.
/// - **Nothing waits** on the processor, and no framework's stream is touched.
/// - **For reading**: torch tensors that require a gradient are taken, too.
///
/// # Errors
///
/// As for [`tensor_from_python`](super::tensor_from_python); [`ArrayError::NotOnHost`] for devices other than CUDA's;
/// what `own` raises.
pub fn taken_from_python(
    array: &Bound<'_, PyAny>,
    named: Option<Stream>,
    own: &mut dyn FnMut(Device) -> PyResult<Stream>,
) -> Result<Taken, ArrayError> {
    match route_of(array)? {
        Route::Dlpack(producer) => match producer.exchange {
            Some(exchange) => match by_table(array, producer, exchange, named) {
                // `__dlpack__` refuses too, in words for users.
                Err(ArrayError::Refused { .. }) => by_dlpack(array, producer, named, own),
                taken => taken,
            },
            None => by_dlpack(array, producer, named, own),
        },
        Route::Cuda(unnamed) => {
            let (tensor, made) = cuda::tensor_from_interface(array)?;
            let stream = match (named, made) {
                (Some(named), _) => named,
                (None, Made::In(stream)) => stream,
                (None, Made::Already) if unnamed == Unnamed::LegacyDefault => Stream::LEGACY_DEFAULT,
                (None, Made::Already) => own(tensor.device())?,
            };
            Ok(Taken::in_stream(tensor, stream))
        }
        _ => on_host(array),
    }
}

fn on_host(array: &Bound<'_, PyAny>) -> Result<Taken, ArrayError> {
    Ok(Taken::on_host(tensor_from_python(array)?))
}

fn by_table(
    array: &Bound<'_, PyAny>,
    producer: Producer,
    exchange: Exchange,
    named: Option<Stream>,
) -> Result<Taken, ArrayError> {
    let tensor = exchange.tensor(array)?;
    let device = tensor.device();
    refuse_other_kinds(array, device)?;
    if producer.torch {
        torch::check_values(array, &tensor)?;
    }
    let tensor = if producer.immutable { tensor.read_only() } else { tensor };
    let stream = match named {
        _ if device.is_host_accessible() => return Ok(Taken::on_host(tensor)),
        Some(stream) => stream,
        None => exchange.current_stream(array, device)?,
    };
    Ok(Taken::in_stream(tensor, stream))
}

fn by_dlpack(
    array: &Bound<'_, PyAny>,
    producer: Producer,
    named: Option<Stream>,
    own: &mut dyn FnMut(Device) -> PyResult<Stream>,
) -> Result<Taken, ArrayError> {
    let device = match producer.tells_device {
        true => super::dlpack::device_of(array)?,
        // One that only has `__dlpack__` is asked without a stream, which means the legacy default one.
        false => return by_bare_dlpack(array, producer, named),
    };
    if device.is_host_accessible() {
        return on_host(array);
    }
    refuse_other_kinds(array, device)?;
    let mut owner = None;
    let (tensor, stream) = match producer.streams {
        Streams::Torch => {
            let stream = named.map_or_else(|| torch_stream(array, device), Ok)?;
            let capsule = array.py().import("torch.utils.dlpack")?.call_method1("to_dlpack", (array,));
            let capsule = capsule.map_err(|cause| ArrayError::refused(array, cause))?;
            let tensor = super::dlpack::tensor_from_capsule(array, &capsule)?;
            torch::check_values(array, &tensor)?;
            (tensor, stream)
        }
        Streams::Cupy => {
            let stream = match named {
                Some(stream) => stream,
                None => {
                    let (stream, object) = cupy_current_stream(array.py(), device)?;
                    owner = owner_of_stream(&object);
                    stream
                }
            };
            (ask(array, producer, -1)?, stream)
        }
        Streams::Own => {
            let stream = named.map_or_else(|| own(device), Ok)?;
            (ask(array, producer, stream.raw().cast_signed())?, stream)
        }
    };
    // What it said before may have been of another array of its own.
    refuse_other_kinds(array, tensor.device())?;
    let tensor = if producer.immutable { tensor.read_only() } else { tensor };
    Ok(Taken { tensor, stream: Some(stream), owner })
}

fn by_bare_dlpack(
    array: &Bound<'_, PyAny>,
    producer: Producer,
    named: Option<Stream>,
) -> Result<Taken, ArrayError> {
    let answer = super::dlpack::ask(array, producer).map_err(|cause| ArrayError::refused(array, cause))?;
    let tensor = super::dlpack::tensor_from_capsule(array, &answer)?;
    if tensor.device().is_host_accessible() {
        return Ok(Taken::on_host(tensor));
    }
    refuse_other_kinds(array, tensor.device())?;
    Ok(Taken::in_stream(tensor, named.unwrap_or(Stream::LEGACY_DEFAULT)))
}

/// Frames lie in host memory or on CUDA devices.
fn refuse_other_kinds(array: &Bound<'_, PyAny>, device: Device) -> Result<(), ArrayError> {
    if device.kind == DeviceKind::CUDA || device.is_host_accessible() {
        return Ok(());
    }
    Err(ArrayError::NotOnHost { type_name: type_name_of(array), device })
}

/// `__dlpack__(stream=stream)`, with `max_version` unless the type refused it before.
fn ask(array: &Bound<'_, PyAny>, producer: Producer, stream: i64) -> Result<Tensor, ArrayError> {
    let py = array.py();
    let keywords = PyDict::new(py);
    keywords.set_item(intern!(py, "stream"), stream)?;
    let name = intern!(py, "__dlpack__");
    let refused = |cause| ArrayError::refused(array, cause);
    let answer = if producer.keywords == Keywords::MaxVersion {
        let version = dlpack::VERSION;
        keywords.set_item(intern!(py, "max_version"), (version.major, version.minor))?;
        match array.call_method(name, (), Some(&keywords)) {
            Err(error) if error.is_instance_of::<PyTypeError>(py) => {
                keywords.del_item(intern!(py, "max_version"))?;
                let answer = array.call_method(name, (), Some(&keywords)).map_err(refused)?;
                let bare = Producer { keywords: Keywords::Bare, ..producer };
                remember(&array.get_type(), Route::Dlpack(bare));
                answer
            }
            answer => answer.map_err(refused)?,
        }
    } else {
        array.call_method(name, (), Some(&keywords)).map_err(refused)?
    };
    super::dlpack::tensor_from_capsule(array, &answer)
}

fn torch_stream(array: &Bound<'_, PyAny>, device: Device) -> Result<Stream, ArrayError> {
    let current = array.py().import("torch.cuda")?.call_method1("current_stream", (device.id,))?;
    Ok(Stream::from_raw(current.getattr("cuda_stream")?.extract::<u64>()?))
}

/// The stream that CuPy puts work of this thread into, on a device, and the object that keeps it alive. CuPy is imported if
/// it was not.
///
/// # Errors
/// CuPy's.
pub fn cupy_current_stream(py: Python<'_>, device: Device) -> PyResult<(Stream, Bound<'_, PyAny>)> {
    let current =
        py.import(intern!(py, "cupy.cuda"))?.call_method1(intern!(py, "get_current_stream"), (device.id,))?;
    let handle = current.getattr(intern!(py, "ptr"))?.extract::<u64>()?;
    Ok((Stream::from_raw(handle), current))
}
