// SPDX-License-Identifier: MIT OR Apache-2.0
//! The producing end of a link.

use std::ffi::{c_char, c_void};
use std::sync::Arc;
use std::time::{Duration, Instant};

use uncopy::{Form, LinkError, Publisher, Waiting, Waker, WhenFull};

use super::call::{call, call_silently};
use super::error::uncopy_status;
use super::pointers::{Out, optional_text, read, text};
use super::sized::{SizedOut, read_optional, sized_struct};
use super::values::uncopy_form;
use super::waiting::{Attentive, Calls, time_of};
use crate::end::{End, Inner};
use crate::failure::Failure;
use crate::table::{FIRST_TYPE, Table};

/// `uncopy_publish_options.when_full`: the incoming frame is dropped and counted; the producer never waits.
pub const UNCOPY_WHEN_FULL_DROP: u32 = 0;
/// `uncopy_publish_options.when_full`: the producer waits for room, and keeps frames that a consumer with
/// `UNCOPY_READ_EVERY` has not received.
pub const UNCOPY_WHEN_FULL_BLOCK: u32 = 1;

/// The producing end of a link. A handle, used by one thread at a time: another one is told `UNCOPY_ERROR_UNSUPPORTED`.
/// `uncopy_publisher_interrupt` and `uncopy_publisher_destroy` may come from any thread.
pub struct uncopy_publisher(());

/// A publisher, and the form that a loan was last asked for: it is checked once, and not with each frame.
pub struct Producing {
    pub(super) publisher: Publisher,
    last: Option<(uncopy_form, Form)>,
}

impl Producing {
    /// The publisher, and a form as it was given.
    pub(super) fn with_form(&mut self, given: &uncopy_form) -> Result<(&mut Publisher, &Form), Failure> {
        // In place: so large a value is moved for longer than it is compared.
        if self.last.as_ref().is_none_or(|(last, _)| last != given) {
            self.last = Some((*given, given.checked()?));
        }
        let (_, form) = self.last.as_ref().ok_or(LinkError::ForeignClaim)?;
        Ok((&mut self.publisher, form))
    }
}

impl Inner for Producing {
    const WHAT: &'static str = "uncopy_publisher";

    fn waker(&self) -> Waker {
        self.publisher.waker()
    }

    fn close(self) {
        self.publisher.close();
    }
}

/// What stands behind the handle.
pub type PublisherEnd = End<Producing, Calls>;

static PUBLISHERS: Table<PublisherEnd> = Table::new("uncopy_publisher", FIRST_TYPE + 1);

/// The publisher behind a handle.
pub fn get(publisher: *const uncopy_publisher) -> Result<Arc<PublisherEnd>, Failure> {
    PUBLISHERS.get(publisher.addr())
}

/// How to publish. Begin with `UNCOPY_PUBLISH_OPTIONS_INIT`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct uncopy_publish_options {
    /// `sizeof(uncopy_publish_options)`.
    pub size_bytes: u32,
    /// 1.
    pub version: u32,
    /// Frames in shared memory, 2 to 64: 2 and those that consumers hold at once are a good choice. 0: 4.
    pub slots: u32,
    /// `UNCOPY_WHEN_FULL_*`: what happens when every slot is held.
    pub when_full: u32,
    /// How long a producer that blocks waits for room, in nanoseconds, `UNCOPY_FOREVER` unless told.
    pub room_timeout_nanos: i64,
    /// How long a consumer may keep slots from a producer that finds no room, without receiving a frame, before its place
    /// is taken away, in nanoseconds; `UNCOPY_FOREVER` unless told.
    pub evict_after_nanos: i64,
    /// The form of every frame, any other being refused. NULL: each frame brings its own.
    pub form: *const uncopy_form,
    /// Another runtime directory than the user's own, for tests and containers. NULL: the user's own.
    pub directory: *const c_char,
    /// Called by a call that waits for room whenever a signal handler has run in its thread, and besides several times a
    /// second: 0 ends the wait with `UNCOPY_ERROR_INTERRUPTED`. It must not throw, and must not use this publisher. NULL:
    /// the wait goes on.
    pub keep_waiting: Option<unsafe extern "C" fn(user: *mut c_void) -> i32>,
    /// What `keep_waiting` is called with.
    pub user: *mut c_void,
    /// 1: the process that holds the name gives it up.
    pub takeover: u8,
    /// 1: each frame on a GPU is copied to host memory too, once for all consumers, and the copy is recorded.
    pub mirror: u8,
    /// 0.
    pub reserved: [u8; 6],
}
sized_struct!(uncopy_publish_options, "UNCOPY_PUBLISH_OPTIONS_INIT", 72);

/// Counters of a publisher. Begin with `UNCOPY_PUBLISHER_STATS_INIT`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct uncopy_publisher_stats {
    /// `sizeof(uncopy_publisher_stats)`; after the call, the bytes that were filled.
    pub size_bytes: u32,
    /// 1.
    pub version: u32,
    /// Frames published, which is also the number of the newest.
    pub published: u64,
    /// Frames dropped because every slot was held.
    pub dropped: u64,
    /// Consumers attached now.
    pub consumers: u32,
    /// Number of slots.
    pub slots: u32,
}
sized_struct!(uncopy_publisher_stats, "UNCOPY_PUBLISHER_STATS_INIT", 32);

/// Opens a link for publishing, under a name of up to 64 letters, digits, `.`, `_` and `-`. `options` may be NULL.
///
/// Owner: the caller, who ends the link with `uncopy_publisher_destroy`. Frame memory is made with the first frame, or now
/// for a fixed form. The first end of a process starts one thread of uncopy's own, which ends with the last.
///
/// Errors: `UNCOPY_ERROR_NAME_TAKEN`, `UNCOPY_ERROR_INVALID_NAME`, `UNCOPY_ERROR_INVALID_ARGUMENT`,
/// `UNCOPY_ERROR_PERMISSION_DENIED` for a runtime directory that is not private, `UNCOPY_ERROR_OUT_OF_MEMORY`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_publisher_create(
    name: *const c_char,
    options: *const uncopy_publish_options,
    out: *mut *mut uncopy_publisher,
) -> uncopy_status {
    call("uncopy_publisher_create", || {
        // SAFETY: the contract of the header.
        let out = unsafe { Out::at("out", out, std::ptr::null_mut()) }?;
        // SAFETY: the contract of the header.
        let name = unsafe { text("name", name) }?;
        // SAFETY: the contract of the header.
        let options = unsafe { read_optional("options", options) }?;
        let mut asked = uncopy::publish(name);
        let mut calls = Calls { keep_waiting: None, notice: None, user: std::ptr::null_mut() };
        if let Some(options) = options {
            calls = Calls { keep_waiting: options.keep_waiting, user: options.user, ..calls };
            // SAFETY: the contract of the header.
            asked = unsafe { with_options(asked, &options) }?;
        }
        let end = End::new(name, Producing { publisher: asked.open()?, last: None }, calls);
        out.put(PUBLISHERS.put(end).map(std::ptr::without_provenance_mut)?);
        Ok(())
    })
}

/// # Safety
/// The pointers of `options` are null or lead to what they say.
unsafe fn with_options(
    asked: uncopy::PublishOptions,
    options: &uncopy_publish_options,
) -> Result<uncopy::PublishOptions, Failure> {
    let room_timeout = time_of("room_timeout_nanos", options.room_timeout_nanos)?;
    let when_full = match options.when_full {
        UNCOPY_WHEN_FULL_DROP => WhenFull::Drop,
        UNCOPY_WHEN_FULL_BLOCK => WhenFull::Block(room_timeout),
        other => {
            return Err(Failure::Argument(format!(
                "when_full is UNCOPY_WHEN_FULL_DROP (0) or UNCOPY_WHEN_FULL_BLOCK (1), not {other}"
            )));
        }
    };
    let evict_after = time_of("evict_after_nanos", options.evict_after_nanos)?;
    let mut asked = asked
        .when_full(when_full)
        .evict_after(evict_after)
        .takeover(options.takeover != 0)
        .mirror(options.mirror != 0);
    if options.slots != 0 {
        // `as` only widens.
        asked = asked.slots(options.slots as usize);
    }
    if !options.form.is_null() {
        // SAFETY: passed on.
        let form: uncopy_form = unsafe { read("form", options.form) }?;
        asked = asked.form(form.checked()?);
    }
    // SAFETY: passed on.
    if let Some(directory) = unsafe { optional_text("directory", options.directory) }? {
        asked = asked.directory(directory);
    }
    Ok(asked)
}

/// Waits until at least `wanted` consumers are attached, at most `timeout_nanos` nanoseconds or `UNCOPY_FOREVER`.
///
/// Errors: `UNCOPY_ERROR_TIMED_OUT`, `UNCOPY_ERROR_SUPERSEDED`, `UNCOPY_ERROR_INTERRUPTED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_publisher_wait_for_consumers(
    publisher: *mut uncopy_publisher,
    wanted: u32,
    timeout_nanos: i64,
) -> uncopy_status {
    /// Between two times that the caller is asked whether to go on.
    const SLICE: Duration = Duration::from_millis(80);
    call("uncopy_publisher_wait_for_consumers", || {
        let end = get(publisher)?;
        let timeout = time_of("timeout_nanos", timeout_nanos)?;
        let begun = Instant::now();
        end.with(|Producing { publisher, .. }| {
            loop {
                let left = timeout.map(|timeout| timeout.saturating_sub(begun.elapsed()));
                let slice = left.unwrap_or(SLICE).min(SLICE);
                // `as` only widens.
                match publisher.wait_for_consumers(wanted as usize, slice) {
                    Err(LinkError::FewConsumers { name, wanted, found, .. }) => {
                        if let Some(waited) = timeout.filter(|timeout| begun.elapsed() >= *timeout) {
                            return Err(LinkError::FewConsumers { name, wanted, found, waited }.into());
                        }
                    }
                    done => return Ok(done?),
                }
                if !Attentive(&end).keep_waiting() {
                    return Err(LinkError::Interrupted.into());
                }
            }
        })
    })
}

/// Waits until devices have written every frame that was published and is still there, at most `timeout_nanos` nanoseconds
/// or `UNCOPY_FOREVER`. `*written` is 1 when they have, 0 when the time is over. At once for frames in host memory. From then
/// on the frames need this process no longer, and arrays that were sent are given back.
///
/// Errors: `UNCOPY_ERROR_INTERRUPTED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_publisher_flush(
    publisher: *mut uncopy_publisher,
    timeout_nanos: i64,
    written: *mut i32,
) -> uncopy_status {
    call("uncopy_publisher_flush", || {
        // SAFETY: the contract of the header.
        let written = unsafe { Out::at("written", written, 0) }?;
        let end = get(publisher)?;
        let timeout = time_of("timeout_nanos", timeout_nanos)?;
        let done =
            end.with(|Producing { publisher, .. }| Ok(publisher.flush_with(timeout, &mut Attentive(&end))?))?;
        written.put(done.into());
        Ok(())
    })
}

/// The counters of a publisher.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_publisher_get_stats(
    publisher: *mut uncopy_publisher,
    stats: *mut uncopy_publisher_stats,
) -> uncopy_status {
    call("uncopy_publisher_get_stats", || {
        // SAFETY: the contract of the header.
        let out = unsafe { SizedOut::at("stats", stats) }?;
        let (stats, slots) =
            get(publisher)?.with(|Producing { publisher, .. }| Ok((publisher.stats(), publisher.slots())))?;
        out.put(uncopy_publisher_stats {
            size_bytes: 0,
            version: 0,
            published: stats.published,
            dropped: stats.dropped,
            // Lossless: at most 16 and 64.
            consumers: stats.consumers as u32,
            slots: slots as u32,
        });
        Ok(())
    })
}

/// Ends the wait that goes on in another thread, or else the next one, with `UNCOPY_ERROR_INTERRUPTED`. From any thread; not
/// from a signal handler, for which `keep_waiting` is there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_publisher_interrupt(publisher: *mut uncopy_publisher) -> uncopy_status {
    call("uncopy_publisher_interrupt", || {
        get(publisher)?.interrupt();
        Ok(())
    })
}

/// Closes the link: consumers are told, frames that they hold stay as they are, and the name is free. Waits before that, for
/// a second at most, until devices have written what was published. A call of another thread that waits ends with
/// `UNCOPY_ERROR_CLOSED`, and the link closes when it does. NULL is left alone; so is a handle that was destroyed, or made
/// before a fork.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_publisher_destroy(publisher: *mut uncopy_publisher) {
    if !publisher.is_null() {
        call_silently("uncopy_publisher_destroy", || {
            PUBLISHERS.take(publisher.addr())?.close();
            Ok(())
        });
    }
}
