// SPDX-License-Identifier: MIT OR Apache-2.0
//! Forms from what Python programs say: shapes, dtypes of any framework, names of pixel formats.

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyInt, PyString, PyTuple, PyType};
use uncopy::{DType, ErrorKind, Form, Layout, Origin, PixelFormat};

use crate::errors::Failure;

/// What a frame's numbers mean as a picture, as far as a caller said it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Picture {
    pub pixel: Option<PixelFormat>,
    pub origin: Option<Origin>,
}

impl Picture {
    pub fn parse(pixel: Option<&str>, origin: Option<&str>) -> Result<Self, Failure> {
        let pixel = pixel.map(str::parse).transpose()?;
        let origin = origin.map(str::parse).transpose()?;
        Ok(Picture { pixel, origin })
    }

    /// This, and from `other` what this does not say.
    pub fn or(self, other: Picture) -> Picture {
        Picture { pixel: self.pixel.or(other.pixel), origin: self.origin.or(other.origin) }
    }

    /// What a form says.
    pub fn of(form: &Form) -> Picture {
        Picture { pixel: Some(form.pixel()), origin: Some(form.origin()) }
    }

    /// The form of a frame of this layout.
    pub fn form(self, layout: Layout) -> Result<Form, Failure> {
        let pixel = self.pixel.unwrap_or(PixelFormat::UNSPECIFIED);
        check_pixel(pixel, &layout)?;
        Ok(Form::from_layout(layout).with_pixel(pixel).with_origin(self.origin.unwrap_or(Origin::TOP_LEFT)))
    }
}

/// A pixel format that the numbers can't be: another dtype, or another number of samples to a pixel.
fn check_pixel(pixel: PixelFormat, layout: &Layout) -> Result<(), Failure> {
    let Some(dtype) = pixel.dtype() else { return Ok(()) };
    let fits = match (layout.shape(), pixel.channels()) {
        ([_, _], Some(1) | None) | ([_, _, 1], Some(1)) => true,
        ([_, _, found], Some(channels)) => *found == channels,
        _ => false,
    };
    if dtype == layout.dtype() && fits {
        return Ok(());
    }
    let wanted = match pixel.channels() {
        Some(1) => format!("{dtype}[height, width]"),
        Some(channels) => format!("{dtype}[height, width, {channels}]"),
        None => format!("{dtype}[height * 3 / 2, width]"),
    };
    Err(Failure::Said(
        ErrorKind::FormMismatch,
        format!(
            "pixel format {pixel} is {wanted}, and the frame is {layout}: name the format that it has, or none"
        ),
    ))
}

/// A C-ordered layout from a shape (a tuple, a list or one int) and a dtype of any framework.
pub fn layout_from_python(shape: &Bound<'_, PyAny>, dtype: DType) -> Result<Layout, Failure> {
    if let Ok(length) = shape.cast::<PyInt>() {
        return Ok(Layout::contiguous(dtype, &[extent(length.as_any())?])?);
    }
    let mut extents = Vec::with_capacity(4);
    for length in shape.try_iter()? {
        extents.push(extent(&length?)?);
    }
    Ok(Layout::contiguous(dtype, &extents)?)
}

fn extent(length: &Bound<'_, PyAny>) -> Result<usize, Failure> {
    length.extract::<usize>().map_err(|_| {
        let found = length.repr().map(|repr| repr.to_string_lossy().into_owned()).unwrap_or_default();
        Failure::argument(format!("a shape is made of whole numbers, 0 or more, not {found}"))
    })
}

/// The dtype that an object names: `"uint8"`, `numpy.uint8`, `numpy.dtype("uint8")`, `torch.uint8`, `jax.numpy.uint8`.
pub fn dtype_from_python(dtype: &Bound<'_, PyAny>) -> Result<DType, Failure> {
    if let Ok(name) = dtype.cast::<PyString>() {
        return parse_dtype(&name.to_string_lossy());
    }
    let py = dtype.py();
    if let Ok(order) = dtype.getattr(intern!(py, "byteorder"))
        && order.eq(">")?
    {
        let message =
            format!("{} is big-endian, which is not carried; use .newbyteorder('=')", dtype.repr()?);
        return Err(Failure::Said(ErrorKind::InvalidDType, message));
    }
    // numpy.dtype has a name; the scalar classes of NumPy, jax and ml_dtypes are called like their dtypes.
    for attribute in [intern!(py, "name"), intern!(py, "__name__")] {
        if let Ok(name) = dtype.getattr(attribute) {
            return named(dtype, &name.str()?.to_string_lossy());
        }
    }
    // torch.uint8 says "torch.uint8".
    let text = dtype.str()?.to_string_lossy().into_owned();
    named(dtype, text.rsplit('.').next().unwrap_or(&text))
}

/// The name of a dtype object; Python's own `bool`, `int`, `float` and `complex` mean what they mean to NumPy.
fn named(dtype: &Bound<'_, PyAny>, name: &str) -> Result<DType, Failure> {
    let is_class = dtype.is_instance_of::<PyType>();
    match name {
        "int" if is_class => Ok(DType::I64),
        "float" if is_class => Ok(DType::F64),
        "complex" if is_class => Ok(DType::COMPLEX128),
        "bool_" => Ok(DType::BOOL),
        name => parse_dtype(name),
    }
}

fn parse_dtype(name: &str) -> Result<DType, Failure> {
    // "u8" counts bits in Rust and bytes in NumPy, so here it is neither.
    if let [letter, digits @ ..] = name.as_bytes()
        && letter.is_ascii_alphabetic()
        && !digits.is_empty()
        && digits.iter().all(u8::is_ascii_digit)
    {
        let message =
            format!("dtype '{name}' counts bits in Rust and bytes in NumPy: write it out, such as 'uint8'");
        return Err(Failure::Said(ErrorKind::InvalidDType, message));
    }
    Ok(name.parse::<DType>()?)
}

/// What a loan is asked for by: shape, dtype, pixel format and origin.
type Asked<'a, 'py> = [Option<&'a Bound<'py, PyAny>>; 4];

/// The last form that was asked for by these very objects: a loop asks with the same constants each time, and comparing
/// addresses is cheaper than reading them again.
#[derive(Default)]
pub struct LastAsked {
    key: [Option<Py<PyAny>>; 4],
    form: Option<Form>,
}

impl LastAsked {
    /// The form, if every object is the one of last time.
    pub fn get(&self, asked: &Asked<'_, '_>) -> Option<Form> {
        let same = self.key.iter().zip(asked).all(|(known, asked)| match (known, asked) {
            (None, None) => true,
            (Some(known), Some(asked)) => known.is(*asked),
            _ => false,
        });
        self.form.filter(|_| same)
    }

    /// Remembers a form, if every object is one that never changes.
    pub fn set(&mut self, asked: &Asked<'_, '_>, form: Form) {
        if asked.iter().flatten().all(|object| never_changes(object)) {
            self.key = asked.map(|object| object.map(|object| object.clone().unbind()));
            self.form = Some(form);
        }
    }
}

fn never_changes(object: &Bound<'_, PyAny>) -> bool {
    match object.cast_exact::<PyTuple>() {
        Ok(tuple) => tuple.iter().all(|item| item.is_exact_instance_of::<PyInt>()),
        // A class stands for a dtype, as numpy.uint8 does.
        Err(_) => {
            object.is_exact_instance_of::<PyString>()
                || object.is_exact_instance_of::<PyInt>()
                || object.is_instance_of::<PyType>()
        }
    }
}
