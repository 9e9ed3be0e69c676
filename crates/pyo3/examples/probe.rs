// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the tests ask of arguments and results. For users there are `blackout` and `luminance`.
use pyo3::prelude::*;
use uncopy_pyo3::{ArrayArg, ArrayError, ArrayMut, ArrayRef, Framework, Taken, arrays};

/// Loaded by Python as `probe`.
#[pymodule]
mod probe {
    use super::*;
    use uncopy::{DType, Layout, Region, Tensor};

    /// Shape, strides in items, dtype, device, read-only, address, stream.
    type Found = (Vec<usize>, Vec<isize>, String, String, bool, usize, Option<u64>);

    #[pyfunction]
    fn found(array: ArrayArg<'_, '_>) -> Result<Found, ArrayError> {
        Ok((
            array.shape().to_vec(),
            array.strides_elems().to_vec(),
            array.dtype().to_string(),
            array.device().to_string(),
            array.is_read_only(),
            array.address(),
            array.stream()?.map(|stream| stream.raw()),
        ))
    }

    /// The items in C order.
    #[pyfunction]
    fn items(array: ArrayRef<'_, f64, 2>) -> Vec<f64> {
        array.iter().collect()
    }

    #[pyfunction]
    fn item(array: ArrayRef<'_, f64, 0>) -> Option<f64> {
        array.get([])
    }

    /// Adds one to each item.
    #[pyfunction]
    fn add_one(mut array: ArrayMut<'_, f64, 1>) {
        for index in 0..array.shape().iter().product() {
            let value = array.get([index]).unwrap_or_default();
            array.set([index], value + 1.0);
        }
    }

    /// An overload by type: the first that fits.
    #[pyfunction]
    fn which(numbers: &Bound<'_, PyAny>) -> PyResult<(&'static str, usize)> {
        if let Ok(floats) = numbers.extract::<ArrayRef<'_, f32, 1>>() {
            return Ok(("f32", floats.len_elems()));
        }
        let doubles = numbers.extract::<ArrayRef<'_, f64, 1>>()?;
        Ok(("f64", doubles.len_elems()))
    }

    #[pyfunction]
    #[arrays(a = "float[n, k] host", b = "float[k, m] host", out = "mut f64[n, m] C aligned(8) same(a)")]
    fn product_shape(
        a: ArrayArg<'_, '_>,
        b: ArrayArg<'_, '_>,
        out: ArrayArg<'_, '_>,
    ) -> Result<Vec<usize>, ArrayError> {
        let _ = (a, b);
        Ok(out.shape().to_vec())
    }

    /// Writes without saying so in its line, and looks at an argument that has none.
    #[pyfunction]
    #[arrays(out = "f64[n]")]
    fn add_to(one: ArrayRef<'_, f64, 1>, mut out: ArrayMut<'_, f64, 1>) -> Result<(), ArrayError> {
        for index in 0..out.shape().iter().product() {
            let sum = one.get([index]).unwrap_or_default() + out.get([index]).unwrap_or_default();
            out.set([index], sum);
        }
        Ok(())
    }

    #[pyfunction]
    #[arrays(array = "mut f64[h, w]")]
    fn stretch(array: ArrayArg<'_, '_>) -> Result<Vec<usize>, ArrayError> {
        Ok(array.shape().to_vec())
    }

    /// Keeps an array and gives it to a framework by its name.
    #[pyfunction]
    fn through<'py>(py: Python<'py>, array: Taken, framework: &str) -> Result<Bound<'py, PyAny>, ArrayError> {
        let framework = match framework {
            "numpy" => Framework::NumPy,
            "torch" => Framework::Torch,
            "cupy" => Framework::CuPy,
            "jax" => Framework::Jax,
            _ => Framework::Uncopy,
        };
        framework.array(py, array)
    }

    /// Zeros of the same shape as an array of its framework.
    #[pyfunction]
    fn zeros_like<'py>(py: Python<'py>, array: ArrayArg<'_, 'py>) -> Result<Bound<'py, PyAny>, ArrayError> {
        let layout = Layout::contiguous(DType::F32, array.shape())?;
        let zeros = Tensor::new(Region::from_vec(vec![0; layout.len_bytes()]), layout, 0)?;
        Framework::of(&array).array(py, zeros)
    }
}
