// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory and semaphores of other APIs: the functions are there, and support nothing.

#![expect(unsafe_code, reason = "exports C entries")]

use crate::{
    abi::{In, Out},
    code::Code,
    entry::entries,
};
use std::ffi::{c_uint, c_void};

entries! {
    #![unsafe(no_mangle)]

    Context fn cuImportExternalMemory(_out: Out<u64>, _desc: In<c_void>) {
        Err(Code::NOT_SUPPORTED)
    }

    Context fn cuExternalMemoryGetMappedBuffer(_out: Out<u64>, _memory: u64, _desc: In<c_void>) {
        Err(Code::NOT_SUPPORTED)
    }

    Context fn cuExternalMemoryGetMappedMipmappedArray(_out: Out<u64>, _memory: u64, _desc: In<c_void>) {
        Err(Code::NOT_SUPPORTED)
    }

    Context fn cuDestroyExternalMemory(_memory: u64) {
        Err(Code::NOT_SUPPORTED)
    }

    Context fn cuImportExternalSemaphore(_out: Out<u64>, _desc: In<c_void>) {
        Err(Code::NOT_SUPPORTED)
    }

    Context fn cuSignalExternalSemaphoresAsync(_all: In<u64>, _params: In<c_void>, _count: c_uint, _stream: u64) {
        Err(Code::NOT_SUPPORTED)
    }

    Context fn cuWaitExternalSemaphoresAsync(_all: In<u64>, _params: In<c_void>, _count: c_uint, _stream: u64) {
        Err(Code::NOT_SUPPORTED)
    }

    Context fn cuDestroyExternalSemaphore(_semaphore: u64) {
        Err(Code::NOT_SUPPORTED)
    }
}
