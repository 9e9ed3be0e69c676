// SPDX-License-Identifier: MIT OR Apache-2.0
//! Raw pointers as arrays.
#![expect(unsafe_code, reason = "fence: takes an address at the caller's word")]

use pyo3::prelude::*;
use uncopy::{Access, Device, Layout};
use uncopy_pyo3::{Array, Kept, Taken, owner_of_stream, tensor_from_address};

use crate::errors::Failure;
use crate::form::{dtype_from_python, layout_from_python};
use crate::streams::{device_from_argument, stream_from_argument};

/// Memory at an address as an array that every framework takes: numpy.asarray(a), torch.from_dlpack(a), cupy.asarray(a),
/// pub.send(a). Nothing is copied, and **nothing is checked**: the memory has to be there.
///
/// ptr is the address of the first element, on the host or, with device='cuda:0', on a GPU. shape is a tuple, dtype a name
/// or a dtype of any framework, strides are in bytes as NumPy has them (None: C order). owner is kept as long as the array
/// or a view of it lives; who names none sees to that. stream is where the work that makes the memory's content was put, as
/// a handle or an object of a framework: readers that name their own stream are ordered after it. An object is kept as owner
/// is; the stream of a handle has to live so long. None says that the content is there. readonly=True lets nobody write who asks.
///
/// Raises InvalidDType, InvalidLayout, InvalidArgument.
#[pyfunction]
#[pyo3(signature = (ptr, shape, dtype, *, device=None, strides=None, owner=None, stream=None, readonly=false))]
#[expect(clippy::too_many_arguments, reason = "the keywords of the Python function")]
pub fn wrap(
    ptr: usize,
    shape: &Bound<'_, PyAny>,
    dtype: &Bound<'_, PyAny>,
    device: Option<&Bound<'_, PyAny>>,
    strides: Option<Vec<isize>>,
    owner: Option<Py<PyAny>>,
    stream: Option<&Bound<'_, PyAny>>,
    readonly: bool,
) -> Result<Array, Failure> {
    let device = device.map(device_from_argument).transpose()?.unwrap_or(Device::CPU);
    let layout = layout_from_python(shape, dtype_from_python(dtype)?)?;
    let layout = match strides {
        None => layout,
        Some(strides) => strided(&layout, &strides)?,
    };
    if ptr == 0 && !layout.is_empty() {
        return Err(Failure::argument(
            "ptr is 0, where nothing can be; pass the address of the first element",
        ));
    }
    let stream_owner = stream.and_then(owner_of_stream);
    let stream = stream_from_argument(stream)?;
    if stream.is_some() && device.is_host_accessible() {
        return Err(Failure::argument("stream is for memory on a device, and this is in host memory"));
    }
    let access = if readonly { Access::ReadOnly } else { Access::ReadWrite };
    // SAFETY: this is what the caller of the Python function is told to promise: the memory is there as long as the owner
    // lives, and is not written while it is read.
    let tensor = unsafe { tensor_from_address(ptr, layout, device, access, owner.map(Kept::from)) }?;
    Ok(Taken { tensor, stream, owner: stream_owner }.into())
}

fn strided(layout: &Layout, strides_bytes: &[isize]) -> Result<Layout, Failure> {
    let item = layout.dtype().item_bytes().and_then(|bytes| isize::try_from(bytes).ok()).unwrap_or(1).max(1);
    if let Some(broken) = strides_bytes.iter().find(|stride| *stride % item != 0) {
        return Err(Failure::argument(format!(
            "strides are in bytes, and {broken} is no multiple of the {item} bytes of an element"
        )));
    }
    let strides_elems: Vec<isize> = strides_bytes.iter().map(|stride| stride / item).collect();
    Ok(Layout::strided(layout.dtype(), layout.shape(), &strides_elems)?)
}
