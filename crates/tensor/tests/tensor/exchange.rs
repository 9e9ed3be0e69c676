// SPDX-License-Identifier: MIT OR Apache-2.0
use proptest::prelude::*;
use uncopy_core::{DType, Layout};
use uncopy_tensor::dlpack::{
    dlpack_from_tensor, dlpack_versioned_from_tensor, tensor_from_dlpack, tensor_from_dlpack_versioned,
};
use uncopy_tensor::{Region, Tensor};

use crate::layouts::{config, dtype, layout, packed_one_by_one, tensor_of};

/// The tensor after a trip through each form.
fn round_trips(tensor: &Tensor) -> [Tensor; 2] {
    let versioned = dlpack_versioned_from_tensor(tensor.clone());
    // SAFETY: the struct was just made, nobody else has it, and nobody writes its elements.
    let versioned = unsafe { tensor_from_dlpack_versioned(versioned) }.unwrap();
    let legacy = dlpack_from_tensor(tensor.clone()).unwrap();
    // SAFETY: as above.
    let legacy = unsafe { tensor_from_dlpack(legacy) }.unwrap();
    [versioned, legacy]
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn any_layout_comes_back_from_dlpack_as_it_went(layout in layout(dtype())) {
        let tensor = tensor_of(layout);
        for back in round_trips(&tensor) {
            prop_assert_eq!(back.layout(), tensor.layout());
            prop_assert!(back.address() == tensor.address() || layout.is_empty());
            prop_assert_eq!(back.region().len_bytes(), layout.span_bytes());
            prop_assert_eq!(packed_one_by_one(&back), packed_one_by_one(&tensor));
        }
    }
}

#[test]
fn packed_sub_byte_elements_come_back_from_dlpack() {
    let layout = Layout::contiguous(DType::F4_E2M1FN, &[3]).unwrap();
    let tensor = Tensor::new(Region::from_vec(vec![0x21, 0x03]), layout, 0).unwrap();
    for back in round_trips(&tensor) {
        assert_eq!(back.layout(), tensor.layout());
        assert_eq!(back.as_packed_bytes(), Some(&[0x21, 0x03][..]));
    }
}
