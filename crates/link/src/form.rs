// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a frame looks like: dtype, shape and strides, and what its numbers mean as a picture.

use std::fmt;

use uncopy_core::{ChannelOrder, DType, Layout, LayoutError, Origin, PixelFormat};

/// The form of a frame. Two frames with equal forms can share a slot without any change of memory.
///
/// ```
/// use uncopy_link::Form;
/// use uncopy_core::PixelFormat;
/// let form = Form::image(1080, 1920, PixelFormat::RGBA8)?;
/// assert_eq!(form.shape(), &[1080, 1920, 4]);
/// assert_eq!(form.len_bytes(), 1080 * 1920 * 4);
/// # Ok::<(), uncopy_core::LayoutError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Form {
    layout: Layout,
    pixel: PixelFormat,
    origin: Origin,
    channel_order: ChannelOrder,
}

impl Form {
    /// A C-ordered array of `shape` elements.
    ///
    /// # Errors
    /// [`LayoutError`] where the shape has more than 8 axes or its size overflows.
    pub fn new(dtype: DType, shape: &[usize]) -> Result<Self, LayoutError> {
        Ok(Self::from_layout(Layout::contiguous(dtype, shape)?))
    }

    /// A picture of `height` by `width` pixels, first row on top, rows without padding.
    ///
    /// # Errors
    /// [`LayoutError`] where the size overflows, or is odd for a format with subsampled colour.
    pub fn image(height: usize, width: usize, pixel: PixelFormat) -> Result<Self, LayoutError> {
        Ok(Self::from_layout(pixel.layout(height, width)?).with_pixel(pixel))
    }

    /// Any layout, for example with padded rows. A slot needs strides that are positive and don't overlap.
    #[must_use]
    pub fn from_layout(layout: Layout) -> Self {
        Self {
            layout,
            pixel: PixelFormat::UNSPECIFIED,
            origin: Origin::TOP_LEFT,
            channel_order: ChannelOrder::UNSPECIFIED,
        }
    }

    /// The same form with a pixel format (and the channel order that it implies).
    #[must_use]
    pub fn with_pixel(self, pixel: PixelFormat) -> Self {
        Self { pixel, channel_order: ChannelOrder::from_pixel_format(pixel), ..self }
    }

    /// The same form with another place of its first row.
    #[must_use]
    pub fn with_origin(self, origin: Origin) -> Self {
        Self { origin, ..self }
    }

    /// The same form with a channel order that the pixel format doesn't tell.
    #[must_use]
    pub fn with_channel_order(self, channel_order: ChannelOrder) -> Self {
        Self { channel_order, ..self }
    }

    /// Dtype, shape and strides.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Type of the elements.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.layout.dtype()
    }

    /// Elements along each axis.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        self.layout.shape()
    }

    /// Pixel format, [`PixelFormat::UNSPECIFIED`] for a plain array.
    #[must_use]
    pub fn pixel(&self) -> PixelFormat {
        self.pixel
    }

    /// Where the first row of the picture is.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// Order of the colour channels, where it is known.
    #[must_use]
    pub fn channel_order(&self) -> ChannelOrder {
        self.channel_order
    }

    /// Bytes from the first to one past the last element: what a frame of this form takes of a slot.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        self.layout.span_bytes()
    }

    /// Whether a producer can write every element of it without touching another: no backward or shared strides.
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.layout.extent_bytes().0 == 0 && !self.layout.has_overlap()
    }
}

/// What a loan can be asked for: a [`Form`], or the result of making one, so that
/// `out.loan(&Form::image(1080, 1920, PixelFormat::RGBA8))?` reports a bad size by itself.
pub trait AsForm {
    /// The form.
    ///
    /// # Errors
    /// The error that making it met.
    fn as_form(&self) -> Result<&Form, LayoutError>;
}

impl AsForm for Form {
    fn as_form(&self) -> Result<&Form, LayoutError> {
        Ok(self)
    }
}

impl AsForm for Result<Form, LayoutError> {
    fn as_form(&self) -> Result<&Form, LayoutError> {
        self.as_ref().map_err(Clone::clone)
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.layout)?;
        if self.pixel != PixelFormat::UNSPECIFIED {
            write!(f, " {}", self.pixel)?;
        }
        if self.origin == Origin::BOTTOM_LEFT {
            write!(f, " bottom row first")?;
        }
        Ok(())
    }
}
