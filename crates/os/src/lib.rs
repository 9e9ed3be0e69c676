// SPDX-License-Identifier: MIT OR Apache-2.0
//! Operating system services of uncopy.
