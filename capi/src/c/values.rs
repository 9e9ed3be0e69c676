// SPDX-License-Identifier: MIT OR Apache-2.0
//! The small values of the header: dtypes, devices, layouts, forms, and the numbers that name things.
//!
//! They never change, so that they have no size of their own.

use std::mem::{offset_of, size_of};

use uncopy::{ChannelOrder, DType, DTypeCode, Device, DeviceKind, Form, Layout, Origin, PixelFormat};

use crate::failure::Failure;

/// The most axes that an array can have.
pub const UNCOPY_MAX_NDIM: usize = 8;

/// `uncopy_dtype.code`: signed integer.
pub const UNCOPY_DTYPE_INT: u8 = 0;
/// `uncopy_dtype.code`: unsigned integer.
pub const UNCOPY_DTYPE_UINT: u8 = 1;
/// `uncopy_dtype.code`: IEEE 754 binary float.
pub const UNCOPY_DTYPE_FLOAT: u8 = 2;
/// `uncopy_dtype.code`: bfloat16.
pub const UNCOPY_DTYPE_BFLOAT: u8 = 4;
/// `uncopy_dtype.code`: complex, of two floats with half the bits each.
pub const UNCOPY_DTYPE_COMPLEX: u8 = 5;
/// `uncopy_dtype.code`: boolean in a byte.
pub const UNCOPY_DTYPE_BOOL: u8 = 6;

/// `uncopy_device.kind`: host memory.
pub const UNCOPY_DEVICE_CPU: i32 = 1;
/// `uncopy_device.kind`: memory of an NVIDIA GPU.
pub const UNCOPY_DEVICE_CUDA: i32 = 2;
/// `uncopy_device.kind`: host memory that the CUDA driver has pinned.
pub const UNCOPY_DEVICE_CUDA_HOST: i32 = 3;
/// `uncopy_device.kind`: managed memory of CUDA.
pub const UNCOPY_DEVICE_CUDA_MANAGED: i32 = 13;

/// `pixel_format`: not an image, or not said.
pub const UNCOPY_PIXEL_UNSPECIFIED: u16 = 0;
/// `pixel_format`: gray8.
pub const UNCOPY_PIXEL_GRAY8: u16 = 1;
/// `pixel_format`: gray16.
pub const UNCOPY_PIXEL_GRAY16: u16 = 2;
/// `pixel_format`: gray16f.
pub const UNCOPY_PIXEL_GRAY16F: u16 = 3;
/// `pixel_format`: gray32f.
pub const UNCOPY_PIXEL_GRAY32F: u16 = 4;
/// `pixel_format`: rg8.
pub const UNCOPY_PIXEL_RG8: u16 = 16;
/// `pixel_format`: rg16.
pub const UNCOPY_PIXEL_RG16: u16 = 17;
/// `pixel_format`: rg16f.
pub const UNCOPY_PIXEL_RG16F: u16 = 18;
/// `pixel_format`: rg32f.
pub const UNCOPY_PIXEL_RG32F: u16 = 19;
/// `pixel_format`: rgb8.
pub const UNCOPY_PIXEL_RGB8: u16 = 32;
/// `pixel_format`: rgb16.
pub const UNCOPY_PIXEL_RGB16: u16 = 33;
/// `pixel_format`: rgb16f.
pub const UNCOPY_PIXEL_RGB16F: u16 = 34;
/// `pixel_format`: rgb32f.
pub const UNCOPY_PIXEL_RGB32F: u16 = 35;
/// `pixel_format`: bgr8.
pub const UNCOPY_PIXEL_BGR8: u16 = 36;
/// `pixel_format`: rgba8.
pub const UNCOPY_PIXEL_RGBA8: u16 = 48;
/// `pixel_format`: rgba16.
pub const UNCOPY_PIXEL_RGBA16: u16 = 49;
/// `pixel_format`: rgba16f.
pub const UNCOPY_PIXEL_RGBA16F: u16 = 50;
/// `pixel_format`: rgba32f.
pub const UNCOPY_PIXEL_RGBA32F: u16 = 51;
/// `pixel_format`: bgra8.
pub const UNCOPY_PIXEL_BGRA8: u16 = 52;
/// `pixel_format`: nv12.
pub const UNCOPY_PIXEL_NV12: u16 = 64;
/// `pixel_format`: i420.
pub const UNCOPY_PIXEL_I420: u16 = 65;
/// `pixel_format`: p010.
pub const UNCOPY_PIXEL_P010: u16 = 66;
/// `pixel_format`: bayer_rggb8.
pub const UNCOPY_PIXEL_BAYER_RGGB8: u16 = 80;
/// `pixel_format`: bayer_bggr8.
pub const UNCOPY_PIXEL_BAYER_BGGR8: u16 = 81;
/// `pixel_format`: bayer_grbg8.
pub const UNCOPY_PIXEL_BAYER_GRBG8: u16 = 82;
/// `pixel_format`: bayer_gbrg8.
pub const UNCOPY_PIXEL_BAYER_GBRG8: u16 = 83;
/// `pixel_format`: bayer_rggb16.
pub const UNCOPY_PIXEL_BAYER_RGGB16: u16 = 84;
/// `pixel_format`: bayer_bggr16.
pub const UNCOPY_PIXEL_BAYER_BGGR16: u16 = 85;
/// `pixel_format`: bayer_grbg16.
pub const UNCOPY_PIXEL_BAYER_GRBG16: u16 = 86;
/// `pixel_format`: bayer_gbrg16.
pub const UNCOPY_PIXEL_BAYER_GBRG16: u16 = 87;

/// `origin`: row 0 is the top row.
pub const UNCOPY_ORIGIN_TOP_LEFT: u8 = 0;
/// `origin`: row 0 is the bottom row, as OpenGL has it.
pub const UNCOPY_ORIGIN_BOTTOM_LEFT: u8 = 1;

/// `channel_order`: no colours, or not said.
pub const UNCOPY_CHANNELS_UNSPECIFIED: u8 = 0;
/// `channel_order`: red first.
pub const UNCOPY_CHANNELS_RGB: u8 = 1;
/// `channel_order`: blue first.
pub const UNCOPY_CHANNELS_BGR: u8 = 2;

/// `uncopy_copy.reason`: the array was copied into a slot of the link.
pub const UNCOPY_COPY_SEND: u32 = 1;
/// `uncopy_copy.reason`: the source was strided and was packed to C order.
pub const UNCOPY_COPY_GATHER: u32 = 2;
/// `uncopy_copy.reason`: the caller asked for a copy.
pub const UNCOPY_COPY_ASKED: u32 = 3;
/// `uncopy_copy.reason`: the data was not aligned as the receiver needs it.
pub const UNCOPY_COPY_ALIGNMENT: u32 = 4;
/// `uncopy_copy.reason`: the receiver cannot reach the memory of the source's device.
pub const UNCOPY_COPY_DEVICE: u32 = 5;
/// `uncopy_copy.reason`: the items had to be converted to another dtype.
pub const UNCOPY_COPY_DTYPE: u32 = 6;
/// `uncopy_copy.reason`: the producer keeps a mirror in host memory for consumers without the device.
pub const UNCOPY_COPY_MIRROR: u32 = 7;
/// `uncopy_copy.reason`: the device that the receiver asked for does not reach the memory of the frame's device.
pub const UNCOPY_COPY_STAGED: u32 = 8;

/// A time without end, where a number of nanoseconds is asked for.
pub const UNCOPY_FOREVER: i64 = -1;
/// `restart_timeout_nanos`: as long as `timeout_nanos`, and in a call with a time of its own for that time.
pub const UNCOPY_LIKE_TIMEOUT: i64 = -2;

/// What one element is: `DLDataType` of DLPack, so that a pointer to either may be cast to the other. Names, such as
/// `"float32"`, are read by `uncopy_dtype_from_name`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct uncopy_dtype {
    /// `UNCOPY_DTYPE_*`, or another of DLPack's codes.
    pub code: u8,
    /// Bits of one lane.
    pub bits: u8,
    /// 1, unless elements are short vectors.
    pub lanes: u16,
}

/// Where memory lives: `DLDevice` of DLPack, so that a pointer to either may be cast to the other.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct uncopy_device {
    /// `UNCOPY_DEVICE_*`, or another of DLPack's device types.
    pub kind: i32,
    /// Which one, counted from 0 as this process sees them; 0 for host memory.
    pub id: i32,
}

/// Dtype, shape and strides of an array. Made by hand or by `uncopy_layout_packed`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct uncopy_layout {
    /// What one element is.
    pub dtype: uncopy_dtype,
    /// Number of axes, 0 to `UNCOPY_MAX_NDIM`.
    pub ndim: i32,
    /// Elements along each axis; what lies beyond `ndim` is not looked at.
    pub shape: [i64; UNCOPY_MAX_NDIM],
    /// Distance between neighbours along each axis, in elements. May be negative or 0 where an array is read.
    pub strides_elems: [i64; UNCOPY_MAX_NDIM],
}

/// What a frame looks like: its layout, and what its numbers mean as a picture. Made by `uncopy_form_image`,
/// `uncopy_form_array`, or by hand.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct uncopy_form {
    /// Dtype, shape and strides.
    pub layout: uncopy_layout,
    /// `UNCOPY_PIXEL_*`.
    pub pixel_format: u16,
    /// `UNCOPY_ORIGIN_*`.
    pub origin: u8,
    /// `UNCOPY_CHANNELS_*`.
    pub channel_order: u8,
    /// 0.
    pub reserved: u32,
}

/// One copy that was made of a frame's content on its way.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct uncopy_copy {
    /// `UNCOPY_COPY_*`: why.
    pub reason: u32,
    /// 0.
    pub reserved: u32,
    /// Where the bytes were.
    pub from: uncopy_device,
    /// Where they were copied to.
    pub to: uncopy_device,
    /// How many were written.
    pub len_bytes: u64,
}

/// The layouts that `tests/golden/abi.txt` has too, at compile time.
const _: () = {
    assert!(size_of::<uncopy_dtype>() == 4 && offset_of!(uncopy_dtype, lanes) == 2);
    assert!(size_of::<uncopy_device>() == 8);
    assert!(size_of::<uncopy_layout>() == 136 && offset_of!(uncopy_layout, strides_elems) == 72);
    assert!(size_of::<uncopy_form>() == 144 && offset_of!(uncopy_form, pixel_format) == 136);
    assert!(size_of::<uncopy_copy>() == 32);
};

impl From<DType> for uncopy_dtype {
    fn from(dtype: DType) -> Self {
        uncopy_dtype { code: dtype.code.0, bits: dtype.bits, lanes: dtype.lanes }
    }
}

impl From<uncopy_dtype> for DType {
    fn from(dtype: uncopy_dtype) -> Self {
        DType::new(DTypeCode(dtype.code), dtype.bits, dtype.lanes)
    }
}

impl From<Device> for uncopy_device {
    fn from(device: Device) -> Self {
        uncopy_device { kind: device.kind.0, id: device.id }
    }
}

impl From<uncopy_device> for Device {
    fn from(device: uncopy_device) -> Self {
        Device::new(DeviceKind(device.kind), device.id)
    }
}

impl From<&Layout> for uncopy_layout {
    fn from(layout: &Layout) -> Self {
        // Lossless: at most UNCOPY_MAX_NDIM axes, extents of at most isize::MAX, 64-bit targets.
        let mut out =
            uncopy_layout { dtype: layout.dtype().into(), ndim: layout.ndim() as i32, ..Default::default() };
        for (to, extent) in out.shape.iter_mut().zip(layout.shape()) {
            *to = *extent as i64;
        }
        for (to, stride) in out.strides_elems.iter_mut().zip(layout.strides_elems()) {
            *to = *stride as i64;
        }
        out
    }
}

impl uncopy_layout {
    /// The axes, checked.
    pub(super) fn axes(ndim: i32) -> Result<usize, Failure> {
        let axes = usize::try_from(ndim).ok().filter(|axes| *axes <= UNCOPY_MAX_NDIM);
        axes.ok_or_else(|| {
            Failure::Argument(format!("an array has 0 to {UNCOPY_MAX_NDIM} axes, not {ndim}: reshape it"))
        })
    }

    pub(super) fn checked(&self) -> Result<Layout, Failure> {
        let axes = Self::axes(self.ndim)?;
        let extents = extents_of(self.shape.get(..axes).unwrap_or_default())?;
        // Lossless on 64-bit targets.
        let strides: [isize; UNCOPY_MAX_NDIM] = self.strides_elems.map(|stride| stride as isize);
        let (extents, strides) =
            (extents.get(..axes).unwrap_or_default(), strides.get(..axes).unwrap_or_default());
        let dtype = DType::from(self.dtype);
        if dtype.is_known() {
            dtype.validate()?;
        }
        Ok(Layout::strided(dtype, extents, strides)?)
    }
}

/// Extents as numbers of elements.
pub fn extents_of(shape: &[i64]) -> Result<[usize; UNCOPY_MAX_NDIM], Failure> {
    let mut extents = [0; UNCOPY_MAX_NDIM];
    for (axis, (to, extent)) in extents.iter_mut().zip(shape).enumerate() {
        *to = usize::try_from(*extent).map_err(|_| {
            Failure::Argument(format!("axis {axis} has an extent of {extent}; an extent is 0 or more"))
        })?;
    }
    Ok(extents)
}

impl From<&Form> for uncopy_form {
    fn from(form: &Form) -> Self {
        uncopy_form {
            layout: form.layout().into(),
            pixel_format: form.pixel().0,
            origin: form.origin().0,
            channel_order: form.channel_order().0,
            reserved: 0,
        }
    }
}

impl uncopy_form {
    pub(super) fn checked(&self) -> Result<Form, Failure> {
        let form = Form::from_layout(self.layout.checked()?);
        Ok(picture(form, self.pixel_format, self.origin, self.channel_order))
    }
}

/// A form with what is said of it as a picture; a channel order of 0 is the one that the pixel format implies.
pub fn picture(form: Form, pixel_format: u16, origin: u8, channel_order: u8) -> Form {
    let form = form.with_pixel(PixelFormat(pixel_format)).with_origin(Origin(origin));
    match channel_order {
        UNCOPY_CHANNELS_UNSPECIFIED => form,
        order => form.with_channel_order(ChannelOrder(order)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts_and_forms_come_back_as_they_went() {
        let layout = Layout::strided(DType::U16, &[3, 1, 5], &[-10, 7, 2]).unwrap();
        assert_eq!(uncopy_layout::from(&layout).checked().unwrap(), layout);
        let form = Form::image(2, 3, PixelFormat::BGRA8).unwrap().with_origin(Origin::BOTTOM_LEFT);
        assert_eq!(uncopy_form::from(&form).checked().unwrap(), form);
    }

    #[test]
    fn impossible_axes_and_extents_are_refused() {
        let layout = Layout::contiguous(DType::U8, &[2]).unwrap();
        for ndim in [-1, 9, i32::MIN] {
            assert!(uncopy_layout { ndim, ..(&layout).into() }.checked().is_err());
        }
        let mut negative = uncopy_layout::from(&layout);
        negative.shape[0] = -1;
        assert!(negative.checked().is_err());
    }
}
