// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is known of an array that is lent for the time of a call.

use uncopy::{DType, Device, Found, Layout, LayoutError, MAX_NDIM, Tensor};

/// A description of memory that somebody else owns, with room for `M` axes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lent<const M: usize = MAX_NDIM> {
    /// Of item 0.
    pub(crate) address: *mut u8,
    pub(crate) dtype: DType,
    pub(crate) device: Device,
    pub(crate) is_read_only: bool,
    ndim: u8,
    shape: [usize; M],
    strides_elems: [isize; M],
}

impl<const M: usize> Lent<M> {
    /// Without its axes; `None` for more than there is room for.
    #[inline]
    pub(crate) fn new(address: *mut u8, dtype: DType, device: Device, ndim: usize) -> Option<Self> {
        let (shape, strides_elems) = ([0; M], [0; M]);
        let is_read_only = false;
        // Below 256: M is small.
        let lent = Lent { address, dtype, device, is_read_only, ndim: ndim as u8, shape, strides_elems };
        (ndim <= M).then_some(lent)
    }

    /// Says an axis. One past the last is nothing.
    #[inline]
    pub(crate) fn set_axis(&mut self, axis: usize, len: usize, stride_elems: isize) {
        if let (Some(to_len), Some(to_stride)) = (self.shape.get_mut(axis), self.strides_elems.get_mut(axis))
        {
            (*to_len, *to_stride) = (len, stride_elems);
        }
    }

    /// What a tensor says of itself; `None` for more axes than there is room for.
    pub(crate) fn of(tensor: &Tensor) -> Option<Self> {
        let layout = tensor.layout();
        let address = std::ptr::with_exposed_provenance_mut(tensor.address());
        let mut lent = Lent::new(address, layout.dtype(), tensor.device(), layout.ndim())?;
        lent.is_read_only = tensor.is_read_only();
        for (axis, (len, stride)) in layout.shape().iter().zip(layout.strides_elems()).enumerate() {
            lent.set_axis(axis, *len, *stride);
        }
        Some(lent)
    }

    #[inline]
    pub(crate) fn shape(&self) -> &[usize] {
        self.shape.get(..self.ndim.into()).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn strides_elems(&self) -> &[isize] {
        self.strides_elems.get(..self.ndim.into()).unwrap_or_default()
    }

    /// Shape and strides where there are `M` axes.
    #[inline]
    pub(crate) fn axes(&self) -> Option<([usize; M], [isize; M])> {
        (usize::from(self.ndim) == M).then_some((self.shape, self.strides_elems))
    }

    #[inline]
    pub(crate) fn is_c_contiguous(&self) -> bool {
        self.found().is_c_contiguous()
    }

    /// Checked: see [`Layout`].
    pub(crate) fn layout(&self) -> Result<Layout, LayoutError> {
        Layout::strided(self.dtype, self.shape(), self.strides_elems())
    }

    #[inline]
    pub(crate) fn found(&self) -> Found<'_> {
        Found {
            dtype: self.dtype,
            device: self.device,
            shape: self.shape(),
            strides_elems: Some(self.strides_elems()),
            address: self.address.addr(),
            is_read_only: self.is_read_only,
        }
    }

    /// Whether the lengths of its axes are possible: their product times an item is an amount of memory.
    #[inline]
    pub(crate) fn is_possible(&self) -> bool {
        let item = (usize::from(self.dtype.bits) * usize::from(self.dtype.lanes)).div_ceil(8);
        let len = self.shape().iter().try_fold(item, |len, &next| len.checked_mul(next.max(1)));
        len.is_some_and(|len| len <= isize::MAX as usize)
    }
}
