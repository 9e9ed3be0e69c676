// SPDX-License-Identifier: MIT OR Apache-2.0
//! The consuming end of a link.

use std::ffi::{c_char, c_void};
use std::sync::Arc;

use uncopy::{Device, Read, Release, Staging, SubscribeOptions, Subscriber, Where};

use super::call::{call, call_silently};
use super::error::uncopy_status;
use super::frame::{self, uncopy_frame};
use super::pointers::{Out, optional_text, text};
use super::sized::{SizedOut, read_optional, sized_struct};
use super::stream::stream_of;
use super::values::uncopy_device;
use super::waiting::{Attentive, Calls, restart_time_of, time_of};
use crate::end::End;
use crate::failure::Failure;
use crate::table::{FIRST_TYPE, Table};

/// `uncopy_subscribe_options.read`: always the newest frame; what was published in between shows as `missed`.
pub const UNCOPY_READ_LATEST: u32 = 0;
/// `uncopy_subscribe_options.read`: each frame, in order, from the newest at the time of joining on.
pub const UNCOPY_READ_EVERY: u32 = 1;

/// `uncopy_subscribe_options.place`: frames that are on a device are received there where this process can use it, else in
/// the producer's mirror in host memory.
pub const UNCOPY_PLACE_NEAREST: u32 = 0;
/// `uncopy_subscribe_options.place`: in host memory; no driver is loaded.
pub const UNCOPY_PLACE_HOST: u32 = 1;
/// `uncopy_subscribe_options.place`: on `device`; where it does not reach the frames' memory each is copied once, which is
/// recorded.
pub const UNCOPY_PLACE_DEVICE: u32 = 2;
/// `uncopy_subscribe_options.place`: on `device`, always copied.
pub const UNCOPY_PLACE_COPIED: u32 = 3;

/// `uncopy_subscribe_options.release`: a frame on a device goes back after the work in each stream that was named with
/// `uncopy_frame_used_on`.
pub const UNCOPY_RELEASE_STREAMS: u32 = 0;
/// `uncopy_subscribe_options.release`: after everything that this process had put into any stream of the device by then.
/// Needs a driver of CUDA 12.5 or later; a capture that goes on meanwhile becomes invalid.
pub const UNCOPY_RELEASE_CONTEXT: u32 = 1;

/// The consuming end of a link. A handle, used by one thread at a time: another one is told `UNCOPY_ERROR_UNSUPPORTED`.
/// `uncopy_subscriber_interrupt` and `uncopy_subscriber_destroy` may come from any thread. When the producer goes away,
/// waiting calls look for the next producer of the name by themselves.
pub struct uncopy_subscriber(());

/// The end itself.
pub type SubscriberEnd = End<Subscriber, Calls>;

/// What stands behind the handle.
pub struct Joined {
    pub(super) end: SubscriberEnd,
    /// Pinned memory for copies of its frames, used again and again.
    staging: Arc<Staging>,
}

static SUBSCRIBERS: Table<Joined> = Table::new("uncopy_subscriber", FIRST_TYPE + 3);

/// The subscriber behind a handle.
pub fn get(subscriber: *const uncopy_subscriber) -> Result<Arc<Joined>, Failure> {
    SUBSCRIBERS.get(subscriber.addr())
}

/// How to subscribe. Begin with `UNCOPY_SUBSCRIBE_OPTIONS_INIT`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct uncopy_subscribe_options {
    /// `sizeof(uncopy_subscribe_options)`.
    pub size_bytes: u32,
    /// 1.
    pub version: u32,
    /// `UNCOPY_READ_*`.
    pub read: u32,
    /// `UNCOPY_PLACE_*`: where frames that are on a device are received.
    pub place: u32,
    /// The device of `UNCOPY_PLACE_DEVICE` and `UNCOPY_PLACE_COPIED`.
    pub device: uncopy_device,
    /// `UNCOPY_RELEASE_*`: when frames on a device go back.
    pub release: u32,
    /// 1: frames on a device are mapped so that this process can't write to them: a kernel that does costs the process its
    /// context. Frames in host memory are read-only in any case.
    pub is_read_only: u8,
    /// 1: `uncopy_subscriber_create` waits for no producer; the first call for a frame does.
    pub is_started_later: u8,
    /// 0.
    pub reserved: [u8; 2],
    /// How long to be without a producer, when subscribing and whenever one goes away, in nanoseconds or
    /// `UNCOPY_FOREVER`; 5 s unless told.
    pub timeout_nanos: i64,
    /// How long a producer that has gone is waited for to come again, in every call; `UNCOPY_LIKE_TIMEOUT` unless told.
    /// 0: what became of it is told at once.
    pub restart_timeout_nanos: i64,
    /// How long a wait for a frame spins before it sleeps, in nanoseconds; 20 us unless told. 0: never.
    pub spin_nanos: i64,
    /// Another runtime directory than the user's own, for tests and containers. NULL: the user's own.
    pub directory: *const c_char,
    /// Called by a call that waits whenever a signal handler has run in its thread, and besides several times a second: 0
    /// ends the wait with `UNCOPY_ERROR_INTERRUPTED`. It must not throw, and must not use this subscriber. NULL: the wait
    /// goes on.
    pub keep_waiting: Option<unsafe extern "C" fn(user: *mut c_void) -> i32>,
    /// Called once, 2 s into a wait for a producer, with a line on what is waited for, which links are live, and the nearest
    /// name. It must not throw, and must not use this subscriber. NULL: nothing is said.
    pub notice: Option<unsafe extern "C" fn(user: *mut c_void, text: *const c_char)>,
    /// What both are called with.
    pub user: *mut c_void,
}
sized_struct!(uncopy_subscribe_options, "UNCOPY_SUBSCRIBE_OPTIONS_INIT", 88);

/// Counters of a subscriber, over all producers. Begin with `UNCOPY_SUBSCRIBER_STATS_INIT`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct uncopy_subscriber_stats {
    /// `sizeof(uncopy_subscriber_stats)`; after the call, the bytes that were filled.
    pub size_bytes: u32,
    /// 1.
    pub version: u32,
    /// Frames received.
    pub received: u64,
    /// Frames that were published since it joined, and not received.
    pub missed: u64,
    /// How often another producer took the place of one that was gone.
    pub restarts: u64,
    /// 1: a producer is there now.
    pub is_connected: u8,
    /// 0.
    pub reserved: [u8; 7],
}
sized_struct!(uncopy_subscriber_stats, "UNCOPY_SUBSCRIBER_STATS_INIT", 40);

/// Takes a place at the producer of a name, waiting for it to appear. `options` may be NULL.
///
/// Owner: the caller, who leaves with `uncopy_subscriber_destroy`.
///
/// Errors: `UNCOPY_ERROR_NOT_FOUND` when nobody publishes under the name in time, `UNCOPY_ERROR_TOO_MANY_CONSUMERS` (16 are
/// the most), `UNCOPY_ERROR_INVALID_NAME`, `UNCOPY_ERROR_INVALID_ARGUMENT`, `UNCOPY_ERROR_VERSION_MISMATCH`,
/// `UNCOPY_ERROR_UNSUPPORTED` where frames are wanted on a device that can't be used, `UNCOPY_ERROR_PERMISSION_DENIED`,
/// `UNCOPY_ERROR_INTERRUPTED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_subscriber_create(
    name: *const c_char,
    options: *const uncopy_subscribe_options,
    out: *mut *mut uncopy_subscriber,
) -> uncopy_status {
    call("uncopy_subscriber_create", || {
        // SAFETY: the contract of the header.
        let out = unsafe { Out::at("out", out, std::ptr::null_mut()) }?;
        // SAFETY: the contract of the header.
        let name = unsafe { text("name", name) }?;
        // SAFETY: the contract of the header.
        let options = unsafe { read_optional("options", options) }?;
        let mut asked = uncopy::subscribe(name);
        let mut calls = Calls { keep_waiting: None, notice: None, user: std::ptr::null_mut() };
        let mut is_started_later = false;
        if let Some(options) = options {
            calls = Calls { keep_waiting: options.keep_waiting, notice: options.notice, user: options.user };
            is_started_later = options.is_started_later != 0;
            // SAFETY: the contract of the header.
            asked = unsafe { with_options(asked, &options) }?;
        }
        let subscriber = if is_started_later { asked.start() } else { asked.open_with(&mut calls) }?;
        let joined = Joined { end: End::new(name, subscriber, calls), staging: Arc::default() };
        out.put(SUBSCRIBERS.put(joined).map(std::ptr::without_provenance_mut)?);
        Ok(())
    })
}

/// # Safety
/// The pointers of `options` are null or lead to what they say.
unsafe fn with_options(
    asked: SubscribeOptions,
    options: &uncopy_subscribe_options,
) -> Result<SubscribeOptions, Failure> {
    let wrong = |what: &str, value: u32| Failure::Argument(format!("{what}, not {value}"));
    let read = match options.read {
        UNCOPY_READ_LATEST => Read::Latest,
        UNCOPY_READ_EVERY => Read::Every,
        other => return Err(wrong("read is UNCOPY_READ_LATEST (0) or UNCOPY_READ_EVERY (1)", other)),
    };
    let device = Device::from(options.device);
    let place = match options.place {
        UNCOPY_PLACE_NEAREST => Where::Nearest,
        UNCOPY_PLACE_HOST => Where::Host,
        UNCOPY_PLACE_DEVICE => Where::Device(device),
        UNCOPY_PLACE_COPIED => Where::Copied(device),
        other => return Err(wrong("place is one of UNCOPY_PLACE_* (0 to 3)", other)),
    };
    let release = match options.release {
        UNCOPY_RELEASE_STREAMS => Release::Streams,
        UNCOPY_RELEASE_CONTEXT => Release::Context,
        other => {
            return Err(wrong("release is UNCOPY_RELEASE_STREAMS (0) or UNCOPY_RELEASE_CONTEXT (1)", other));
        }
    };
    let spin = time_of("spin_nanos", options.spin_nanos)?.ok_or_else(|| {
        Failure::Argument("spin_nanos has an end; a wait that never sleeps is none".to_owned())
    })?;
    let mut asked = asked
        .read(read)
        .place(place)
        .release(release)
        .read_only(options.is_read_only != 0)
        .timeout(time_of("timeout_nanos", options.timeout_nanos)?)
        .spin(spin);
    if let Some(limit) = restart_time_of("restart_timeout_nanos", options.restart_timeout_nanos)? {
        asked = asked.restart_timeout(limit);
    }
    // SAFETY: passed on.
    if let Some(directory) = unsafe { optional_text("directory", options.directory) }? {
        asked = asked.directory(directory);
    }
    Ok(asked)
}

/// Waits for the next frame that was not received yet, at most `timeout_nanos` nanoseconds or `UNCOPY_FOREVER`, through
/// restarts of the producer.
///
/// Owner: the caller holds the frame with `*out` until `uncopy_frame_destroy`; nothing is copied, and nobody can change it
/// meanwhile. Hold as many as the link has slots for (slots - 2).
///
/// Stream order: the content is there when this returns, on a GPU too; name the streams that read it with
/// `uncopy_frame_used_on`.
///
/// Errors: `UNCOPY_ERROR_TIMED_OUT` when the producer lives and published nothing new; `UNCOPY_ERROR_PRODUCER_LOST` when it
/// died, `UNCOPY_ERROR_PRODUCER_CLOSED` when it closed the link, `UNCOPY_ERROR_NOT_FOUND` when there never was one;
/// `UNCOPY_ERROR_EVICTED` when it took this place away, after which the next call takes a new one;
/// `UNCOPY_ERROR_INTERRUPTED`, `UNCOPY_ERROR_CLOSED`, `UNCOPY_ERROR_CORRUPT_LINK`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_subscriber_recv(
    subscriber: *mut uncopy_subscriber,
    timeout_nanos: i64,
    out: *mut *mut uncopy_frame,
) -> uncopy_status {
    call("uncopy_subscriber_recv", || {
        // SAFETY: the contract of the header.
        let out = unsafe { Out::at("out", out, std::ptr::null_mut()) }?;
        let Joined { end, staging } = &*get(subscriber)?;
        let timeout = time_of("timeout_nanos", timeout_nanos)?;
        let frame = end.with(|subscriber| Ok(subscriber.recv_with(timeout, &mut Attentive(end))?))?;
        out.put(frame::put(frame, staging)?);
        Ok(())
    })
}

/// As `uncopy_subscriber_recv`, for work in `stream`: a frame on a GPU may still be written by its producer; what is put into
/// the stream after this call finds it whole, and the frame goes back after that work. The stream lives until the last of
/// frame, arrays and DLPack structs of it is gone.
///
/// It is known no sooner so; use it only where the processor has nothing to do but to put work into the stream. Should the
/// producer die meanwhile, `uncopy_frame_is_torn` tells.
///
/// Errors: also `UNCOPY_ERROR_INVALID_ARGUMENT` while the stream is being captured, `UNCOPY_ERROR_DEVICE_LOST`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_subscriber_recv_on(
    subscriber: *mut uncopy_subscriber,
    stream: *mut c_void,
    timeout_nanos: i64,
    out: *mut *mut uncopy_frame,
) -> uncopy_status {
    call("uncopy_subscriber_recv_on", || {
        // SAFETY: the contract of the header.
        let out = unsafe { Out::at("out", out, std::ptr::null_mut()) }?;
        let Joined { end, staging } = &*get(subscriber)?;
        let timeout = time_of("timeout_nanos", timeout_nanos)?;
        let stream = stream_of(stream);
        let frame =
            end.with(|subscriber| Ok(subscriber.recv_on_with(stream, timeout, &mut Attentive(end))?))?;
        out.put(frame::put(frame, staging)?);
        Ok(())
    })
}

/// The next frame that was not received yet, if it is there; `*out` is NULL when there is none. Never waits. For event
/// loops: call it once before the first poll of `uncopy_subscriber_fileno`, and after each event until it gives none, which
/// asks the producer to ring.
///
/// Errors: as for `uncopy_subscriber_recv`, but never `UNCOPY_ERROR_TIMED_OUT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_subscriber_poll(
    subscriber: *mut uncopy_subscriber,
    out: *mut *mut uncopy_frame,
) -> uncopy_status {
    call("uncopy_subscriber_poll", || {
        // SAFETY: the contract of the header.
        let out = unsafe { Out::at("out", out, std::ptr::null_mut()) }?;
        let Joined { end, staging } = &*get(subscriber)?;
        let frame = end.with(|subscriber| Ok(subscriber.poll_recv()?))?;
        out.put(frame.map_or(Ok(std::ptr::null_mut()), |frame| frame::put(frame, staging))?);
        Ok(())
    })
}

/// The newest frame that there is, also one that was received before; `*out` is NULL when there is none. Never waits.
///
/// Errors: `UNCOPY_ERROR_CORRUPT_LINK`, and those of `uncopy_subscriber_create`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_subscriber_newest(
    subscriber: *mut uncopy_subscriber,
    out: *mut *mut uncopy_frame,
) -> uncopy_status {
    call("uncopy_subscriber_newest", || {
        // SAFETY: the contract of the header.
        let out = unsafe { Out::at("out", out, std::ptr::null_mut()) }?;
        let Joined { end, staging } = &*get(subscriber)?;
        let frame = end.with(|subscriber| Ok(subscriber.newest()?))?;
        out.put(frame.map_or(Ok(std::ptr::null_mut()), |frame| frame::put(frame, staging))?);
        Ok(())
    })
}

/// The descriptor that an event loop polls for reading (poll, epoll, io_uring): readable when there may be a frame, or
/// another producer; see `uncopy_subscriber_poll`.
///
/// Owner: the subscriber. It stays the same until `uncopy_subscriber_destroy`; don't close it.
///
/// Errors: `UNCOPY_ERROR_OUT_OF_RESOURCES` when no descriptor is left, `UNCOPY_ERROR_UNSUPPORTED` on Windows.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_subscriber_fileno(
    subscriber: *mut uncopy_subscriber,
    fd: *mut i32,
) -> uncopy_status {
    call("uncopy_subscriber_fileno", || {
        // SAFETY: the contract of the header.
        let fd = unsafe { Out::at("fd", fd, -1) }?;
        fd.put(get(subscriber)?.end.with(descriptor)?);
        Ok(())
    })
}

#[cfg(unix)]
fn descriptor(subscriber: &mut Subscriber) -> Result<i32, Failure> {
    use std::os::fd::{AsFd, AsRawFd};
    Ok(subscriber.events()?.as_fd().as_raw_fd())
}

#[cfg(not(unix))]
fn descriptor(_: &mut Subscriber) -> Result<i32, Failure> {
    Err(Failure::Unsupported("this system has no descriptors to poll; use uncopy_wait".to_owned()))
}

/// The counters of a subscriber.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_subscriber_get_stats(
    subscriber: *mut uncopy_subscriber,
    stats: *mut uncopy_subscriber_stats,
) -> uncopy_status {
    call("uncopy_subscriber_get_stats", || {
        // SAFETY: the contract of the header.
        let out = unsafe { SizedOut::at("stats", stats) }?;
        let (stats, restarts, is_connected) = get(subscriber)?
            .end
            .with(|subscriber| Ok((subscriber.stats(), subscriber.restarts(), subscriber.connected())))?;
        out.put(uncopy_subscriber_stats {
            size_bytes: 0,
            version: 0,
            received: stats.received,
            missed: stats.missed,
            restarts,
            is_connected: is_connected.into(),
            reserved: [0; 7],
        });
        Ok(())
    })
}

/// Ends the wait that goes on in another thread, or else the next one, with `UNCOPY_ERROR_INTERRUPTED`. From any thread; not
/// from a signal handler, for which `keep_waiting` is there.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_subscriber_interrupt(subscriber: *mut uncopy_subscriber) -> uncopy_status {
    call("uncopy_subscriber_interrupt", || {
        get(subscriber)?.end.interrupt();
        Ok(())
    })
}

/// Leaves the link. Frames that are held stay as they are. A call of another thread that waits ends with
/// `UNCOPY_ERROR_CLOSED`. NULL is left alone; so is a handle that was destroyed, or made before a fork.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_subscriber_destroy(subscriber: *mut uncopy_subscriber) {
    if !subscriber.is_null() {
        call_silently("uncopy_subscriber_destroy", || {
            SUBSCRIBERS.take(subscriber.addr())?.end.close();
            Ok(())
        });
    }
}
