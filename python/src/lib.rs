// SPDX-License-Identifier: MIT OR Apache-2.0
//! The extension module of the Python package.
