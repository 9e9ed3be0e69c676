// SPDX-License-Identifier: MIT OR Apache-2.0
//! One exception class for each [`ErrorKind`], all under `uncopy.Error`, each also the built-ins that it resembles.
//!
//! The classes are made from the list of kinds when the module is loaded, so the list is the only place that names
//! them.

use std::fmt;

use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple, PyType};
use uncopy::{DTypeError, ErrorKind, LayoutError, LinkError, PixelError};
use uncopy_pyo3::{ArrayError, builtins_from_kind};

static CLASSES: PyOnceLock<Vec<(ErrorKind, Py<PyType>)>> = PyOnceLock::new();

/// Anything that a call from Python can fail with.
pub enum Failure {
    Link(LinkError),
    Array(ArrayError),
    /// With words of this crate.
    Said(ErrorKind, String),
    /// An exception of Python's own: Ctrl-C, or what the caller's objects raise.
    Python(PyErr),
}

impl Failure {
    pub fn argument(message: impl fmt::Display) -> Self {
        Failure::Said(ErrorKind::InvalidArgument, message.to_string())
    }
}

impl From<Failure> for PyErr {
    fn from(failure: Failure) -> PyErr {
        Python::attach(|py| match failure {
            Failure::Link(error) => PyErr::from_type(class(py, error.kind()), error.to_string()),
            Failure::Array(error) => error.into_py_err(py, class),
            Failure::Said(kind, message) => PyErr::from_type(class(py, kind), message),
            Failure::Python(error) => error,
        })
    }
}

macro_rules! failure_from {
    ($($error:ty => $make:expr;)+) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                $make(error)
            }
        })+
    };
}

failure_from! {
    LinkError => Failure::Link;
    ArrayError => Failure::Array;
    PyErr => Failure::Python;
    DTypeError => |error: DTypeError| Failure::Said(error.kind(), error.to_string());
    LayoutError => |error: LayoutError| Failure::Said(error.kind(), error.to_string());
    PixelError => |error: PixelError| Failure::Said(error.kind(), error.to_string());
}

/// The exception class of a kind.
pub fn class(py: Python<'_>, kind: ErrorKind) -> Bound<'_, PyType> {
    let classes = CLASSES.get(py).map(Vec::as_slice).unwrap_or_default();
    match classes.iter().find(|(known, _)| *known == kind) {
        Some((_, class)) => class.bind(py).clone(),
        // Only before the module is loaded, when nothing of ours can be called.
        None => py.get_type::<PyException>(),
    }
}

/// Makes the classes and puts them into the module.
pub fn add_classes(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let root = PyTuple::new(py, [py.get_type::<PyException>()])?;
    let base = new_class(py, "Error", &root, "Every error of uncopy is one of these.", "", 0)?;
    module.add("Error", &base)?;
    let mut classes = Vec::with_capacity(ErrorKind::ALL.len());
    for &kind in ErrorKind::ALL {
        let name = format!("{kind:?}");
        let mut bases = vec![base.clone()];
        bases.extend(builtins_from_kind(py, kind));
        let bases = PyTuple::new(py, bases)?;
        let class = new_class(py, &name, &bases, kind.meaning(), kind.name(), kind.code())?;
        module.add(name.as_str(), &class)?;
        classes.push((kind, class.unbind()));
    }
    // A second load of the module in one process keeps the classes of the first.
    let _ = CLASSES.set(py, classes);
    Ok(())
}

fn new_class<'py>(
    py: Python<'py>,
    name: &str,
    bases: &Bound<'py, PyTuple>,
    doc: &str,
    kind: &str,
    code: i32,
) -> PyResult<Bound<'py, PyType>> {
    let members = PyDict::new(py);
    members.set_item("__module__", "uncopy")?;
    members.set_item("__doc__", doc)?;
    members.set_item("kind", kind)?;
    members.set_item("code", code)?;
    Ok(py.get_type::<PyType>().call1((name, bases, members))?.cast_into::<PyType>()?)
}
