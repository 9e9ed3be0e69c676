// SPDX-License-Identifier: MIT OR Apache-2.0
//! Statuses, and what the calling thread is told of its last failure.

use std::ffi::{CStr, c_char};
use std::sync::OnceLock;

use uncopy::ErrorKind;

use super::call::with_last;

/// What a call comes to: `UNCOPY_OK`, or one of `UNCOPY_ERROR_*`. Numbers are never changed, and new ones may come.
pub type uncopy_status = i32;

/// It is done.
pub const UNCOPY_OK: uncopy_status = 0;
/// An argument is outside what the call accepts.
pub const UNCOPY_ERROR_INVALID_ARGUMENT: uncopy_status = 1;
/// A link name does not follow the rules for names.
pub const UNCOPY_ERROR_INVALID_NAME: uncopy_status = 2;
/// A shape or its strides are impossible, too large, or do not fit their memory.
pub const UNCOPY_ERROR_INVALID_LAYOUT: uncopy_status = 3;
/// A dtype is unknown, malformed, or has no name in the form that was asked for.
pub const UNCOPY_ERROR_INVALID_DTYPE: uncopy_status = 4;
/// A frame has another shape or dtype than the link was fixed to.
pub const UNCOPY_ERROR_FORM_MISMATCH: uncopy_status = 5;
/// This system, build or device cannot do it.
pub const UNCOPY_ERROR_UNSUPPORTED: uncopy_status = 6;
/// There is no link, file or device of that name.
pub const UNCOPY_ERROR_NOT_FOUND: uncopy_status = 7;
/// Another live producer holds the name.
pub const UNCOPY_ERROR_NAME_TAKEN: uncopy_status = 8;
/// The system or the other side does not permit it.
pub const UNCOPY_ERROR_PERMISSION_DENIED: uncopy_status = 9;
/// The time that the caller gave has passed.
pub const UNCOPY_ERROR_TIMED_OUT: uncopy_status = 10;
/// A signal or the caller ended the wait.
pub const UNCOPY_ERROR_INTERRUPTED: uncopy_status = 11;
/// This end of the link was closed before.
pub const UNCOPY_ERROR_CLOSED: uncopy_status = 12;
/// The producer died or hung up without closing.
pub const UNCOPY_ERROR_PRODUCER_LOST: uncopy_status = 13;
/// A newer producer took the name over.
pub const UNCOPY_ERROR_SUPERSEDED: uncopy_status = 14;
/// The producer took this consumer's place away.
pub const UNCOPY_ERROR_EVICTED: uncopy_status = 15;
/// Every place of the link is taken.
pub const UNCOPY_ERROR_TOO_MANY_CONSUMERS: uncopy_status = 16;
/// Consumers hold every slot, so there is nowhere to write.
pub const UNCOPY_ERROR_NO_FREE_SLOT: uncopy_status = 17;
/// The two sides speak versions that do not understand each other.
pub const UNCOPY_ERROR_VERSION_MISMATCH: uncopy_status = 18;
/// Shared memory of a link holds something that no correct peer writes.
pub const UNCOPY_ERROR_CORRUPT_LINK: uncopy_status = 19;
/// There is not enough memory.
pub const UNCOPY_ERROR_OUT_OF_MEMORY: uncopy_status = 20;
/// Descriptors, processes or another limited resource ran out.
pub const UNCOPY_ERROR_OUT_OF_RESOURCES: uncopy_status = 21;
/// An object made before a fork was used in the child.
pub const UNCOPY_ERROR_FORKED_PROCESS: uncopy_status = 22;
/// Writing was asked for, and the memory may only be read.
pub const UNCOPY_ERROR_READ_ONLY: uncopy_status = 23;
/// It cannot be done without a copy, and the caller forbade copies.
pub const UNCOPY_ERROR_COPY_REQUIRED: uncopy_status = 24;
/// A call of the operating system failed in a way that has no kind of its own.
pub const UNCOPY_ERROR_SYSTEM: uncopy_status = 25;
/// The producer closed the link, and no other came in time.
pub const UNCOPY_ERROR_PRODUCER_CLOSED: uncopy_status = 26;
/// The device failed in a way that ends its use in this process.
pub const UNCOPY_ERROR_DEVICE_LOST: uncopy_status = 27;

/// The status of the calling thread's last call that failed; `UNCOPY_OK` if none did. A call that succeeds leaves it as
/// it is.
#[unsafe(no_mangle)]
pub extern "C" fn uncopy_last_status() -> uncopy_status {
    with_last(|last| last.status).unwrap_or(UNCOPY_OK)
}

/// What the calling thread's last failed call had to say: what failed, with which values, and what to try. One line of
/// UTF-8 without a full stop, `""` if no call failed. Never NULL.
///
/// Lifetime: until the next call of this thread that fails, or its end; copy it to keep it.
#[unsafe(no_mangle)]
pub extern "C" fn uncopy_last_message() -> *const c_char {
    with_last(|last| last.message.as_ptr()).unwrap_or(c"".as_ptr())
}

/// The stable name of a status, such as `"timed_out"`: the same in Python and in JSON. `"ok"` for `UNCOPY_OK`, NULL for a
/// number that this library does not know. It lives as long as the process.
#[unsafe(no_mangle)]
pub extern "C" fn uncopy_status_name(status: uncopy_status) -> *const c_char {
    text_of(status, |texts| &texts.0)
}

/// One sentence on what a status means. As `uncopy_status_name`.
#[unsafe(no_mangle)]
pub extern "C" fn uncopy_status_meaning(status: uncopy_status) -> *const c_char {
    text_of(status, |texts| &texts.1)
}

type Texts = (std::ffi::CString, std::ffi::CString);

fn text_of(status: uncopy_status, choose: impl Fn(&Texts) -> &CStr) -> *const c_char {
    static TEXTS: OnceLock<Vec<Texts>> = OnceLock::new();
    // They have no 0 in them.
    let owned = |text: &str| std::ffi::CString::new(text).unwrap_or_default();
    let texts = TEXTS.get_or_init(|| {
        let kinds = ErrorKind::ALL.iter().map(|kind| (owned(kind.name()), owned(kind.meaning())));
        std::iter::once((owned("ok"), owned("It is done."))).chain(kinds).collect()
    });
    // Codes count up from 1 without gaps.
    let found = usize::try_from(status).ok().and_then(|index| texts.get(index));
    found.map_or(std::ptr::null(), |found| choose(found).as_ptr())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: *const c_char) -> Option<&'static str> {
        // SAFETY: it is null or a text that lives as long as the process.
        (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_str().unwrap())
    }

    #[test]
    fn every_kind_has_its_name_and_meaning_under_its_code() {
        for kind in ErrorKind::ALL {
            assert_eq!(read(uncopy_status_name(kind.code())), Some(kind.name()));
            assert_eq!(read(uncopy_status_meaning(kind.code())), Some(kind.meaning()));
        }
        assert_eq!(read(uncopy_status_name(UNCOPY_OK)), Some("ok"));
        for unknown in [-1, i32::MIN, i32::MAX, ErrorKind::ALL.len() as i32 + 1] {
            assert_eq!(read(uncopy_status_name(unknown)), None);
        }
    }
}
