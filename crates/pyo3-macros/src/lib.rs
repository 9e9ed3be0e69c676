// SPDX-License-Identifier: MIT OR Apache-2.0
//! The attributes of `uncopy-pyo3`, where they are documented and exported.
#![forbid(unsafe_code)]

mod arrays;
mod exports;

use proc_macro::TokenStream;

/// See `uncopy_pyo3::arrays`.
#[proc_macro_attribute]
pub fn arrays(wanted: TokenStream, function: TokenStream) -> TokenStream {
    arrays::expand(wanted.into(), function.into()).unwrap_or_else(|error| error.into_compile_error()).into()
}

/// See `uncopy_pyo3::exports`.
#[proc_macro_attribute]
pub fn exports(array: TokenStream, methods: TokenStream) -> TokenStream {
    exports::expand(array.into(), methods.into()).unwrap_or_else(|error| error.into_compile_error()).into()
}
