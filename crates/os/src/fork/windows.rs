// SPDX-License-Identifier: MIT OR Apache-2.0
//! Windows has no `fork`.
#![expect(missing_docs, reason = "the Unix twin documents the same names")]

use std::convert::Infallible;

#[inline]
pub fn fork_generation() -> u32 {
    1
}

#[derive(Debug)]
pub struct CloseInChild(Infallible);

impl CloseInChild {
    pub fn is_from_parent(&self) -> bool {
        match self.0 {}
    }
}
