// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which of the driver's copies packs a layout.

use uncopy_core::Device;
use uncopy_tensor::{PackAxis, PackPlan, Tensor};

use crate::CudaError;

/// A copy that one call of the driver makes. What it writes is packed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CopyShape {
    /// There are no elements.
    Nothing,
    /// One run of bytes.
    Run {
        /// Its length.
        len_bytes: usize,
    },
    /// Runs at equal distances.
    Rows {
        /// Bytes of a run.
        width_bytes: usize,
        /// How many there are.
        rows: usize,
        /// From one to the next.
        pitch_bytes: usize,
    },
    /// Rows in planes, of which only the first are taken.
    Planes {
        /// Bytes of a run.
        width_bytes: usize,
        /// How many a plane gives.
        rows: usize,
        /// From one to the next.
        pitch_bytes: usize,
        /// How many planes there are.
        planes: usize,
        /// Rows from one plane to the next.
        rows_per_plane: usize,
    },
}

impl CopyShape {
    /// The copy that packs `from` on `device`.
    ///
    /// # Errors
    ///
    /// [`CudaError::Strides`] where rows overlap, stand backwards or in another order than the elements are to have.
    pub fn of(from: &Tensor, device: Device) -> Result<CopyShape, CudaError> {
        let layout = from.layout();
        if layout.is_empty() {
            return Ok(CopyShape::Nothing);
        }
        // Nearly every frame: no plan is needed.
        if layout.is_c_contiguous() {
            return Ok(CopyShape::Run { len_bytes: layout.len_bytes() });
        }
        let plan = PackPlan::new(layout)?;
        shape_of(&plan).ok_or_else(|| CudaError::Strides {
            device,
            strides: layout.strides_elems().to_vec(),
            layout: Box::new(*layout),
        })
    }
}

fn shape_of(plan: &PackPlan) -> Option<CopyShape> {
    let width_bytes = plan.unit_bytes;
    match plan.axes() {
        [] => Some(CopyShape::Run { len_bytes: width_bytes }),
        [only] => {
            let pitch_bytes = pitch_of(only, width_bytes)?;
            Some(CopyShape::Rows { width_bytes, rows: only.len, pitch_bytes })
        }
        [outer, inner] => {
            let pitch_bytes = pitch_of(inner, width_bytes)?;
            let plane_bytes = usize::try_from(outer.stride_bytes).ok()?;
            let rows_per_plane = plane_bytes / pitch_bytes;
            let is_whole = plane_bytes.is_multiple_of(pitch_bytes) && rows_per_plane >= inner.len;
            let planes = CopyShape::Planes {
                width_bytes,
                rows: inner.len,
                pitch_bytes,
                planes: outer.len,
                rows_per_plane,
            };
            is_whole.then_some(planes)
        }
        _ => None,
    }
}

/// The distance of runs that do not overlap.
fn pitch_of(axis: &PackAxis, width_bytes: usize) -> Option<usize> {
    usize::try_from(axis.stride_bytes).ok().filter(|pitch_bytes| *pitch_bytes >= width_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uncopy_core::{DType, Layout};
    use uncopy_tensor::Region;

    fn shape(shape: &[usize], strides: &[isize]) -> Result<CopyShape, CudaError> {
        let layout = Layout::strided(DType::U16, shape, strides).unwrap();
        let (lowest, _) = layout.extent_bytes();
        let region = Region::from_vec(vec![0; layout.span_bytes()]);
        let tensor = Tensor::new(region, layout, lowest.unsigned_abs()).unwrap();
        CopyShape::of(&tensor, Device::cuda(0))
    }

    #[test]
    fn a_packed_array_is_one_run() {
        assert_eq!(shape(&[4, 3, 2], &[6, 2, 1]).unwrap(), CopyShape::Run { len_bytes: 48 });
        assert_eq!(shape(&[], &[]).unwrap(), CopyShape::Run { len_bytes: 2 });
    }

    #[test]
    fn an_array_without_elements_is_nothing() {
        assert_eq!(shape(&[4, 0, 2], &[6, 2, 1]).unwrap(), CopyShape::Nothing);
    }

    #[test]
    fn rows_with_a_pitch_are_one_copy_of_rows() {
        let rows = CopyShape::Rows { width_bytes: 12, rows: 5, pitch_bytes: 64 };
        assert_eq!(shape(&[5, 3, 2], &[32, 2, 1]).unwrap(), rows);
    }

    #[test]
    fn every_second_element_is_a_copy_of_narrow_rows() {
        let rows = CopyShape::Rows { width_bytes: 2, rows: 7, pitch_bytes: 4 };
        assert_eq!(shape(&[7], &[2]).unwrap(), rows);
    }

    #[test]
    fn a_batch_of_cropped_images_is_a_copy_of_planes() {
        // two images of 8 rows of 16, of which 3 rows of 5 are taken
        let planes =
            CopyShape::Planes { width_bytes: 10, rows: 3, pitch_bytes: 32, planes: 2, rows_per_plane: 8 };
        assert_eq!(shape(&[2, 3, 5], &[128, 16, 1]).unwrap(), planes);
    }

    #[test]
    fn what_the_copy_engines_do_not_pack_is_refused_with_its_strides() {
        let cases: [(&[usize], &[isize]); 5] = [
            (&[3, 4], &[1, 3]),                   // transposed
            (&[4, 3], &[-3, 1]),                  // upside down
            (&[4, 3], &[0, 1]),                   // broadcast
            (&[2, 3, 5], &[129, 16, 1]),          // planes that are no whole rows apart
            (&[2, 2, 2, 2], &[900, 300, 100, 1]), // more axes than a copy has
        ];
        for (extent, strides) in cases {
            let error = shape(extent, strides).unwrap_err();
            assert!(matches!(&error, CudaError::Strides { .. }), "{extent:?} {strides:?}: {error}");
            assert!(error.to_string().contains(&format!("{strides:?}")), "{error}");
            assert_eq!(error.io_kind(), std::io::ErrorKind::Unsupported);
        }
    }
}
