// SPDX-License-Identifier: MIT OR Apache-2.0
//! Rust types that array elements can be read as.
#![expect(unsafe_code, reason = "fence: states which types any bytes may be read as")]

use uncopy_core::DType;

/// A Rust type with the size and meaning of one dtype, of which every bit pattern is a value.
///
/// `bool` is none (a byte of 2 is no `bool`), and neither are the 8-bit floats, which have no Rust type: read their
/// packed bytes. Complex numbers are `[re, im]`.
///
/// # Safety
///
/// 1. `DTYPE.item_bytes()` is `Some(size_of::<Self>())`.
/// 2. Any bytes are a value: no padding, no niche, no pointer.
pub unsafe trait Element: Copy + Send + Sync + 'static {
    /// The dtype whose elements these are.
    const DTYPE: DType;
}

macro_rules! element {
    ($($rust:ty => $dtype:ident),* $(,)?) => {$(
        // SAFETY: 1. the size is asserted below, at compile time. 2. The type is an integer, a float, one of half's
        // `repr(transparent)` wrappers of `u16`, or an array of two floats: each takes any bits and has no padding.
        unsafe impl Element for $rust {
            const DTYPE: DType = DType::$dtype;
        }
        const _: () = assert!(matches!(DType::$dtype.item_bytes(), Some(bytes) if bytes == size_of::<$rust>()));
    )*};
}

element! {
    u8 => U8,
    u16 => U16,
    u32 => U32,
    u64 => U64,
    i8 => I8,
    i16 => I16,
    i32 => I32,
    i64 => I64,
    half::f16 => F16,
    half::bf16 => BF16,
    f32 => F32,
    f64 => F64,
    [half::f16; 2] => COMPLEX32,
    [f32; 2] => COMPLEX64,
    [f64; 2] => COMPLEX128,
}
