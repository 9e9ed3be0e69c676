// SPDX-License-Identifier: MIT OR Apache-2.0
//! Why an array was not taken or not handed out.

use pyo3::exceptions::{PyException, PyMemoryError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::PyType;
use uncopy::dlpack::DlpackError;
use uncopy::{DType, Device, ErrorKind, Layout, LayoutError, Misfit, TensorError, WantError};

use crate::exception::builtins_from_kind;

/// Why an array was not taken or not handed out. Each message ends with what to try.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArrayError {
    /// The object has no array protocol, or is of a type whose meaning an array would lose.
    #[error("{type_name} is not an array that can be taken: {advice}")]
    NotAnArray {
        /// Full name of the object's type.
        type_name: String,
        /// What it is instead, and what to pass.
        advice: &'static str,
    },
    /// The elements are not where the CPU can read them.
    #[error(
        "the {type_name} is on {device}, and an array in host memory is needed here: copy it to the host first, for \
         example with .cpu() or .get()"
    )]
    NotOnHost {
        /// Full name of the object's type.
        type_name: String,
        /// Where the elements are.
        device: Device,
    },
    /// The elements are not numbers that every side reads alike.
    #[error("the {type_name} has elements of {found}: {advice}")]
    Elements {
        /// Full name of the object's type.
        type_name: String,
        /// The dtype or format that was found.
        found: String,
        /// What to do about it.
        advice: &'static str,
    },
    /// A stride leads into the middle of an element.
    #[error(
        "axis {axis} of the {type_name} steps {stride_bytes} bytes, no multiple of its {item_bytes}-byte elements: \
         pass a contiguous copy, for example numpy.ascontiguousarray(array)"
    )]
    BrokenStride {
        /// Full name of the object's type.
        type_name: String,
        /// The axis, from 0.
        axis: usize,
        /// Its stride.
        stride_bytes: isize,
        /// Size of an element.
        item_bytes: usize,
    },
    /// Rows that are found through pointers.
    #[error("the {type_name} keeps its rows behind pointers (suboffsets): pass a contiguous copy")]
    Suboffsets {
        /// Full name of the object's type.
        type_name: String,
    },
    /// What an exporter says of its buffer contradicts itself.
    #[error(
        "the {type_name} describes its buffer wrongly ({found}): report it to the project that it comes from"
    )]
    BadBuffer {
        /// Full name of the object's type.
        type_name: String,
        /// What was found.
        found: &'static str,
    },
    /// What a CUDA array interface says contradicts itself.
    #[error(
        "the {type_name} describes its memory wrongly in __cuda_array_interface__ ({found}): report it to the project \
         that it comes from"
    )]
    BadInterface {
        /// Full name of the object's type.
        type_name: String,
        /// What was found.
        found: &'static str,
    },
    /// The values are not what memory holds, in a way that the exchange can't say.
    #[error("the {type_name} {what}")]
    Pending {
        /// Full name of the object's type.
        type_name: String,
        /// What is pending, and what to do.
        what: &'static str,
    },
    /// It is not what the function wants; the misfit says all that is wrong.
    #[error("{type_name} {misfit}")]
    Unfit {
        /// Full name of the object's type.
        type_name: String,
        /// What it is, what was wanted, and which parts failed.
        misfit: Box<Misfit>,
    },
    /// The same of a named argument.
    #[error("{function}(): argument {}: {type_name}{misfit}", misfit.argument())]
    Argument {
        /// The function's name.
        function: &'static str,
        /// Full name of the object's type and a space, where it is known.
        type_name: String,
        /// What it is, what was wanted, and which parts failed.
        misfit: Box<Misfit>,
    },
    /// An argument fits, and still can't be used.
    #[error("{function}(): argument {argument}: {source}")]
    Unusable {
        /// The function's name.
        function: &'static str,
        /// The argument's.
        argument: String,
        /// Why.
        source: Box<ArrayError>,
    },
    /// What a function wants can't be read.
    #[error(transparent)]
    Want(#[from] WantError),
    /// An argument that is written lies where another is read.
    #[error(
        "{function}(): argument {written} is written, and may share memory with argument {other}: pass a copy of one of them"
    )]
    SharedMemory {
        /// The function's name.
        function: &'static str,
        /// The argument that is written.
        written: String,
        /// The other.
        other: String,
    },
    /// Several indices lead to one item, so that it can't be written.
    #[error(
        "the {type_name} is broadcast, or its items overlap, so that it can't be written: pass a copy of its own"
    )]
    Overlap {
        /// Full name of the object's type.
        type_name: String,
    },
    /// A device or its driver refused.
    #[error("{what} failed: {source}")]
    Device {
        /// What was being done.
        what: &'static str,
        /// The driver's answer.
        source: std::io::Error,
    },
    /// The values are not in memory yet: a lazy negation that DLPack can't say.
    #[error(
        "the {type_name} has its negative bit set, so memory holds the wrong sign: call .resolve_neg() first"
    )]
    NegativeBit {
        /// Full name of the object's type.
        type_name: String,
    },
    /// The producer raised an exception when it was asked for its memory.
    #[error("the {type_name} did not hand out its memory: {said}")]
    Refused {
        /// Full name of the object's type.
        type_name: String,
        /// Its exception, in words.
        said: String,
        /// Its exception.
        cause: PyErr,
    },
    /// What came back from `__dlpack__` is not a DLPack capsule that may be taken.
    #[error(
        "__dlpack__ of the {type_name} returned {found}, not an unused DLPack capsule: ask it for a new one"
    )]
    NotACapsule {
        /// Full name of the object's type.
        type_name: String,
        /// What came instead.
        found: String,
    },
    /// A writable array was asked for.
    #[error("the array is read-only, and {asked} would let it be written: {advice}")]
    ReadOnly {
        /// What was asked for.
        asked: &'static str,
        /// What to ask for instead.
        advice: &'static str,
    },
    /// The framework that it is to be an array of has none such.
    #[error("an array of {layout} can't be returned: {why}; {advice}")]
    NotHeld {
        /// The array.
        layout: Box<Layout>,
        /// What the framework lacks.
        why: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// A contiguous array was asked for, and the array is not.
    #[error("the elements are not in the order that was asked for ({asked}): ask for strides, or copy first")]
    Order {
        /// What was asked for.
        asked: &'static str,
    },
    /// The protocol has no way to say this dtype.
    #[error("{protocol} has no word for {dtype}: use DLPack")]
    NoWord {
        /// The dtype.
        dtype: DType,
        /// The protocol.
        protocol: &'static str,
    },
    /// An array on another device was asked for.
    #[error("the array is on {found} and was asked for on {wanted}: take it where it is, then copy it over")]
    OtherDevice {
        /// What was asked for.
        wanted: Device,
        /// Where the array is.
        found: Device,
    },
    /// A stream that is none, or that is none here.
    #[error("stream must be {wanted}, not {found}")]
    Stream {
        /// What was passed.
        found: String,
        /// What may be passed.
        wanted: &'static str,
    },
    /// Shape or strides are impossible.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// The tensor could not be made or copied.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// The DLPack struct was refused.
    #[error(transparent)]
    Dlpack(#[from] DlpackError),
    /// An exception that has nothing to do with arrays: it is raised as it is.
    #[error("{0}")]
    Python(#[from] PyErr),
}

impl ArrayError {
    /// The one list from which C codes and Python exceptions come.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotAnArray { .. }
            | Self::Refused { .. }
            | Self::NotACapsule { .. }
            | Self::NegativeBit { .. }
            | Self::Pending { .. }
            | Self::Unfit { .. }
            | Self::Argument { .. }
            | Self::Overlap { .. }
            | Self::SharedMemory { .. }
            | Self::Want(_)
            | Self::Stream { .. } => ErrorKind::InvalidArgument,
            Self::NotOnHost { .. } | Self::NotHeld { .. } => ErrorKind::Unsupported,
            Self::Elements { .. } | Self::NoWord { .. } => ErrorKind::InvalidDType,
            Self::BrokenStride { .. }
            | Self::Suboffsets { .. }
            | Self::BadBuffer { .. }
            | Self::BadInterface { .. } => ErrorKind::InvalidLayout,
            Self::Device { source, .. } => uncopy::device_error_kind(source),
            Self::ReadOnly { .. } => ErrorKind::ReadOnly,
            Self::Order { .. } | Self::OtherDevice { .. } => ErrorKind::CopyRequired,
            Self::Unusable { source, .. } => source.kind(),
            Self::Layout(error) => error.kind(),
            Self::Tensor(error) => error.kind(),
            Self::Dlpack(error) => error.kind(),
            Self::Python(_) => ErrorKind::System,
        }
    }

    /// The exception of this error: of the class that `class` gives for its kind, with the producer's own as its cause.
    pub fn into_py_err<'py>(
        self,
        py: Python<'py>,
        class: impl FnOnce(Python<'py>, ErrorKind) -> Bound<'py, PyType>,
    ) -> PyErr {
        let message = self.to_string();
        let kind = self.kind();
        match self {
            Self::Python(error) => error,
            Self::Refused { cause, .. } => {
                let error = PyErr::from_type(class(py, kind), message);
                error.set_cause(py, Some(cause));
                error
            }
            _ => PyErr::from_type(class(py, kind), message),
        }
    }

    /// A producer's exception: wrapped if it is about the array, else (Ctrl-C, no memory) passed on.
    pub(crate) fn refused(array: &Bound<'_, PyAny>, cause: PyErr) -> Self {
        let py = array.py();
        if !cause.is_instance_of::<PyException>(py) || cause.is_instance_of::<PyMemoryError>(py) {
            return Self::Python(cause);
        }
        let said = match cause.value(py).str() {
            Ok(text) if !text.to_string_lossy().is_empty() => text.to_string_lossy().into_owned(),
            _ => cause.get_type(py).to_string(),
        };
        Self::Refused { type_name: type_name_of(array), said, cause }
    }
}

impl From<ArrayError> for PyErr {
    /// The closest built-in exception: the first of its kind's, and `TypeError` for what is no array at all.
    fn from(error: ArrayError) -> PyErr {
        let no_array = matches!(
            error,
            ArrayError::NotAnArray { .. }
                | ArrayError::NotACapsule { .. }
                | ArrayError::Unfit { .. }
                | ArrayError::Argument { .. }
        );
        Python::attach(|py| {
            error.into_py_err(py, |py, kind| match builtins_from_kind(py, kind).into_iter().next() {
                Some(first) if !no_array => first,
                _ => py.get_type::<PyTypeError>(),
            })
        })
    }
}

impl From<Box<ArrayError>> for ArrayError {
    fn from(error: Box<ArrayError>) -> ArrayError {
        *error
    }
}

impl From<Box<ArrayError>> for PyErr {
    #[cold]
    fn from(error: Box<ArrayError>) -> PyErr {
        (*error).into()
    }
}

/// The full name of an object's type, for messages.
pub(crate) fn type_name_of(object: &Bound<'_, PyAny>) -> String {
    let ty = object.get_type();
    match ty.fully_qualified_name() {
        Ok(name) => name.to_string_lossy().into_owned(),
        Err(_) => "object".to_owned(),
    }
}
