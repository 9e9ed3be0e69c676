// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arguments that are lent for the call, an array of the caller's own framework back, and a class that is an array.
use pyo3::prelude::*;
use uncopy_pyo3::{ArrayArg, ArrayError, ArrayMut, ArrayRef, Framework, Taken, arrays, exports};

/// Loaded by Python as `luminance`.
#[pymodule]
mod luminance {
    use super::*;
    use uncopy::{DType, Layout, Region, Tensor};

    const WEIGHTS: [f32; 3] = [0.2126, 0.7152, 0.0722];

    /// The luminance of a picture, written into an array of the caller's. Any framework's arrays, any strides.
    #[pyfunction]
    #[arrays(image = "f32[h, w, 3]", out = "mut f32[h, w]")]
    fn write_luminance(image: ArrayRef<'_, f32, 3>, mut out: ArrayMut<'_, f32, 2>) -> Result<(), ArrayError> {
        let [height, width, _] = image.shape();
        for y in 0..height {
            for x in 0..width {
                let channel = |c: usize| image.get([y, x, c]).unwrap_or_default();
                let sum = WEIGHTS.iter().enumerate().map(|(c, weight)| weight * channel(c)).sum();
                out.set([y, x], sum);
            }
        }
        Ok(())
    }

    /// A black picture of the same size and framework as an array.
    #[pyfunction]
    #[arrays(image = "f32[h, w, _] host")]
    fn black_like<'py>(py: Python<'py>, image: ArrayArg<'_, 'py>) -> Result<Bound<'py, PyAny>, ArrayError> {
        let layout = Layout::contiguous(DType::F32, image.shape())?;
        let black = Tensor::new(Region::from_vec(vec![0; layout.len_bytes()]), layout, 0)?;
        Framework::of(&image).array(py, black)
    }

    /// A picture that every array library reads, without a copy: `numpy.asarray(picture)`, `torch.from_dlpack(picture)`.
    #[pyclass(frozen)]
    struct Picture {
        pixels: Taken,
    }

    #[exports(pixels)]
    #[pymethods]
    impl Picture {
        /// Keeps the array.
        #[new]
        fn new(pixels: Taken) -> Self {
            Picture { pixels }
        }
    }

    impl Picture {
        fn pixels(&self) -> &Taken {
            &self.pixels
        }
    }
}
