// SPDX-License-Identifier: MIT OR Apache-2.0
//! Arrays for PyO3 authors.
