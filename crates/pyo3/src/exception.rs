// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which of Python's own exceptions each kind of error resembles.
//!
//! One table for every extension: the wheel makes its classes from it, and errors of this crate become the first class
//! of their row where an extension has no classes of its own.

use pyo3::exceptions::{
    PyBlockingIOError, PyBufferError, PyConnectionAbortedError, PyConnectionError, PyConnectionRefusedError,
    PyFileExistsError, PyFileNotFoundError, PyInterruptedError, PyMemoryError, PyNotImplementedError,
    PyOSError, PyPermissionError, PyRuntimeError, PyTimeoutError, PyTypeError, PyValueError,
};
use pyo3::prelude::*;
use pyo3::types::PyType;
use uncopy::ErrorKind;

/// The built-in classes that an error of this kind is an instance of, the closest first. Never empty.
///
/// | kind | built-in |
/// |---|---|
/// | `InvalidArgument` | `ValueError`, `TypeError` |
/// | `InvalidName`, `InvalidLayout`, `FormMismatch` | `ValueError` |
/// | `InvalidDType` | `TypeError` |
/// | `Unsupported` | `NotImplementedError` |
/// | `NotFound` | `FileNotFoundError` |
/// | `NameTaken` | `FileExistsError` |
/// | `PermissionDenied` | `PermissionError` |
/// | `TimedOut` | `TimeoutError` |
/// | `Interrupted` | `InterruptedError` |
/// | `Closed` | `ConnectionError`, and `ValueError` as for a closed file |
/// | `ProducerLost`, `ProducerClosed` | `ConnectionError`, `TimeoutError` |
/// | `Superseded`, `Evicted` | `ConnectionAbortedError` |
/// | `TooManyConsumers` | `ConnectionRefusedError` |
/// | `NoFreeSlot` | `BlockingIOError` |
/// | `VersionMismatch`, `CorruptLink` | `ConnectionError` |
/// | `OutOfMemory` | `MemoryError` |
/// | `ForkedProcess`, `DeviceLost` | `RuntimeError` |
/// | `ReadOnly`, `CopyRequired` | `BufferError` |
/// | `OutOfResources`, `System`, and kinds of later versions | `OSError` |
#[must_use]
pub fn builtins_from_kind(py: Python<'_>, kind: ErrorKind) -> Vec<Bound<'_, PyType>> {
    match kind {
        ErrorKind::InvalidArgument => vec![py.get_type::<PyValueError>(), py.get_type::<PyTypeError>()],
        ErrorKind::InvalidName | ErrorKind::InvalidLayout | ErrorKind::FormMismatch => {
            vec![py.get_type::<PyValueError>()]
        }
        ErrorKind::InvalidDType => vec![py.get_type::<PyTypeError>()],
        ErrorKind::Unsupported => vec![py.get_type::<PyNotImplementedError>()],
        ErrorKind::NotFound => vec![py.get_type::<PyFileNotFoundError>()],
        ErrorKind::NameTaken => vec![py.get_type::<PyFileExistsError>()],
        ErrorKind::PermissionDenied => vec![py.get_type::<PyPermissionError>()],
        ErrorKind::TimedOut => vec![py.get_type::<PyTimeoutError>()],
        ErrorKind::Interrupted => vec![py.get_type::<PyInterruptedError>()],
        ErrorKind::Closed => vec![py.get_type::<PyConnectionError>(), py.get_type::<PyValueError>()],
        ErrorKind::ProducerLost | ErrorKind::ProducerClosed => {
            vec![py.get_type::<PyConnectionError>(), py.get_type::<PyTimeoutError>()]
        }
        ErrorKind::Superseded | ErrorKind::Evicted => vec![py.get_type::<PyConnectionAbortedError>()],
        ErrorKind::TooManyConsumers => vec![py.get_type::<PyConnectionRefusedError>()],
        ErrorKind::NoFreeSlot => vec![py.get_type::<PyBlockingIOError>()],
        ErrorKind::VersionMismatch | ErrorKind::CorruptLink => vec![py.get_type::<PyConnectionError>()],
        ErrorKind::OutOfMemory => vec![py.get_type::<PyMemoryError>()],
        ErrorKind::ForkedProcess | ErrorKind::DeviceLost => vec![py.get_type::<PyRuntimeError>()],
        ErrorKind::ReadOnly | ErrorKind::CopyRequired => vec![py.get_type::<PyBufferError>()],
        _ => vec![py.get_type::<PyOSError>()],
    }
}
