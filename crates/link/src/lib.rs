// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frame links between processes.
