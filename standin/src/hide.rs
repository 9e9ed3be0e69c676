// SPDX-License-Identifier: MIT OR Apache-2.0
//! Takes functions out of the library as it is loaded, so that a program finds them by no way: neither through
//! `cuGetProcAddress` nor by asking the loader (`UNCOPY_STANDIN_WITHOUT`, or a claimed version that had them not
//! yet).

#![expect(unsafe_code, reason = "runs at load, and writes into the library's own table of symbols")]

use crate::{
    settings::{refuse, settings},
    symbols,
};
use rustix::mm::{MprotectFlags, mprotect};
use std::{ffi::c_void, mem::MaybeUninit, ptr};

/// `RTLD_DL_SYMENT`: the symbol itself is wanted.
const SYMBOL_WANTED: libc::c_int = 1;
const PAGE: usize = 4096;

// SAFETY: the loader calls each function of this section once, when the library's symbols are resolved.
#[unsafe(link_section = ".init_array")]
#[used]
static AT_LOAD: extern "C" fn() = at_load;

extern "C" fn at_load() {
    for name in settings().without.iter().filter(|name| !name.is_empty()) {
        if !symbols::is_known(name) {
            refuse(&format!("UNCOPY_STANDIN_WITHOUT: there is no function {name}"));
        }
    }
    for name in symbols::hidden() {
        if let Some(address) = symbols::address(name)
            && hide(address.cast()).is_none()
        {
            refuse(&format!("can't hide {name}"));
        }
    }
}

/// Makes the loader believe that the symbol is defined elsewhere.
fn hide(address: *const c_void) -> Option<()> {
    let mut info = MaybeUninit::uninit();
    let mut symbol: *mut c_void = ptr::null_mut();
    // SAFETY: both places are ours, and the flag says what the second is for.
    let found = unsafe { libc::dladdr1(address, info.as_mut_ptr(), &mut symbol, SYMBOL_WANTED) };
    if found == 0 || symbol.is_null() {
        return None;
    }
    let page = symbol.map_addr(|address| address - address % PAGE);
    let len = symbol.addr() - page.addr() + size_of::<libc::Elf64_Sym>();
    // SAFETY: pages of this library, mapped privately; only the loader reads them, and it does so from its own
    // threads' calls.
    unsafe { mprotect(page, len, MprotectFlags::READ | MprotectFlags::WRITE) }.ok()?;
    let symbol = symbol.cast::<libc::Elf64_Sym>();
    // SAFETY: the loader said that the symbol lies here; a symbol of section 0 and value 0 is one that is only used.
    unsafe { (*symbol).st_value = 0 };
    // SAFETY: as above.
    unsafe { (*symbol).st_shndx = 0 };
    // SAFETY: as the first.
    unsafe { mprotect(page, len, MprotectFlags::READ) }.ok()
}
