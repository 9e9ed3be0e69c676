// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which protocol a type is asked by: decided once per exact type and remembered, the negative answer included.
//!
//! `types.rs` remembers.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyType};

use super::buffer::has_buffer;
use super::exchange::Exchange;
use super::numpy::{self, Fields};
use super::types;
use crate::error::ArrayError;

/// How arrays of one type are taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Route {
    NumPy(Fields),
    Dlpack(Producer),
    Buffer,
    /// The CUDA array interface, for types that have nothing better.
    Cuda(Unnamed),
    /// With what to pass instead.
    Refused(&'static str),
}

/// What is known of a type that has `__dlpack__`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Producer {
    pub(crate) keywords: Keywords,
    /// It has `__dlpack_device__`.
    pub(crate) tells_device: bool,
    /// Its arrays never change, whether its capsules say so or not (jax before 0.12 can't).
    pub(crate) immutable: bool,
    /// It is a torch tensor, whose negative bit DLPack can't say.
    pub(crate) torch: bool,
    /// Its exchange table.
    pub(crate) exchange: Option<Exchange>,
    /// The table is that of torch's own tensors, which may be written. What other tables lend does not say whether it may.
    pub(crate) lends: bool,
    /// How the stream is found that its arrays are made in, where there is no table.
    pub(crate) streams: Streams,
}

/// Who knows the stream that arrays of a type are made in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Streams {
    /// `torch.cuda.current_stream`.
    Torch,
    /// `cupy.cuda.get_current_stream`.
    Cupy,
    /// The array, which makes a stream of ours wait.
    Own,
}

/// What it means that an array names no stream by the CUDA array interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unnamed {
    /// Its content is there, as the protocol has it.
    Made,
    /// numba: no stream was bound to the array, and work on it goes into the legacy default stream.
    LegacyDefault,
}

/// Which keywords `__dlpack__` of a type takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Keywords {
    /// `max_version`, or not tried yet.
    MaxVersion,
    /// None: it refused `max_version`.
    Bare,
}

/// The remembered route of an object's type, or a new one.
#[inline]
pub(crate) fn route_of(array: &Bound<'_, PyAny>) -> Result<Route, ArrayError> {
    match types::known(array) {
        Some(route) => Ok(*route),
        None => new_route(array),
    }
}

#[cold]
fn new_route(array: &Bound<'_, PyAny>) -> Result<Route, ArrayError> {
    let ty = array.get_type();
    let route = learn(array, &ty)?;
    // Of objects with attributes of their own each may be another sort of array, or none.
    let is_of_all = !matches!(route, Route::Refused(_) | Route::Cuda(_)) || !has_own_attributes(array)?;
    if is_of_all {
        types::remember(&ty, route);
    }
    Ok(route)
}

fn has_own_attributes(array: &Bound<'_, PyAny>) -> PyResult<bool> {
    array.hasattr(intern!(array.py(), "__dict__"))
}

fn learn(array: &Bound<'_, PyAny>, ty: &Bound<'_, PyType>) -> Result<Route, ArrayError> {
    let mut torch = false;
    let mut own_table = None;
    let mut immutable = false;
    let mut streams = Streams::Own;
    let mut unnamed = Unnamed::Made;
    for class in ty.mro() {
        let Ok(class) = class.cast_into::<PyType>() else { continue };
        let (module, name) = (text_of(class.module()), text_of(class.qualname()));
        match (root_of(&module), module.as_str(), name.as_str()) {
            (_, "numpy.ma" | "numpy.ma.core", "MaskedArray") => return Ok(Route::Refused(MASKED)),
            (_, "numpy", "generic") => return Ok(Route::Refused(SCALAR)),
            (_, "numpy", "ndarray") => return Ok(Route::NumPy(numpy::fields_of(array))),
            ("torch", _, "Tensor") => {
                (torch, streams) = (true, Streams::Torch);
                // A class of torch's for read-only tensors is one of these, with another table.
                own_table = Exchange::of(&class);
            }
            ("cupy", _, "ndarray") => streams = Streams::Cupy,
            ("jax" | "jaxlib", _, _) => immutable = true,
            ("numba" | "numba_cuda", _, _) => unnamed = Unnamed::LegacyDefault,
            _ => {}
        }
    }
    let py = array.py();
    if ty.hasattr(intern!(py, "__dlpack__"))? {
        let tells_device = ty.hasattr(intern!(py, "__dlpack_device__"))?;
        let exchange = Exchange::of(ty);
        if let Some(own) = own_table {
            own.is_of_torch();
        }
        return Ok(Route::Dlpack(Producer {
            keywords: Keywords::MaxVersion,
            tells_device,
            immutable,
            torch,
            exchange,
            lends: own_table.is_some() && exchange == own_table,
            streams,
        }));
    }
    if has_buffer(array) {
        return Ok(Route::Buffer);
    }
    let name = intern!(py, "__cuda_array_interface__");
    if ty.hasattr(name)? || array.hasattr(name)? {
        return Ok(Route::Cuda(unnamed));
    }
    Ok(Route::Refused(advice_for(array)?))
}

pub(crate) const MASKED: &str =
    "an array would lose its mask; pass array.filled(value) or array.data, and the mask as well";
const SCALAR: &str = "it is a scalar; numpy.asarray(value) makes an array of it";
const CONVERTIBLE: &str =
    "it has neither __dlpack__ nor a buffer; pass numpy.asarray(value), which copies it";
const NO_PROTOCOL: &str =
    "pass an object with __dlpack__ or a buffer, such as a NumPy array or a torch tensor";

fn advice_for(array: &Bound<'_, PyAny>) -> Result<&'static str, ArrayError> {
    let py = array.py();
    let convertible = array.hasattr(intern!(py, "__array__"))?
        || array.hasattr(intern!(py, "__array_interface__"))?
        || array.is_instance_of::<pyo3::types::PyList>();
    Ok(if convertible { CONVERTIBLE } else { NO_PROTOCOL })
}

fn text_of(name: PyResult<Bound<'_, PyString>>) -> String {
    name.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn root_of(module: &str) -> &str {
    module.split('.').next().unwrap_or(module)
}
