// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arguments with the strictness of pybind11_cuda_array_interface: its checks, in its order.

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyTuple};
use uncopy::{DType, Device, Layout, Stream, dtype_from_typestr};

use crate::errors::*;

/// What an argument is an array of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    Float,
    Int,
}

/// An argument that has passed.
pub struct Strict {
    pub address: usize,
    pub device: Device,
    pub shape: Vec<usize>,
    /// Of elements.
    pub strides: Vec<isize>,
    pub is_read_only: bool,
    pub stream: Option<Stream>,
}

impl Strict {
    /// Checks an argument: protocol, keys, version, shape, typestr, pointer, dtype.
    ///
    /// # Errors
    /// The first of these that is not as it should be.
    pub fn of(array: &Bound<'_, PyAny>, wanted: Wanted) -> PyResult<Self> {
        let Ok(interface) = array.getattr("__cuda_array_interface__") else {
            return Err(InterfaceNotImplementedError::new_err("the object has no __cuda_array_interface__"));
        };
        let interface = interface.cast_into::<PyDict>().map_err(|_| {
            InterfaceNotImplementedError::new_err("__cuda_array_interface__ is no dictionary")
        })?;
        let [data, shape, typestr, version] = ["data", "shape", "typestr", "version"].map(|key| {
            let found = interface.get_item(key)?;
            found.ok_or_else(|| IncompleteInterfaceError::new_err(format!("{key} is missing")))
        });
        let (data, shape, typestr, version) = (data?, shape?, typestr?, version?);
        if version.is_instance_of::<PyBool>() || version.extract::<i64>().ok() != Some(3) {
            return Err(InvalidVersionError::new_err(format!("version {version} is not 3")));
        }
        let shape = shape_of(&shape)?;
        let dtype = dtype_of(&typestr)?;
        let (address, is_read_only) = data.extract::<(Option<usize>, bool)>().map_err(|_| {
            IncompleteInterfaceError::new_err("data is no pair of an address and whether it is read-only")
        })?;
        let unknown =
            |why: String| UnRegCudaTypeError::new_err(format!("the driver knows no such pointer: {why}"));
        let address =
            address.filter(|address| *address != 0).ok_or_else(|| unknown("it is null".to_owned()))?;
        let device = uncopy::device_of(address).map_err(|error| unknown(error.to_string()))?;
        let needed = match wanted {
            Wanted::Float => DType::F32,
            Wanted::Int => DType::I32,
        };
        if dtype != needed {
            return Err(DtypeMismatchError::new_err(format!(
                "an array of {dtype}, where {needed} is needed"
            )));
        }
        let strides = strides_of(&interface, &shape, dtype)?;
        let stream = match interface.get_item("stream")?.filter(|stream| !stream.is_none()) {
            Some(stream) => Some(Stream::from_raw(stream.extract::<u64>()?)),
            None => None,
        };
        Ok(Strict { address, device, shape, strides, is_read_only, stream })
    }

    pub fn len_elems(&self) -> usize {
        self.shape.iter().product()
    }

    /// The one stride that leads through all elements.
    ///
    /// # Errors
    /// There are several axes, with gaps between.
    pub fn step(&self) -> PyResult<isize> {
        if let [stride] = self.strides[..] {
            return Ok(stride);
        }
        let mut expected = 1;
        for (len, stride) in self.shape.iter().zip(&self.strides).rev() {
            if *len != 1 && *stride != expected {
                return Err(InvalidShapeError::new_err("the array has strides on several axes"));
            }
            expected *= len.cast_signed();
        }
        Ok(1)
    }
}

fn shape_of(shape: &Bound<'_, PyAny>) -> PyResult<Vec<usize>> {
    let bad = |why: &str| InvalidShapeError::new_err(format!("shape {shape}: {why}"));
    let shape = shape.cast::<PyTuple>().map_err(|_| bad("it is no tuple"))?;
    let lengths: Result<Vec<usize>, _> = shape.iter().map(|length| length.extract::<usize>()).collect();
    let lengths = lengths.map_err(|_| bad("its lengths must be whole numbers"))?;
    if lengths.is_empty() || lengths.contains(&0) {
        return Err(bad("it must have axes, each of at least 1 element"));
    }
    let bytes = lengths.iter().try_fold(16_usize, |bytes, length| bytes.checked_mul(*length));
    match bytes.filter(|bytes| isize::try_from(*bytes).is_ok()) {
        Some(_) => Ok(lengths),
        None => Err(bad("it is beyond any memory")),
    }
}

fn dtype_of(typestr: &Bound<'_, PyAny>) -> PyResult<DType> {
    let bad = |why: String| InvalidTypestrError::new_err(format!("typestr {typestr}: {why}"));
    let text: String = typestr.extract().map_err(|_| bad("it is no text".to_owned()))?;
    dtype_from_typestr(&text).and_then(uncopy::Typestr::native_dtype).map_err(|error| bad(error.to_string()))
}

fn strides_of(interface: &Bound<'_, PyDict>, shape: &[usize], dtype: DType) -> PyResult<Vec<isize>> {
    let item = dtype.item_bytes().map_or(1, usize::cast_signed);
    let Some(strides) = interface.get_item("strides")?.filter(|strides| !strides.is_none()) else {
        let layout = Layout::contiguous(dtype, shape);
        let layout = layout.map_err(|error| InvalidShapeError::new_err(error.to_string()))?;
        return Ok(layout.strides_elems().to_vec());
    };
    let bytes: Vec<isize> = strides.extract()?;
    if bytes.len() != shape.len() || bytes.iter().any(|stride| stride % item != 0) {
        return Err(InvalidShapeError::new_err(format!(
            "strides {strides}: not whole elements, one for each axis"
        )));
    }
    Ok(bytes.iter().map(|stride| stride / item).collect())
}
