// SPDX-License-Identifier: MIT OR Apache-2.0
//! Streams that record work into a graph: who takes part, and what ends a recording badly. Source: `cuda.h`,
//! `cuStreamBeginCapture`, `cuThreadExchangeStreamCaptureMode` and the section on stream capture of NVIDIA's guide.
//!
//! A call that would invalidate a capture in the real driver invalidates it here, so that whoever disturbs a user's
//! capture is found out.

use crate::{
    code::{Answer, Code},
    contexts::{Context, this_thread},
    graphs,
    lock::lock,
    queue::Queue,
};
use std::{
    cell::Cell,
    collections::BTreeMap,
    ffi::c_int,
    sync::{Mutex, MutexGuard},
    thread::ThreadId,
};

/// `CUstreamCaptureMode`
const GLOBAL: c_int = 0;
const THREAD_LOCAL: c_int = 1;
const RELAXED: c_int = 2;

/// `CUstreamCaptureStatus`
const NONE: c_int = 0;
const ACTIVE: c_int = 1;
const INVALIDATED: c_int = 2;

/// Where a recorded event stands: behind the `count`-th piece of work of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark {
    capture: u64,
    stream: u64,
    count: usize,
}

struct Capture {
    id: u64,
    mode: c_int,
    thread: ThreadId,
    origin: u64,
    context: usize,
    has_blocking: bool,
    is_broken: bool,
    members: BTreeMap<u64, Member>,
}

#[derive(Default)]
struct Member {
    count: usize,
    /// Whether what it has recorded leads back to the others.
    is_joined: bool,
}

#[derive(Default)]
struct Captures {
    begun: u64,
    all: Vec<Capture>,
}

impl Captures {
    fn of(&mut self, stream: u64) -> Option<&mut Capture> {
        self.all.iter_mut().find(|capture| capture.members.contains_key(&stream))
    }
}

fn captures() -> MutexGuard<'static, Captures> {
    static CAPTURES: Mutex<Captures> = Mutex::new(Captures { begun: 0, all: Vec::new() });
    lock(&CAPTURES)
}

thread_local! {
    static MODE: Cell<c_int> = const { Cell::new(GLOBAL) };
}

/// Gives the calling thread another mode, and says which it had.
pub fn exchange_mode(mode: c_int) -> Answer<c_int> {
    if !(GLOBAL..=RELAXED).contains(&mode) {
        return Err(Code::INVALID_VALUE);
    }
    Ok(MODE.replace(mode))
}

/// Refuses a call that is unsafe while somebody captures, unless the calling thread's mode lets it; the captures
/// that it was unsafe for are broken.
pub fn forbid() -> Answer {
    let (mode, thread) = (MODE.get(), this_thread());
    let is_disturbed = |capture: &Capture| match mode {
        RELAXED => false,
        THREAD_LOCAL => capture.thread == thread && capture.mode != RELAXED,
        _ => {
            (capture.thread == thread && capture.mode != RELAXED)
                || (capture.thread != thread && capture.mode == GLOBAL)
        }
    };
    break_all(is_disturbed, Code::STREAM_CAPTURE_UNSUPPORTED)
}

/// Refuses what needs all of a context to be outside of captures.
pub fn refuse_in(context: &Context) -> Answer {
    break_all(|capture| capture.context == context.ordinal, Code::STREAM_CAPTURE_UNSUPPORTED)?;
    forbid()
}

/// Refuses the legacy default stream, which would wait for a blocking stream that is being captured.
pub fn refuse_legacy(context: &Context) -> Answer {
    let is_caught = |capture: &Capture| capture.context == context.ordinal && capture.has_blocking;
    break_all(is_caught, Code::STREAM_CAPTURE_IMPLICIT)
}

/// Refuses to wait for a stream that records.
pub fn refuse_stream(stream: u64) -> Answer {
    break_all(|capture| capture.members.contains_key(&stream), Code::STREAM_CAPTURE_UNSUPPORTED)
}

/// A stream that goes away takes its capture with it. Another one may soon have its handle.
pub fn end_with_stream(stream: u64) {
    let mut captures = captures();
    captures.all.retain(|capture| capture.origin != stream);
    for capture in &mut captures.all {
        capture.is_broken |= capture.members.remove(&stream).is_some();
    }
}

/// Refuses to ask about an event that was recorded in a capture.
pub fn refuse_mark(mark: Mark) -> Answer {
    // An event of a capture that has ended can't be asked about either, and disturbs nobody.
    break_all(|capture| capture.id == mark.capture, Code::CAPTURED_EVENT)?;
    Err(Code::CAPTURED_EVENT)
}

fn break_all(is_disturbed: impl Fn(&Capture) -> bool, code: Code) -> Answer {
    let mut captures = captures();
    let mut disturbed = captures.all.iter_mut().filter(|capture| is_disturbed(capture)).peekable();
    let answer = if disturbed.peek().is_some() { Err(code) } else { Ok(()) };
    disturbed.for_each(|capture| capture.is_broken = true);
    answer
}

/// Whether a blocking stream of the context is being captured.
pub fn has_blocking(context: &Context) -> bool {
    captures().all.iter().any(|capture| capture.context == context.ordinal && capture.has_blocking)
}

/// Begins to capture a stream.
pub fn begin(stream: &Queue, context: &Context, mode: c_int) -> Answer {
    if !(GLOBAL..=RELAXED).contains(&mode) {
        return Err(Code::INVALID_VALUE);
    }
    let mut captures = captures();
    if captures.of(stream.handle).is_some() {
        return Err(Code::ILLEGAL_STATE);
    }
    captures.begun += 1;
    let capture = Capture {
        id: captures.begun,
        mode,
        thread: this_thread(),
        origin: stream.handle,
        context: context.ordinal,
        has_blocking: stream.is_blocking,
        is_broken: false,
        members: BTreeMap::from([(stream.handle, Member::default())]),
    };
    captures.all.push(capture);
    Ok(())
}

/// Ends a capture; the graph's handle.
pub fn end(stream: u64) -> Answer<u64> {
    let mut captures = captures();
    let capture = captures.of(stream).ok_or(Code::ILLEGAL_STATE)?;
    if capture.origin != stream {
        capture.is_broken = true;
        return Err(Code::STREAM_CAPTURE_UNMATCHED);
    }
    if capture.mode != RELAXED && capture.thread != this_thread() {
        return Err(Code::STREAM_CAPTURE_WRONG_THREAD);
    }
    let nodes = capture.members.values().map(|member| member.count).sum();
    let is_unjoined = capture
        .members
        .iter()
        .any(|(member, state)| *member != stream && state.count > 0 && !state.is_joined);
    let (id, is_broken) = (capture.id, capture.is_broken);
    captures.all.retain(|capture| capture.id != id);
    if is_broken {
        return Err(Code::STREAM_CAPTURE_INVALIDATED);
    }
    if is_unjoined {
        return Err(Code::STREAM_CAPTURE_UNJOINED);
    }
    Ok(graphs::made(nodes))
}

/// Status and number of the capture that a stream takes part in.
pub fn status(stream: u64) -> (c_int, u64) {
    match captures().of(stream) {
        None => (NONE, 0),
        Some(capture) if capture.is_broken => (INVALIDATED, capture.id),
        Some(capture) => (ACTIVE, capture.id),
    }
}

/// Records a piece of work when the stream is being captured; whether it is.
pub fn record(stream: u64) -> Answer<bool> {
    let mut captures = captures();
    let Some(capture) = captures.of(stream) else { return Ok(false) };
    if capture.is_broken {
        return Err(Code::STREAM_CAPTURE_INVALIDATED);
    }
    if let Some(member) = capture.members.get_mut(&stream) {
        member.count += 1;
        member.is_joined = false;
    }
    Ok(true)
}

/// Where an event that is recorded in this stream now stands; None when the stream isn't being captured.
pub fn mark(stream: u64) -> Answer<Option<Mark>> {
    let mut captures = captures();
    let Some(capture) = captures.of(stream) else { return Ok(None) };
    if capture.is_broken {
        return Err(Code::STREAM_CAPTURE_INVALIDATED);
    }
    let count = capture.members.get(&stream).map_or(0, |member| member.count);
    Ok(Some(Mark { capture: capture.id, stream, count }))
}

/// A stream waits for an event: whether that is part of a capture, which the stream may join by it.
pub fn wait(stream: &Queue, mark: Option<Mark>) -> Answer<bool> {
    let mut captures = captures();
    let Some(mark) = mark else {
        return match captures.of(stream.handle) {
            None => Ok(false),
            Some(capture) => {
                capture.is_broken = true;
                Err(Code::STREAM_CAPTURE_ISOLATION)
            }
        };
    };
    let own = captures.of(stream.handle).map(|capture| capture.id);
    if own.is_some_and(|own| own != mark.capture) {
        captures
            .all
            .iter_mut()
            .filter(|capture| Some(capture.id) == own || capture.id == mark.capture)
            .for_each(|capture| capture.is_broken = true);
        return Err(Code::STREAM_CAPTURE_MERGE);
    }
    let capture =
        captures.all.iter_mut().find(|capture| capture.id == mark.capture).ok_or(Code::CAPTURED_EVENT)?;
    if capture.is_broken {
        return Err(Code::STREAM_CAPTURE_INVALIDATED);
    }
    capture.has_blocking |= stream.is_blocking;
    if mark.stream != stream.handle
        && let Some(other) = capture.members.get_mut(&mark.stream)
        && other.count == mark.count
    {
        other.is_joined = true;
    }
    capture.members.entry(stream.handle).or_default();
    Ok(true)
}
