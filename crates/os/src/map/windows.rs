// SPDX-License-Identifier: MIT OR Apache-2.0
//! Shared memory on Windows: not available yet. No value of these types exists, so their methods have no body.
#![expect(missing_docs, reason = "the Unix twin documents the same names")]

use std::convert::Infallible;
use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use uncopy_core::Device;
use uncopy_tensor::{Access, Export, Region, ShareHandle, SharedPages};

use super::{Available, PAGE_BYTES, Seals, Words};
use crate::OsError;

const UNSUPPORTED: OsError = OsError::Unsupported { what: "shared memory" };

pub fn available_bytes() -> Result<Available, OsError> {
    Err(UNSUPPORTED)
}

#[derive(Debug)]
pub struct SharedMemory(Infallible);

impl SharedMemory {
    pub fn create(_label: &str, _len_bytes: usize) -> Result<SharedMemory, OsError> {
        Err(UNSUPPORTED)
    }

    pub fn freeze_writes(&self) -> Result<(), OsError> {
        match self.0 {}
    }

    pub fn seal(&self) -> Result<(), OsError> {
        match self.0 {}
    }

    pub fn seals(&self) -> Result<Seals, OsError> {
        match self.0 {}
    }

    pub fn handle(&self) -> &ShareHandle {
        match self.0 {}
    }

    pub fn share(&self) -> Result<ShareHandle, OsError> {
        match self.0 {}
    }

    pub fn words(&self) -> &Words {
        match self.0 {}
    }

    pub fn len_bytes(&self) -> usize {
        match self.0 {}
    }

    pub fn shared_pages(
        self: &Arc<SharedMemory>,
        _offset_bytes: usize,
        _len_bytes: usize,
    ) -> Result<SharedPages, OsError> {
        match self.0 {}
    }
}

impl Export for SharedMemory {
    fn device(&self) -> Device {
        match self.0 {}
    }

    fn len_bytes(&self) -> usize {
        match self.0 {}
    }

    fn share(&self) -> io::Result<ShareHandle> {
        match self.0 {}
    }
}

#[derive(Debug)]
pub struct Mapping(Infallible);

impl Mapping {
    pub fn open(_handle: &ShareHandle, _min_len_bytes: usize, _access: Access) -> Result<Mapping, OsError> {
        Err(UNSUPPORTED)
    }

    pub fn seals(&self) -> Seals {
        match self.0 {}
    }

    pub fn len_bytes(&self) -> usize {
        match self.0 {}
    }

    pub fn access(&self) -> Access {
        match self.0 {}
    }

    pub fn address(&self) -> usize {
        match self.0 {}
    }

    pub fn words(&self) -> &Words {
        match self.0 {}
    }

    pub fn shared_pages(
        self: &Arc<Mapping>,
        _offset_bytes: usize,
        _len_bytes: usize,
    ) -> Result<SharedPages, OsError> {
        match self.0 {}
    }

    pub fn bytes(&self, _offset_bytes: usize, _len_bytes: usize) -> Result<&[u8], OsError> {
        match self.0 {}
    }

    pub fn prefetch(&self, _offset_bytes: usize) {
        match self.0 {}
    }

    pub fn region(
        self: &Arc<Mapping>,
        _offset_bytes: usize,
        _len_bytes: usize,
        _hold: impl Send + Sync + 'static,
    ) -> Result<Region, OsError> {
        match self.0 {}
    }
}

pub fn slot_align_bytes() -> usize {
    PAGE_BYTES
}

#[derive(Debug)]
pub struct SlotMemory(Infallible);

impl SlotMemory {
    pub fn create(_label: &str, _slots: usize, _stride_bytes: usize) -> Result<Arc<SlotMemory>, OsError> {
        Err(UNSUPPORTED)
    }

    pub fn handle(&self) -> &ShareHandle {
        match self.0 {}
    }

    pub fn share(&self) -> Result<ShareHandle, OsError> {
        match self.0 {}
    }

    pub fn stride_bytes(&self) -> usize {
        match self.0 {}
    }

    pub fn slots(&self) -> usize {
        match self.0 {}
    }

    /// See the Unix twin.
    pub fn address(&self) -> usize {
        match self.0 {}
    }

    pub fn len_bytes(&self) -> usize {
        match self.0 {}
    }

    pub fn shared_pages(self: &Arc<SlotMemory>) -> Result<SharedPages, OsError> {
        match self.0 {}
    }

    pub fn prefetch_for_write(&self, _slot: usize, _offset_in_slot: usize) {
        match self.0 {}
    }

    pub fn claim(self: &Arc<SlotMemory>, _slot: usize) -> Result<SlotMut, OsError> {
        match self.0 {}
    }

    pub fn protect(&self, _slot: usize, _access: Access) -> Result<(), OsError> {
        match self.0 {}
    }
}

impl Export for SlotMemory {
    fn device(&self) -> Device {
        match self.0 {}
    }

    fn len_bytes(&self) -> usize {
        match self.0 {}
    }

    fn share(&self) -> io::Result<ShareHandle> {
        match self.0 {}
    }
}

#[derive(Debug)]
pub struct SlotMut(Infallible);

impl SlotMut {
    pub fn slot(&self) -> usize {
        match self.0 {}
    }

    pub fn memory(&self) -> &Arc<SlotMemory> {
        match self.0 {}
    }

    pub fn address(&self) -> usize {
        match self.0 {}
    }

    pub fn bytes(&self) -> Result<&[u8], OsError> {
        match self.0 {}
    }

    pub fn bytes_mut(&mut self) -> Result<&mut [u8], OsError> {
        match self.0 {}
    }

    pub fn region(&self, _len_bytes: usize, _hold: impl Send + Sync + 'static) -> Result<Region, OsError> {
        match self.0 {}
    }
}

impl Deref for SlotMut {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self.0 {}
    }
}

impl DerefMut for SlotMut {
    fn deref_mut(&mut self) -> &mut [u8] {
        match self.0 {}
    }
}
