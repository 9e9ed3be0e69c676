// SPDX-License-Identifier: MIT OR Apache-2.0
//! Streams by handle, the default streams, and in which order work of several streams is done.
//!
//! The legacy default stream (0 and 1) waits for all that is in blocking streams of its context, and they for it.
//! Streams made with `CU_STREAM_NON_BLOCKING` do neither. 2 is the calling thread's own default stream, which blocks.
//!
//! A handle is an address, and lives as one: who uses it after its stream was destroyed ends the process, unless another
//! stream has been made meanwhile, which then has the same handle.

#![expect(unsafe_code, reason = "exports C entries")]

use crate::{
    abi::Out,
    capture,
    code::{Answer, Code},
    contexts::{self, Context, Streams, this_thread},
    entry::{self, entries},
    events,
    lock::lock,
    log,
    queue::{self, Queue, Ticket, Work},
    settings::refuse,
};
use std::{
    collections::BTreeMap,
    ffi::{c_int, c_uint},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

const NON_BLOCKING: c_uint = 1;
/// Nothing lies there.
const FIRST_HANDLE: u64 = 0x57EA_0000_0000;

static MADE: Mutex<BTreeMap<u64, Arc<Queue>>> = Mutex::new(BTreeMap::new());
/// Handles of streams that were destroyed; the last one is the next to be given out again.
static GIVEN_BACK: Mutex<Vec<u64>> = Mutex::new(Vec::new());
static CREATED: AtomicUsize = AtomicUsize::new(0);

/// The number of the next stream, by order of creation.
pub fn next_number() -> usize {
    CREATED.fetch_add(1, Ordering::Relaxed)
}

fn next_handle() -> u64 {
    static HANDLES: AtomicUsize = AtomicUsize::new(1);
    FIRST_HANDLE + 0x100 * HANDLES.fetch_add(1, Ordering::Relaxed) as u64
}

/// What is said of a handle that no stream has. That of a stream which was destroyed says nothing any more.
fn missing(handle: u64) -> Code {
    if lock(&GIVEN_BACK).contains(&handle) {
        let call = entry::under_way();
        log::note_kill(call);
        refuse(&format!(
            "{call} on stream {handle:#x}, which was destroyed: the driver ends the process by SIGSEGV"
        ));
    }
    Code::INVALID_HANDLE
}

/// The stream that a handle means to the calling thread, and its context.
pub fn find(handle: u64) -> Answer<(Arc<Queue>, Arc<Context>)> {
    if handle > 2 {
        let made = lock(&MADE).get(&handle).cloned();
        let stream = made.ok_or_else(|| missing(handle))?;
        let context = stream.context.upgrade().ok_or(Code::CONTEXT_IS_DESTROYED)?;
        context.check_sound()?;
        return Ok((stream, context));
    }
    let context = contexts::current()?;
    let mut streams = lock(&context.order);
    let Streams { all, legacy, of_threads } = &mut *streams;
    let new = || {
        let stream = Queue::new(next_handle(), &context, true, 0);
        all.push(Arc::downgrade(&stream));
        stream
    };
    let stream = match handle {
        2 => Arc::clone(of_threads.entry(this_thread()).or_insert_with(new)),
        _ => Arc::clone(legacy.get_or_insert_with(new)),
    };
    drop(streams);
    Ok((stream, context))
}

/// Puts work into a stream, behind what it must wait for. None when the stream is being captured and the work was
/// recorded instead.
pub fn put(handle: u64, work: Work) -> Answer<Option<Ticket>> {
    let (stream, context) = find(handle)?;
    put_into(&stream, &context, work)
}

/// As `put`, into a stream that was found already.
pub fn put_into(stream: &Arc<Queue>, context: &Arc<Context>, mut work: Work) -> Answer<Option<Ticket>> {
    let mut streams = lock(&context.order);
    let is_legacy = streams.legacy.as_ref().is_some_and(|legacy| Arc::ptr_eq(legacy, stream));
    if is_legacy {
        capture::refuse_legacy(context)?;
    }
    if capture::record(stream.handle)? {
        return Ok(None);
    }
    streams.all.retain(|stream| stream.strong_count() > 0);
    if is_legacy {
        let others = streams.all.iter().filter_map(|other| other.upgrade());
        let blocking = others.filter(|other| other.is_blocking && !Arc::ptr_eq(other, stream));
        work.after.extend(blocking.map(|other| other.last()));
    } else if stream.is_blocking
        && let Some(legacy) = &streams.legacy
    {
        work.after.push(legacy.last());
    }
    Ok(Some(stream.put(work)))
}

/// What must be done before a stream counts as done: for the legacy default stream, that is all of its context's
/// blocking streams.
fn pending(stream: &Arc<Queue>, context: &Context) -> Vec<Ticket> {
    let streams = lock(&context.order);
    let is_legacy = streams.legacy.as_ref().is_some_and(|legacy| Arc::ptr_eq(legacy, stream));
    if !is_legacy {
        return vec![stream.last()];
    }
    let all = streams.all.iter().filter_map(|other| other.upgrade());
    all.filter(|other| other.is_blocking).map(|other| other.last()).collect()
}

/// The streams of a context whose life has ended are no streams any more.
pub fn forget_context(context: &Context) {
    lock(&MADE)
        .retain(|_, stream| stream.context.upgrade().is_some_and(|own| own.ordinal != context.ordinal));
}

fn create(out: &Out<u64>, flags: c_uint, priority: c_int) -> Answer {
    out.check()?;
    if flags > NON_BLOCKING {
        return Err(Code::INVALID_VALUE);
    }
    let context = contexts::current()?;
    let handle = lock(&GIVEN_BACK).pop().unwrap_or_else(next_handle);
    // Priorities are clamped, not refused.
    let stream = Queue::new(handle, &context, flags != NON_BLOCKING, priority.clamp(-5, 0));
    lock(&context.order).all.push(Arc::downgrade(&stream));
    lock(&MADE).insert(stream.handle, Arc::clone(&stream));
    out.put(stream.handle)
}

/// Refuses to wait for a stream that is recording.
fn check_may_wait(stream: &Queue, context: &Context) -> Answer {
    capture::refuse_stream(stream.handle)?;
    if lock(&context.order).legacy.as_ref().is_some_and(|legacy| legacy.handle == stream.handle) {
        capture::refuse_legacy(context)?;
    }
    capture::forbid()
}

entries! {
    #![unsafe(no_mangle)]

    Context fn cuStreamCreate(out: Out<u64>, flags: c_uint) {
        create(&out, flags, 0)
    }

    Context fn cuStreamCreateWithPriority(out: Out<u64>, flags: c_uint, priority: c_int) {
        create(&out, flags, priority)
    }

    // Returns at once; what was put in is still done.
    Context fn cuStreamDestroy_v2(handle: u64) {
        let made = lock(&MADE).remove(&handle);
        let stream = made.ok_or_else(|| missing(handle))?;
        capture::end_with_stream(handle);
        stream.close();
        lock(&GIVEN_BACK).push(handle);
        Ok(())
    }

    Context fn cuStreamQuery(handle: u64) {
        let (stream, context) = find(handle)?;
        check_may_wait(&stream, &context)?;
        let is_done = queue::are_done(&pending(&stream, &context));
        context.check_sound()?;
        if is_done { Ok(()) } else { Err(Code::NOT_READY) }
    }

    Context fn cuStreamSynchronize(handle: u64) {
        let (stream, context) = find(handle)?;
        check_may_wait(&stream, &context)?;
        pending(&stream, &context).iter().for_each(Ticket::wait);
        context.check_sound()
    }

    Context fn cuStreamWaitEvent(handle: u64, event: u64, flags: c_uint) {
        if flags > 1 {
            return Err(Code::INVALID_VALUE);
        }
        events::wait_in_stream(handle, event)
    }

    Context fn cuStreamGetPriority(handle: u64, priority: Out<c_int>) {
        priority.put(find(handle)?.0.priority)
    }

    Context fn cuStreamGetFlags(handle: u64, flags: Out<c_uint>) {
        flags.put(c_uint::from(!find(handle)?.0.is_blocking))
    }

    Context fn cuStreamGetId(handle: u64, id: Out<u64>) {
        id.put(find(handle)?.0.number as u64 + 1)
    }

    Context fn cuStreamGetCtx(handle: u64, context: Out<u64>) {
        context.put(find(handle)?.1.handle)
    }

    Context fn cuStreamGetDevice(handle: u64, device: Out<c_int>) {
        device.put(c_int::try_from(find(handle)?.1.ordinal).unwrap_or_default())
    }

    Context fn cuStreamBeginCapture_v2(handle: u64, mode: c_int) {
        let (stream, context) = find(handle)?;
        if lock(&context.order).legacy.as_ref().is_some_and(|legacy| legacy.handle == stream.handle) {
            return Err(Code::STREAM_CAPTURE_UNSUPPORTED);
        }
        capture::begin(&stream, &context, mode)
    }

    Context fn cuStreamEndCapture(handle: u64, graph: Out<u64>) {
        graph.put(0)?;
        graph.put(capture::end(find(handle)?.0.handle)?)
    }

    Context fn cuStreamIsCapturing(handle: u64, status: Out<c_int>) {
        status.put(captured(handle)?.0)
    }

    Context fn cuStreamGetCaptureInfo(handle: u64, status: Out<c_int>, id: Out<u64>) {
        let (now, number) = captured(handle)?;
        id.put_if_wanted(number);
        status.put(now)
    }

    Context fn cuStreamGetCaptureInfo_v2(
        handle: u64, status: Out<c_int>, id: Out<u64>, graph: Out<u64>, nodes: Out<u64>, count: Out<usize>,
    ) {
        let (now, number) = captured(handle)?;
        id.put_if_wanted(number);
        graph.put_if_wanted(0);
        nodes.put_if_wanted(0);
        count.put_if_wanted(0);
        status.put(now)
    }

    Context fn cuStreamGetCaptureInfo_v3(
        handle: u64, status: Out<c_int>, id: Out<u64>, graph: Out<u64>, nodes: Out<u64>, edges: Out<u64>,
        count: Out<usize>,
    ) {
        let (now, number) = captured(handle)?;
        id.put_if_wanted(number);
        graph.put_if_wanted(0);
        nodes.put_if_wanted(0);
        edges.put_if_wanted(0);
        count.put_if_wanted(0);
        status.put(now)
    }

    Init fn cuThreadExchangeStreamCaptureMode(mode: Out<c_int>) {
        mode.put(capture::exchange_mode(mode.get()?)?)
    }
}

/// Status and number of the capture that a stream takes part in. Asking about the legacy stream while a blocking
/// one is captured is refused, and disturbs nothing.
fn captured(handle: u64) -> Answer<(c_int, u64)> {
    let (stream, context) = find(handle)?;
    let is_legacy = lock(&context.order).legacy.as_ref().is_some_and(|legacy| legacy.handle == stream.handle);
    if is_legacy && capture::has_blocking(&context) {
        return Err(Code::STREAM_CAPTURE_IMPLICIT);
    }
    Ok(capture::status(stream.handle))
}
