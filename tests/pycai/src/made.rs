// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arrays that are made here: an object with the interface, and beside it the capsule that owns the memory.

use std::sync::Arc;

use pyo3::prelude::*;
use pyo3::types::{PyCapsule, PyDict, PyTuple};
use uncopy::cuda::CudaDevice;
use uncopy::{Accelerator, DType, DeviceMemory, Layout, Region, Stream, Tensor};

use crate::errors::*;

/// A new array of floats on the first device.
pub fn made<'py>(
    py: Python<'py>,
    shape: &[usize],
    readonly: bool,
    version: i64,
) -> PyResult<Bound<'py, PyAny>> {
    let (object, _) = make(py, shape, readonly, version)?;
    Ok(object)
}

/// The same, with these values in it.
pub fn copied<'py>(
    py: Python<'py>,
    values: &[f32],
    readonly: bool,
    version: i64,
) -> PyResult<Bound<'py, PyAny>> {
    if readonly {
        return Err(ReadOnlyAccessError::new_err("a read-only array can't be copied to"));
    }
    let (object, region) = make(py, &[values.len()], readonly, version)?;
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_ne_bytes()).collect();
    let layout = Layout::contiguous(DType::F32, &[values.len()]).map_err(of_driver)?;
    let from = Tensor::new(Region::from_vec(bytes), layout, 0).map_err(of_driver)?;
    let device = CudaDevice::with_ordinal(0).map_err(of_driver)?;
    device.copy(&from, &region, Stream::LEGACY_DEFAULT).map_err(of_driver)?;
    device.synchronize(Stream::LEGACY_DEFAULT).map_err(of_driver)?;
    Ok(object)
}

fn make<'py>(
    py: Python<'py>,
    shape: &[usize],
    readonly: bool,
    version: i64,
) -> PyResult<(Bound<'py, PyAny>, Region)> {
    if shape.is_empty() || shape.contains(&0) {
        return Err(InvalidShapeError::new_err(format!(
            "shape {shape:?} must have axes, each of at least 1 element"
        )));
    }
    if !matches!(version, 2 | 3) {
        return Err(InvalidVersionError::new_err(format!("version {version} can't be made: ask for 2 or 3")));
    }
    let layout = Layout::contiguous(DType::F32, shape)
        .map_err(|error| InvalidShapeError::new_err(error.to_string()))?;
    let device = CudaDevice::with_ordinal(0).map_err(of_driver)?;
    let memory: Box<dyn DeviceMemory> = device.allocate(layout.len_bytes()).map_err(of_driver)?;
    let region = memory.region();
    let interface = PyDict::new(py);
    interface.set_item("shape", PyTuple::new(py, shape)?)?;
    interface.set_item("typestr", "<f4")?;
    interface.set_item("data", (region.address(), readonly))?;
    interface.set_item("version", version)?;
    if version == 3 {
        interface.set_item("stream", Stream::LEGACY_DEFAULT.raw())?;
    }
    let capsule = PyCapsule::new_with_value(py, Owner { device, _memory: memory }, c"cuda_memory_capsule")?;
    let entries = PyDict::new(py);
    entries.set_item("__cuda_array_interface__", interface)?;
    entries.set_item("_capsule", capsule)?;
    let namespace = py
        .import("types")
        .and_then(|types| types.getattr("SimpleNamespace"))
        .map_err(|error| SimpleNamespaceError::new_err(error.to_string()))?;
    Ok((namespace.call((), Some(&entries))?, region))
}

/// What the capsule owns.
struct Owner {
    device: Arc<CudaDevice>,
    _memory: Box<dyn DeviceMemory>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        // As `cudaFree` does: unmapping does not wait for who still uses it. Of a device that is lost nobody does.
        let _ = self.device.settle();
    }
}
