// SPDX-License-Identifier: MIT OR Apache-2.0
//! Primary contexts, one for each visible card; which of them a thread works in; and contexts that are broken for
//! good.

#![expect(unsafe_code, reason = "exports C entries")]

use crate::{
    abi::Out,
    capture,
    code::{Answer, Code},
    devices::{self, MOST_CARDS},
    entry::entries,
    lock::lock,
    queue::{Queue, Ticket},
    settings::refuse,
    space, streams,
};
use std::{
    cell::Cell,
    collections::HashMap,
    ffi::{c_int, c_uint},
    sync::{
        Arc, Mutex, OnceLock, Weak,
        atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering},
    },
    thread::{self, ThreadId},
};

/// Nothing lies there, so that a handle that is used as an address crashes.
const FIRST_HANDLE: u64 = 0xC0DE_0000_0000;

/// The primary context of a card.
pub struct Context {
    pub handle: u64,
    pub ordinal: usize,
    pub card: usize,
    retained: AtomicU32,
    flags: AtomicU32,
    /// What broke it; 0 while it works.
    broken: AtomicI32,
    generation: AtomicU64,
    peers: [AtomicBool; MOST_CARDS],
    /// Held while work is put in, so that the legacy default stream knows what came before it.
    pub order: Mutex<Streams>,
}

/// The streams of a context.
#[derive(Default)]
pub struct Streams {
    /// All that have work or may get some, the default ones too.
    pub all: Vec<Weak<Queue>>,
    pub legacy: Option<Arc<Queue>>,
    pub of_threads: HashMap<ThreadId, Arc<Queue>>,
}

impl Context {
    fn is_active(&self) -> bool {
        self.retained.load(Ordering::Relaxed) > 0
    }

    /// Which of its lives it is in: it is another one after each time that nobody retained it.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// Refused when it is broken for good.
    pub fn check_sound(&self) -> Answer {
        match self.broken.load(Ordering::Acquire) {
            0 => Ok(()),
            code => Err(Code(code)),
        }
    }

    /// Breaks it for good, until the process ends (`cuda.h`); what broke it first stays the reason.
    pub fn break_down(&self, code: Code) {
        // A later reason is not kept: the first is what callers are told.
        let _ = self.broken.compare_exchange(0, code.0, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// Whether kernels of this context may use the memory of a card.
    pub fn reaches(&self, card: usize) -> bool {
        self.card == card || self.peers.get(card).is_some_and(|peer| peer.load(Ordering::Relaxed))
    }

    /// Everything that has been put in so far, in any stream.
    pub fn everything(&self) -> Vec<Ticket> {
        self.streams().iter().map(Queue::last).collect()
    }

    /// The streams that still live.
    pub fn streams(&self) -> Vec<Arc<Queue>> {
        lock(&self.order).all.iter().filter_map(Weak::upgrade).collect()
    }

    /// Waits for everything that has been put in so far, as the calls do that wait for the card.
    pub fn wait_for_everything(&self) {
        self.everything().iter().for_each(Ticket::wait);
    }

    fn end(self: &Arc<Self>) {
        let streams = std::mem::take(&mut *lock(&self.order));
        streams.all.iter().filter_map(Weak::upgrade).for_each(|stream| stream.abandon());
        streams::forget_context(self);
        space::forget_context(self.ordinal);
        self.generation.fetch_add(1, Ordering::Relaxed);
    }
}

fn all() -> &'static [Arc<Context>] {
    static ALL: OnceLock<Vec<Arc<Context>>> = OnceLock::new();
    ALL.get_or_init(|| {
        let cards = devices::visible().iter().enumerate();
        let context = |(ordinal, card): (usize, &usize)| {
            Arc::new(Context {
                handle: FIRST_HANDLE + 0x1000 * (ordinal as u64 + 1),
                ordinal,
                card: *card,
                retained: AtomicU32::new(0),
                flags: AtomicU32::new(0),
                broken: AtomicI32::new(0),
                generation: AtomicU64::new(0),
                peers: [const { AtomicBool::new(false) }; MOST_CARDS],
                order: Mutex::default(),
            })
        };
        cards.map(context).collect()
    })
}

/// The contexts that a thread has pushed; the last is current. 0 stands for none.
#[derive(Clone, Copy)]
struct Stack {
    handles: [u64; Self::MOST],
    len: usize,
}

impl Stack {
    /// More than any program pushes without popping.
    const MOST: usize = 64;

    fn push(&mut self, handle: u64) {
        match self.handles.get_mut(self.len) {
            Some(place) => *place = handle,
            None => refuse("a thread has pushed 64 contexts and popped none"),
        }
        self.len += 1;
    }

    fn pop(&mut self) -> Option<u64> {
        let top = self.top()?;
        self.len -= 1;
        Some(top)
    }

    fn top(&self) -> Option<u64> {
        self.handles.get(self.len.checked_sub(1)?).copied()
    }
}

thread_local! {
    /// That of this thread. It has no destructor, so that it is there for as long as the thread is: a program may call
    /// from the destructors of its own.
    static STACK: Cell<Stack> = const { Cell::new(Stack { handles: [0; Stack::MOST], len: 0 }) };
}

fn with_stack<T>(change: impl FnOnce(&mut Stack) -> T) -> T {
    let mut stack = STACK.get();
    let done = change(&mut stack);
    STACK.set(stack);
    done
}

/// The context that the calling thread works in.
pub fn current() -> Answer<Arc<Context>> {
    by_handle(current_handle())
}

fn current_handle() -> u64 {
    STACK.get().top().unwrap_or_default()
}

/// The context with a handle, which must be retained by somebody.
pub fn by_handle(handle: u64) -> Answer<Arc<Context>> {
    let context = all().iter().find(|context| context.handle == handle).ok_or(Code::INVALID_CONTEXT)?;
    if context.is_active() { Ok(Arc::clone(context)) } else { Err(Code::CONTEXT_IS_DESTROYED) }
}

fn of_device(device: c_int) -> Answer<&'static Arc<Context>> {
    devices::card(device)?;
    let ordinal = usize::try_from(device).map_err(|_| Code::INVALID_DEVICE)?;
    all().get(ordinal).ok_or(Code::INVALID_DEVICE)
}

/// The context of an ordinal, whether or not anybody retains it.
pub fn of_ordinal(ordinal: usize) -> Option<&'static Arc<Context>> {
    all().get(ordinal)
}

/// Refused when any context is broken.
pub fn check_all_sound() -> Answer {
    all().iter().try_for_each(|context| context.check_sound())
}

/// Breaks the calling thread's context, or all when it has none.
pub fn break_current(code: Code) {
    match current() {
        Ok(context) => context.break_down(code),
        Err(_) => all().iter().for_each(|context| context.break_down(code)),
    }
}

/// Waits for everything that any context has been given.
pub fn wait_for_all() {
    all().iter().for_each(|context| context.wait_for_everything());
}

entries! {
    #![unsafe(no_mangle)]

    Init fn cuDevicePrimaryCtxRetain(out: Out<u64>, device: c_int) {
        let context = of_device(device)?;
        context.check_sound()?;
        out.put(context.handle)?;
        context.retained.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    Init fn cuDevicePrimaryCtxRelease_v2(device: c_int) {
        let context = of_device(device)?;
        let fewer = |retained: u32| retained.checked_sub(1);
        match context.retained.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fewer) {
            Err(_) => Err(Code::INVALID_CONTEXT),
            Ok(1) => {
                context.end();
                Ok(())
            }
            Ok(_) => Ok(()),
        }
    }

    Init fn cuDevicePrimaryCtxGetState(device: c_int, flags: Out<c_uint>, active: Out<c_int>) {
        let context = of_device(device)?;
        flags.put(context.flags.load(Ordering::Relaxed))?;
        active.put(c_int::from(context.is_active()))
    }

    Init fn cuDevicePrimaryCtxSetFlags_v2(device: c_int, flags: c_uint) {
        of_device(device)?.flags.store(flags, Ordering::Relaxed);
        Ok(())
    }

    Init fn cuCtxGetCurrent(out: Out<u64>) {
        out.put(current_handle())
    }

    Init fn cuCtxSetCurrent(handle: u64) {
        if handle != 0 {
            by_handle(handle)?;
        }
        with_stack(|stack| {
            stack.pop();
            stack.push(handle);
        });
        Ok(())
    }

    Init fn cuCtxPushCurrent_v2(handle: u64) {
        by_handle(handle)?;
        with_stack(|stack| stack.push(handle));
        Ok(())
    }

    Init fn cuCtxPopCurrent_v2(out: Out<u64>) {
        let popped = with_stack(Stack::pop).filter(|handle| *handle != 0);
        out.put_if_wanted(popped.ok_or(Code::INVALID_CONTEXT)?);
        Ok(())
    }

    Init fn cuCtxGetDevice(device: Out<c_int>) {
        device.put(c_int::try_from(current()?.ordinal).unwrap_or_default())
    }

    Context fn cuCtxGetFlags(flags: Out<c_uint>) {
        flags.put(current()?.flags.load(Ordering::Relaxed))
    }

    Init fn cuCtxGetId(handle: u64, id: Out<u64>) {
        let context = if handle == 0 { current()? } else { by_handle(handle)? };
        id.put((context.generation() << 8) + context.ordinal as u64 + 1)
    }

    Init fn cuCtxGetApiVersion(handle: u64, version: Out<c_uint>) {
        if handle != 0 {
            by_handle(handle)?;
        }
        version.put(3020)
    }

    Context fn cuCtxGetStreamPriorityRange(least: Out<c_int>, greatest: Out<c_int>) {
        least.put_if_wanted(0);
        greatest.put_if_wanted(-5);
        Ok(())
    }

    Context fn cuCtxSynchronize() {
        let context = current()?;
        capture::refuse_in(&context)?;
        context.wait_for_everything();
        context.check_sound()
    }

    Context fn cuCtxEnablePeerAccess(peer: u64, flags: c_uint) {
        let (context, peer) = (current()?, by_handle(peer)?);
        if flags != 0 {
            return Err(Code::INVALID_VALUE);
        }
        if !devices::can_reach(context.card, peer.card) {
            return Err(if context.card == peer.card { Code::INVALID_DEVICE } else { Code::PEER_ACCESS_UNSUPPORTED });
        }
        let was = context.peers.get(peer.card).is_some_and(|known| known.swap(true, Ordering::Relaxed));
        if was { Err(Code::PEER_ACCESS_ALREADY_ENABLED) } else { Ok(()) }
    }

    Context fn cuCtxDisablePeerAccess(peer: u64) {
        let (context, peer) = (current()?, by_handle(peer)?);
        let was = context.peers.get(peer.card).is_some_and(|known| known.swap(false, Ordering::Relaxed));
        if was { Ok(()) } else { Err(Code::PEER_ACCESS_NOT_ENABLED) }
    }
}

/// The calling thread.
pub fn this_thread() -> ThreadId {
    thread::current().id()
}
