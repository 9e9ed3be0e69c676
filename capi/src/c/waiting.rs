// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a program is asked and told while one of its calls waits, and times as it gives them.

use std::ffi::{CString, c_char, c_void};
use std::time::Duration;

use uncopy::Waiting;

use super::values::{UNCOPY_FOREVER, UNCOPY_LIKE_TIMEOUT};
use crate::end::{End, Inner};
use crate::failure::Failure;

/// The functions of a program that wants to be asked and told.
#[derive(Clone, Copy)]
pub struct Calls {
    pub(super) keep_waiting: Option<unsafe extern "C" fn(*mut c_void) -> i32>,
    pub(super) notice: Option<unsafe extern "C" fn(*mut c_void, *const c_char)>,
    pub(super) user: *mut c_void,
}

// SAFETY: the header says that the functions are called by whatever thread waits; the pointer is only passed to them.
unsafe impl Send for Calls {}
// SAFETY: as above.
unsafe impl Sync for Calls {}

/// A wait that asks and tells them, and that ends when its end of the link is interrupted or destroyed.
pub struct Attentive<'a, T: Inner>(pub &'a End<T, Calls>);

impl<T: Inner> Waiting for Attentive<'_, T> {
    fn keep_waiting(&mut self) -> bool {
        self.0.may_wait() && self.0.calls.may_wait()
    }

    fn notice(&mut self, text: &str) {
        self.0.calls.tell(text);
    }
}

impl Calls {
    pub fn may_wait(&self) -> bool {
        // SAFETY: the program gave the function to be called with its pointer while its options are in use.
        self.keep_waiting.is_none_or(|keep_waiting| unsafe { keep_waiting(self.user) } != 0)
    }

    fn tell(&self, text: &str) {
        let Some(notice) = self.notice else { return };
        let text: Vec<u8> = text.bytes().filter(|byte| *byte != 0).collect();
        let Ok(text) = CString::new(text) else { return };
        // SAFETY: as for `may_wait`; the text lives until the call has returned.
        unsafe { notice(self.user, text.as_ptr()) }
    }
}

/// For a wait before there is an end.
impl Waiting for Calls {
    fn keep_waiting(&mut self) -> bool {
        self.may_wait()
    }

    fn notice(&mut self, text: &str) {
        self.tell(text);
    }
}

/// A time in nanoseconds; `None` for ever.
pub fn time_of(argument: &'static str, nanos: i64) -> Result<Option<Duration>, Failure> {
    match u64::try_from(nanos) {
        Ok(nanos) => Ok(Some(Duration::from_nanos(nanos))),
        Err(_) if nanos == UNCOPY_FOREVER => Ok(None),
        Err(_) => Err(Failure::Argument(format!(
            "{argument} is a time in nanoseconds, 0 or more, or UNCOPY_FOREVER ({UNCOPY_FOREVER}), not {nanos}"
        ))),
    }
}

/// The same where `UNCOPY_LIKE_TIMEOUT` will do too, which is `None`.
pub fn restart_time_of(argument: &'static str, nanos: i64) -> Result<Option<Option<Duration>>, Failure> {
    if nanos == UNCOPY_LIKE_TIMEOUT { Ok(None) } else { time_of(argument, nanos).map(Some) }
}
