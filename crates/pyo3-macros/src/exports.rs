// SPDX-License-Identifier: MIT OR Apache-2.0
//! `#[exports(array)]` on `#[pymethods]`: adds the methods by which array libraries read an object.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, Ident, ImplItem, ItemImpl, parse_quote};

pub fn expand(array: TokenStream, methods: TokenStream) -> Result<TokenStream, Error> {
    let array: Ident = syn::parse2(array).map_err(|error| {
        Error::new(error.span(), "name the method that gives the array, as in #[exports(array)]")
    })?;
    let mut methods: ItemImpl = syn::parse2(methods)?;
    let is_pymethods = methods.attrs.iter().any(|attribute| attribute.path().is_ident("pymethods"));
    if !is_pymethods {
        return Err(Error::new_spanned(&methods.self_ty, "#[exports(...)] stands above #[pymethods]"));
    }
    methods.items.extend(added(&array));
    Ok(quote!(#methods))
}

fn added(array: &Ident) -> Vec<ImplItem> {
    // What is made here stands in the author's crate; the two obligations are those of PyO3's buffer methods.
    let hazard = syn::token::Unsafe::default();
    vec![
        parse_quote! {
            #[pyo3(signature = (*, stream=None, max_version=None, dl_device=None, copy=None))]
            fn __dlpack__<'py>(
                &self,
                py: ::pyo3::Python<'py>,
                stream: ::std::option::Option<&::pyo3::Bound<'py, ::pyo3::PyAny>>,
                max_version: ::std::option::Option<&::pyo3::Bound<'py, ::pyo3::PyAny>>,
                dl_device: ::std::option::Option<&::pyo3::Bound<'py, ::pyo3::PyAny>>,
                copy: ::std::option::Option<bool>,
            ) -> ::std::result::Result<::pyo3::Bound<'py, ::pyo3::types::PyCapsule>, ::uncopy_pyo3::ArrayError> {
                ::uncopy_pyo3::give::Given::from(self.#array())
                    .capsule(py, stream, max_version, dl_device, copy)
            }
        },
        parse_quote! {
            fn __dlpack_device__(&self) -> (i32, i32) {
                ::uncopy_pyo3::give::Given::from(self.#array()).dlpack_device()
            }
        },
        parse_quote! {
            #[getter]
            fn __array_interface__<'py>(
                &self,
                py: ::pyo3::Python<'py>,
            ) -> ::std::result::Result<::pyo3::Bound<'py, ::pyo3::types::PyDict>, ::uncopy_pyo3::ArrayError> {
                ::uncopy_pyo3::give::Given::from(self.#array()).array_interface(py)
            }
        },
        parse_quote! {
            #[getter]
            fn __cuda_array_interface__<'py>(
                &self,
                py: ::pyo3::Python<'py>,
            ) -> ::std::result::Result<::pyo3::Bound<'py, ::pyo3::types::PyDict>, ::uncopy_pyo3::ArrayError> {
                ::uncopy_pyo3::give::Given::from(self.#array()).cuda_array_interface(py)
            }
        },
        parse_quote! {
            #hazard fn __getbuffer__(
                slf: ::pyo3::Bound<'_, Self>,
                view: *mut ::pyo3::ffi::Py_buffer,
                flags: ::std::ffi::c_int,
            ) -> ::std::result::Result<(), ::uncopy_pyo3::ArrayError> {
                let given = ::uncopy_pyo3::give::Given::from(slf.borrow().#array());
                // SAFETY: Python passes its own Py_buffer, and gives it back to `__releasebuffer__` below.
                #hazard { given.fill_buffer(slf.as_any(), view, flags) }
            }
        },
        parse_quote! {
            #hazard fn __releasebuffer__(&self, view: *mut ::pyo3::ffi::Py_buffer) {
                // SAFETY: Python passes a Py_buffer that `__getbuffer__` filled.
                #hazard { ::uncopy_pyo3::give::release_buffer(view) }
            }
        },
    ]
}
