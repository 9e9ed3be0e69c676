// SPDX-License-Identifier: MIT OR Apache-2.0
//! Events: marks in streams that others wait for and ask about.

#![expect(unsafe_code, reason = "exports C entries")]

use crate::{
    abi::Out,
    capture::{self, Mark},
    code::{Answer, Code},
    contexts,
    entry::entries,
    lock::lock,
    poll,
    queue::{self, Ticket, Work},
    shared_events::SharedEvent,
    streams,
};
use std::{
    collections::BTreeMap,
    ffi::{c_float, c_uint},
    sync::{Arc, Mutex, OnceLock},
    time::Instant,
};

const DISABLE_TIMING: c_uint = 2;
const INTERPROCESS: c_uint = 4;
const ALL_FLAGS: c_uint = 7;
/// Nothing lies there.
const FIRST_HANDLE: u64 = 0xE7E7_0000_0000;

struct Event {
    flags: c_uint,
    record: Mutex<Record>,
    shared: Option<SharedEvent>,
}

/// What an event stands for now.
#[derive(Clone, Default)]
struct Record {
    /// What must be done, as far as it was put in by this process.
    tickets: Vec<Ticket>,
    done_at: Arc<OnceLock<Instant>>,
    mark: Option<Mark>,
}

static EVENTS: Mutex<BTreeMap<u64, Arc<Event>>> = Mutex::new(BTreeMap::new());

fn find(handle: u64) -> Answer<Arc<Event>> {
    lock(&EVENTS).get(&handle).cloned().ok_or(Code::INVALID_HANDLE)
}

fn keep(event: Event) -> u64 {
    static MADE: Mutex<u64> = Mutex::new(0);
    let mut made = lock(&MADE);
    *made += 1;
    let handle = FIRST_HANDLE + 0x100 * *made;
    lock(&EVENTS).insert(handle, Arc::new(event));
    handle
}

/// Makes an event out of one of another process.
pub fn opened(shared: SharedEvent) -> u64 {
    let flags = DISABLE_TIMING | INTERPROCESS;
    keep(Event { flags, record: Mutex::default(), shared: Some(shared) })
}

/// What other processes know of an event, if they may know of it.
pub fn shared(handle: u64) -> Answer<SharedEvent> {
    find(handle)?.shared.clone().ok_or(Code::INVALID_HANDLE)
}

impl Event {
    fn record_in(&self, stream: u64) -> Answer {
        let (queue, context) = streams::find(stream)?;
        if let Some(mark) = capture::mark(queue.handle)? {
            *lock(&self.record) = Record { mark: Some(mark), ..Record::default() };
            return Ok(());
        }
        let done_at = Arc::new(OnceLock::new());
        let at = Arc::clone(&done_at);
        let stamp = move || {
            // Only this piece of work sets it.
            let _ = at.set(Instant::now());
        };
        let work = match self.shared.clone() {
            None => Work::of(move |_| stamp()),
            Some(shared) => {
                let record = shared.record();
                Work::seen(move |stream| {
                    stamp();
                    shared.complete(record, stream);
                })
            }
        };
        let ticket = streams::put_into(&queue, &context, work)?;
        *lock(&self.record) = Record { tickets: ticket.into_iter().collect(), done_at, mark: None };
        Ok(())
    }

    /// Whether it is done. Asking makes lazy streams work.
    fn is_done(&self) -> bool {
        let tickets = lock(&self.record).tickets.clone();
        let own = queue::are_done(&tickets);
        own && self.shared.as_ref().is_none_or(|shared| shared.is_done(shared.recorded()))
    }

    fn check_may_ask(&self) -> Answer {
        let mark = lock(&self.record).mark;
        mark.map_or(Ok(()), capture::refuse_mark)?;
        capture::forbid()
    }
}

/// Lets a stream wait for what an event stands for at the time of the call.
pub fn wait_in_stream(stream: u64, event: u64) -> Answer {
    let event = find(event)?;
    let (queue, context) = streams::find(stream)?;
    let record = lock(&event.record).clone();
    if capture::wait(&queue, record.mark)? {
        return Ok(());
    }
    let work = match event.shared.clone() {
        None => Work::waiting(record.tickets),
        Some(shared) => {
            let newest = shared.recorded();
            // The same record, but asked for: a lazy stream of this process would not do it otherwise.
            let after = record.tickets;
            Work { after, ..Work::of(move |stream| poll::until(stream, || shared.is_done(newest))) }
        }
    };
    streams::put_into(&queue, &context, work).map(|_| ())
}

entries! {
    #![unsafe(no_mangle)]

    Context fn cuEventCreate(out: Out<u64>, flags: c_uint) {
        out.check()?;
        // Read on an H200: an event with timing can't be shared.
        if flags & !ALL_FLAGS != 0 || flags & (INTERPROCESS | DISABLE_TIMING) == INTERPROCESS {
            return Err(Code::INVALID_VALUE);
        }
        let shared = if flags & INTERPROCESS != 0 { Some(SharedEvent::make()?) } else { None };
        out.put(keep(Event { flags, record: Mutex::default(), shared }))
    }

    Context fn cuEventDestroy_v2(handle: u64) {
        let event = lock(&EVENTS).remove(&handle).ok_or(Code::INVALID_HANDLE)?;
        if let Some(shared) = &event.shared {
            shared.retire();
        }
        Ok(())
    }

    Context fn cuEventRecord(event: u64, stream: u64) {
        find(event)?.record_in(stream)
    }

    Context fn cuEventRecordWithFlags(event: u64, stream: u64, flags: c_uint) {
        if flags > 1 {
            return Err(Code::INVALID_VALUE);
        }
        find(event)?.record_in(stream)
    }

    Context fn cuEventQuery(handle: u64) {
        let event = find(handle)?;
        event.check_may_ask()?;
        let is_done = event.is_done();
        contexts::current()?.check_sound()?;
        if is_done { Ok(()) } else { Err(Code::NOT_READY) }
    }

    Context fn cuEventSynchronize(handle: u64) {
        let event = find(handle)?;
        event.check_may_ask()?;
        let tickets = lock(&event.record).tickets.clone();
        tickets.iter().for_each(Ticket::wait);
        if let Some(shared) = &event.shared {
            let newest = shared.recorded();
            poll::on_host(|| shared.is_done(newest));
        }
        contexts::current()?.check_sound()
    }

    Context fn cuEventElapsedTime(milliseconds: Out<c_float>, start: u64, end: u64) {
        elapsed(&milliseconds, start, end)
    }

    Context fn cuEventElapsedTime_v2(milliseconds: Out<c_float>, start: u64, end: u64) {
        elapsed(&milliseconds, start, end)
    }

    // Everything that its context was given so far. A context with a stream in capture can't be recorded: the
    // captures are broken.
    Context fn cuCtxRecordEvent(context: u64, event: u64) {
        let (context, event) = (contexts::by_handle(context)?, find(event)?);
        capture::refuse_in(&context)?;
        if event.shared.is_some() {
            return Err(Code::NOT_SUPPORTED);
        }
        *lock(&event.record) = Record { tickets: context.everything(), ..Record::default() };
        Ok(())
    }

    Context fn cuCtxWaitEvent(context: u64, event: u64) {
        let (context, event) = (contexts::by_handle(context)?, find(event)?);
        capture::refuse_in(&context)?;
        let tickets = lock(&event.record).tickets.clone();
        for stream in context.streams() {
            streams::put_into(&stream, &context, Work::waiting(tickets.clone()))?;
        }
        Ok(())
    }
}

fn elapsed(out: &Out<c_float>, start: u64, end: u64) -> Answer {
    let (start, end) = (find(start)?, find(end)?);
    if (start.flags | end.flags) & DISABLE_TIMING != 0 {
        return Err(Code::INVALID_HANDLE);
    }
    let times = [&start, &end].map(|event| {
        let record = lock(&event.record).clone();
        if record.tickets.is_empty() {
            return Err(Code::INVALID_HANDLE);
        }
        record.done_at.get().copied().ok_or(Code::NOT_READY)
    });
    let [from, to] = times;
    let elapsed = to?.saturating_duration_since(from?);
    out.put(elapsed.as_secs_f32() * 1e3)
}
