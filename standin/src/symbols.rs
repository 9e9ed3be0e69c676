// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which functions there are, in which version of the driver, and what the driver calls its errors.

#![expect(unsafe_code, reason = "exports C entries")]

use crate::{
    abi::{In, Out},
    code::{self, Answer, Code},
    contexts, copies, devices,
    entry::{Export, entries},
    events, external, fills, graphs, host, ipc, kernels, memory, pointers, pools,
    settings::settings,
    streams, vmm, words,
};
use std::ffi::{CStr, c_char, c_int};

/// `CUdriverProcAddressQueryResult`
const FOUND: c_int = 0;
const NOT_FOUND: c_int = 1;
const TOO_OLD: c_int = 2;

/// Since when there is a function, where that is after CUDA 10.2. Source: `cuda.h` and the release notes of the
/// driver API.
const SINCE: &[(&str, i32)] = &[
    ("cuCtxGetId", 12_000),
    ("cuCtxRecordEvent", 12_050),
    ("cuCtxWaitEvent", 12_050),
    ("cuDeviceGetDefaultMemPool", 11_020),
    ("cuDeviceGetMemPool", 11_020),
    ("cuDeviceGetUuid_v2", 11_040),
    ("cuDevicePrimaryCtxRelease_v2", 11_000),
    ("cuEventElapsedTime_v2", 12_080),
    ("cuEventRecordWithFlags", 11_010),
    ("cuGetProcAddress", 11_030),
    ("cuGetProcAddress_v2", 12_000),
    ("cuGraphInstantiateWithFlags", 11_040),
    ("cuIpcOpenMemHandle_v2", 11_000),
    ("cuMemAllocAsync", 11_020),
    ("cuMemAllocFromPoolAsync", 11_020),
    ("cuMemFreeAsync", 11_020),
    ("cuMemPoolCreate", 11_020),
    ("cuMemPoolDestroy", 11_020),
    ("cuMemPoolExportPointer", 11_020),
    ("cuMemPoolExportToShareableHandle", 11_020),
    ("cuMemPoolImportFromShareableHandle", 11_020),
    ("cuMemPoolImportPointer", 11_020),
    ("cuMemRetainAllocationHandle", 11_000),
    ("cuStreamBatchMemOp_v2", 11_070),
    ("cuStreamGetCaptureInfo_v2", 11_030),
    ("cuStreamGetCaptureInfo_v3", 12_030),
    ("cuStreamGetDevice", 12_080),
    ("cuStreamGetId", 12_000),
    ("cuStreamWaitValue32_v2", 11_070),
    ("cuStreamWaitValue64_v2", 11_070),
    ("cuStreamWriteValue32_v2", 11_070),
    ("cuStreamWriteValue64_v2", 11_070),
];

fn exports() -> impl Iterator<Item = &'static Export> {
    let tables = [
        TABLE,
        contexts::TABLE,
        copies::TABLE,
        devices::TABLE,
        events::TABLE,
        external::TABLE,
        fills::TABLE,
        graphs::TABLE,
        host::TABLE,
        ipc::TABLE,
        kernels::TABLE,
        memory::TABLE,
        pointers::TABLE,
        pools::TABLE,
        streams::TABLE,
        vmm::TABLE,
        words::TABLE,
    ];
    tables.into_iter().flatten()
}

/// Whether there is such a function, hidden or not.
pub fn is_known(name: &str) -> bool {
    exports().any(|export| export.name == name)
}

/// Where a function is.
pub fn address(name: &str) -> Option<*const ()> {
    exports().find(|export| export.name == name).map(|export| (export.address)())
}

/// The names of what this driver does not have: what it was told to hide, and what is younger than the version
/// that it claims.
pub fn hidden() -> impl Iterator<Item = &'static str> {
    exports().map(|export| export.name).filter(|name| {
        let is_dropped = settings().without.iter().any(|without| without == name);
        is_dropped || since(name) > settings().version
    })
}

fn since(name: &str) -> i32 {
    SINCE.iter().find(|(known, _)| *known == name).map_or(0, |(_, since)| *since)
}

/// The newest form of a function that a program made for CUDA `version` knows, as a name without suffix asks for.
fn lookup(symbol: &str, version: i32) -> Result<*const (), c_int> {
    let hidden: Vec<&str> = hidden().collect();
    let forms = ["_v4", "_v3", "_v2", ""].map(|suffix| format!("{symbol}{suffix}"));
    let mut failure = NOT_FOUND;
    for form in forms {
        let Some(export) = exports().find(|export| export.name == form) else { continue };
        if hidden.contains(&export.name) {
            continue;
        }
        if since(export.name) > version {
            failure = TOO_OLD;
            continue;
        }
        return Ok((export.address)());
    }
    Err(failure)
}

fn get(symbol: In<c_char>, out: Out<*const ()>, version: c_int, status: Option<Out<c_int>>) -> Answer {
    out.check()?;
    let found = lookup(&symbol.text()?, version);
    if let Some(status) = status {
        status.put_if_wanted(found.err().unwrap_or(FOUND));
    }
    out.put(found.unwrap_or(std::ptr::null()))?;
    found.map(|_| ()).map_err(|_| Code::NOT_FOUND)
}

fn put_text(out: Out<*const c_char>, text: Option<&'static CStr>) -> Answer {
    out.put(text.map_or(std::ptr::null(), CStr::as_ptr))?;
    text.map(|_| ()).ok_or(Code::INVALID_VALUE)
}

entries! {
    #![unsafe(no_mangle)]

    Nothing fn cuGetProcAddress(symbol: In<c_char>, out: Out<*const ()>, version: c_int, _flags: u64) {
        get(symbol, out, version, None)
    }

    Nothing fn cuGetProcAddress_v2(
        symbol: In<c_char>, out: Out<*const ()>, version: c_int, _flags: u64, status: Out<c_int>,
    ) {
        get(symbol, out, version, Some(status))
    }

    Nothing fn cuGetErrorName(number: c_int, out: Out<*const c_char>) {
        put_text(out, code::texts(number).map(|(name, _)| name))
    }

    Nothing fn cuGetErrorString(number: c_int, out: Out<*const c_char>) {
        put_text(out, code::texts(number).map(|(_, said)| said))
    }
}
