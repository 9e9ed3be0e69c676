// SPDX-License-Identifier: MIT OR Apache-2.0
//! Finding the driver's library, once in a process, and keeping the answer.

use std::ffi::{c_char, c_int, c_void};
use std::ptr::NonNull;
use std::sync::OnceLock;

use super::table::{Calls, Entry, Table};
use super::{Driver, fork};
use crate::{CudaError, DriverCode, DriverVersion, NoCuda};

#[cfg(unix)]
use libloading::os::unix::Library;
#[cfg(windows)]
use libloading::os::windows::Library;

/// The driver's library by its name as the system knows it: found in the system's directories, never by a path of ours.
#[cfg(unix)]
const LIBRARY: &str = "libcuda.so.1";
#[cfg(windows)]
const LIBRARY: &str = "nvcuda.dll";

/// `cuGetProcAddress_v2`: name, place for the address, version, flags, place for why it was not found.
type GetProcAddress =
    unsafe extern "system" fn(*const c_char, *mut *mut c_void, c_int, u64, *mut c_int) -> c_int;

/// `cuDriverGetVersion`.
type DriverGetVersion = unsafe extern "system" fn(*mut c_int) -> c_int;

static ANSWER: OnceLock<Result<Driver, NoCuda>> = OnceLock::new();

impl Driver {
    /// The driver of this process, looked for by the first call. Every later call has the same answer.
    ///
    /// # Errors
    ///
    /// Why there is none: an ordinary value, see [`NoCuda`].
    pub fn get() -> Result<&'static Driver, NoCuda> {
        if let Some(answer) = ANSWER.get() {
            return answer.as_ref().map_err(NoCuda::clone);
        }
        // Outside of the cell's lock: a process that forks meanwhile would leave it locked in the child for ever. Two
        // threads that come first together both look, and one answer stays.
        let answer = start();
        ANSWER.get_or_init(|| answer).as_ref().map_err(NoCuda::clone)
    }

    /// The driver, if it was looked for and found.
    pub(crate) fn loaded() -> Option<&'static Driver> {
        ANSWER.get()?.as_ref().ok()
    }
}

fn start() -> Result<Driver, NoCuda> {
    let library = open().map_err(|reason| NoCuda::NoLibrary { tried: LIBRARY, reason })?;
    // Asked before all else: an old driver lacks entries that are required, and that is not what is wrong with it.
    let version = version(&library)?;
    if version < DriverVersion::NEEDED {
        return Err(NoCuda::TooOld { found: version, needed: DriverVersion::NEEDED });
    }
    let finder = Finder { get_proc_address: get_proc_address(&library), library };
    // SAFETY: the finder answers with what the driver itself names as the entry of that name and version, or with the
    // export whose name is that of that version; the library is kept below.
    let table = unsafe { Table::find(&|entry| finder.find(entry)) };
    // Never unloaded: threads of the driver run in it, and its texts and entries are used until the process ends.
    std::mem::forget(finder);
    let table = table.map_err(|symbol| NoCuda::MissingSymbol { library: LIBRARY, symbol })?;
    let calls = Calls::without_context(table, fork::watch());
    let driver = Driver { calls, version };
    // SAFETY: takes no pointer; may be called any number of times.
    unsafe { driver.calls.init(0) }.map_err(|error| no_init(&driver, &error))?;
    match driver.device_count() {
        Ok(0) => Err(NoCuda::NoDevice),
        Ok(_) => Ok(driver),
        Err(error) => Err(no_init(&driver, &error)),
    }
}

/// What the driver supports. It may be asked before `cuInit`.
fn version(library: &Library) -> Result<DriverVersion, NoCuda> {
    let symbol = "cuDriverGetVersion";
    let missing = NoCuda::MissingSymbol { library: LIBRARY, symbol };
    let address = exported(library, "cuDriverGetVersion\0").ok_or(missing)?;
    // SAFETY: the export of that name has this signature in every version of `cuda.h`.
    let driver_get_version = unsafe { std::mem::transmute::<NonNull<c_void>, DriverGetVersion>(address) };
    let mut version = 0;
    // SAFETY: a place for an `int`, alive during the call.
    let code = unsafe { driver_get_version(&raw mut version) };
    // A driver that cannot say its version is older than anything.
    Ok(DriverVersion(if code == 0 { version } else { 0 }))
}

fn no_init(driver: &Driver, error: &CudaError) -> NoCuda {
    let code = error.code().unwrap_or(DriverCode::UNKNOWN);
    if code == DriverCode::NO_DEVICE {
        return NoCuda::NoDevice;
    }
    let name = driver.name_of(code).unwrap_or("an error without a name").to_owned();
    NoCuda::InitFailed { code, name }
}

#[cfg(unix)]
fn open() -> Result<Library, String> {
    use libloading::os::unix::{RTLD_LOCAL, RTLD_NOW};
    // SAFETY: the initialisers that run are those of the NVIDIA driver, or of whatever this user's library path puts in
    // its place, which may do as it likes in this process with or without us.
    unsafe { Library::open(Some(LIBRARY), RTLD_NOW | RTLD_LOCAL) }.map_err(|error| cause_of(&error))
}

#[cfg(windows)]
fn open() -> Result<Library, String> {
    use libloading::os::windows::LOAD_LIBRARY_SEARCH_SYSTEM32;
    // SAFETY: only the system's directory is searched, where an administrator installed the driver.
    unsafe { Library::load_with_flags(LIBRARY, LOAD_LIBRARY_SEARCH_SYSTEM32) }
        .map_err(|error| cause_of(&error))
}

/// The system's own words: the error's say which call failed, and no more.
fn cause_of(error: &libloading::Error) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string)
}

fn get_proc_address(library: &Library) -> Option<GetProcAddress> {
    let address = exported(library, "cuGetProcAddress_v2\0")?;
    // SAFETY: the export of that name has this signature in every version of `cuda.h` that has it.
    Some(unsafe { std::mem::transmute::<NonNull<c_void>, GetProcAddress>(address) })
}

fn exported(library: &Library, name_with_nul: &str) -> Option<NonNull<c_void>> {
    // SAFETY: the symbol is a function, so that a pointer is what it is; it is kept as a number and not called here.
    let symbol = unsafe { library.get::<*mut c_void>(name_with_nul.as_bytes()) };
    NonNull::new(*symbol.ok()?)
}

/// How entries are found.
struct Finder {
    library: Library,
    get_proc_address: Option<GetProcAddress>,
}

impl Finder {
    fn find(&self, entry: &Entry) -> Option<NonNull<c_void>> {
        self.asked(entry).or_else(|| exported(&self.library, entry.exported_with_nul))
    }

    /// The driver's own answer: the entry in the form of that version, also when it is exported under no name.
    fn asked(&self, entry: &Entry) -> Option<NonNull<c_void>> {
        let get_proc_address = self.get_proc_address?;
        let (mut address, mut status) = (std::ptr::null_mut(), 0);
        let name = entry.name_with_nul.as_ptr().cast();
        // SAFETY: a text that ends with a zero, and two places, all alive during the call.
        let code = unsafe { get_proc_address(name, &raw mut address, entry.version, 0, &raw mut status) };
        if code == 0 { NonNull::new(address) } else { None }
    }
}
