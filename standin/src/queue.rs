// SPDX-License-Identifier: MIT OR Apache-2.0
//! A stream's work: put in by callers, done by a thread of its own, as late as the settings say.
//!
//! *Why late?* A forgotten wait shows only when what should have been waited for comes too late. Lag
//! (`UNCOPY_STANDIN_LAG_US`) delays each piece of work after its call. Laziness (`UNCOPY_STANDIN_LAZY_US`) does it
//! only when somebody waits for it or asks about it, or some time after work was put in that others can see
//! without asking: a word that is written, a function of the host, an event that other processes know.

use crate::{contexts::Context, lock::lock, settings::settings, streams, sys};
use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Condvar, Mutex, PoisonError, Weak},
    thread,
    time::{Duration, Instant},
};

/// What a piece of work does; it is told the stream that it runs in.
pub type Act = Box<dyn FnOnce(&Queue) + Send>;

/// A piece of work.
pub struct Work {
    /// What must be done before.
    pub after: Vec<Ticket>,
    /// Whether others can see that it is done without asking this process.
    pub is_seen_outside: bool,
    pub act: Act,
}

impl Work {
    /// Work that nobody sees unless he asks.
    pub fn of(act: impl FnOnce(&Queue) + Send + 'static) -> Work {
        Work { after: Vec::new(), is_seen_outside: false, act: Box::new(act) }
    }

    /// Work that others see.
    pub fn seen(act: impl FnOnce(&Queue) + Send + 'static) -> Work {
        Work { is_seen_outside: true, ..Work::of(act) }
    }

    /// Work that does nothing but wait.
    pub fn waiting(after: Vec<Ticket>) -> Work {
        Work { after, ..Work::of(|_| ()) }
    }
}

/// A piece of work that was put into a stream.
#[derive(Clone)]
pub struct Ticket {
    stream: Arc<Queue>,
    number: u64,
}

impl Ticket {
    /// Waits until it is done. Asking makes a lazy stream work.
    pub fn wait(&self) {
        let mut state = lock(&self.stream.state);
        state.wanted = state.wanted.max(self.number);
        self.stream.changed.notify_all();
        while state.done < self.number && !state.is_abandoned {
            state = self.stream.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Whether it is done. Asking makes a lazy stream work.
    pub fn is_done(&self) -> bool {
        let mut state = lock(&self.stream.state);
        if state.done >= self.number || state.is_abandoned {
            return true;
        }
        state.wanted = state.wanted.max(self.number);
        self.stream.changed.notify_all();
        false
    }
}

/// Whether all of them are done; each is asked.
pub fn are_done(tickets: &[Ticket]) -> bool {
    tickets.iter().filter(|ticket| !ticket.is_done()).count() == 0
}

#[derive(Default)]
struct State {
    works: VecDeque<(Instant, Work)>,
    /// How many pieces were put in, and are done.
    put: u64,
    done: u64,
    /// Up to which piece somebody has asked.
    wanted: u64,
    has_thread: bool,
    is_closed: bool,
    is_abandoned: bool,
}

/// A stream.
pub struct Queue {
    pub handle: u64,
    /// By order of creation, from 0; default streams count when they are first used.
    pub number: usize,
    pub context: Weak<Context>,
    /// Ordered with the legacy default stream.
    pub is_blocking: bool,
    pub priority: i32,
    lag: Duration,
    state: Mutex<State>,
    changed: Condvar,
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stream {:#x} (number {} by creation)", self.handle, self.number)
    }
}

impl Queue {
    /// A stream without work.
    pub fn new(handle: u64, context: &Arc<Context>, is_blocking: bool, priority: i32) -> Arc<Queue> {
        let number = streams::next_number();
        let lags = &settings().lags;
        let lag = lags.iter().cycle().nth(number % lags.len().max(1)).copied().unwrap_or_default();
        let context = Arc::downgrade(context);
        let (state, changed) = (Mutex::default(), Condvar::new());
        Arc::new(Queue { handle, number, context, is_blocking, priority, lag, state, changed })
    }

    /// Puts work in, behind all that is there.
    pub fn put(self: &Arc<Self>, work: Work) -> Ticket {
        let mut state = lock(&self.state);
        state.put += 1;
        state.works.push_back((Instant::now(), work));
        if !state.has_thread {
            state.has_thread = true;
            let stream = Arc::clone(self);
            let named = thread::Builder::new().name(format!("stand-in {}", self.number));
            if let Err(error) = named.spawn(move || stream.run()) {
                crate::settings::refuse(&format!("no thread for a stream: {error}"));
            }
        }
        self.changed.notify_all();
        Ticket { stream: Arc::clone(self), number: state.put }
    }

    /// The last piece that was put in.
    pub fn last(self: &Arc<Self>) -> Ticket {
        Ticket { stream: Arc::clone(self), number: lock(&self.state).put }
    }

    /// Lets the work be done, after which the stream ends.
    pub fn close(&self) {
        lock(&self.state).is_closed = true;
        self.changed.notify_all();
    }

    /// Drops the work: the context is gone.
    pub fn abandon(&self) {
        let mut state = lock(&self.state);
        state.is_abandoned = true;
        state.works.clear();
        self.changed.notify_all();
    }

    /// Whether work that waits must stop.
    pub fn is_abandoned(&self) -> bool {
        lock(&self.state).is_abandoned
    }

    fn run(self: Arc<Self>) {
        // A signal is the program's own business: no thread of ours may take it from one that sleeps for it.
        sys::block_all_signals();
        while let Some(work) = self.next() {
            work.after.iter().for_each(Ticket::wait);
            // A broken context does no work any more.
            let is_sound = self.context.upgrade().is_some_and(|context| context.check_sound().is_ok());
            if is_sound && !self.is_abandoned() {
                (work.act)(&self);
            }
            lock(&self.state).done += 1;
            self.changed.notify_all();
        }
    }

    /// The next piece, when it is time for it; None when there will be none.
    fn next(&self) -> Option<Work> {
        let mut state = lock(&self.state);
        loop {
            if state.is_abandoned || (state.is_closed && state.works.is_empty()) {
                return None;
            }
            let now = Instant::now();
            state = match self.due(&state) {
                Some(due) if due <= now => return state.works.pop_front().map(|(_, work)| work),
                Some(due) => {
                    self.changed.wait_timeout(state, due - now).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    /// When the first piece is to be done; None while there is none, or none that anybody can miss.
    fn due(&self, state: &State) -> Option<Instant> {
        let (put_at, _) = state.works.front()?;
        let due = *put_at + self.lag;
        let Some(patience) = settings().lazy else { return Some(due) };
        if state.wanted > state.done {
            return Some(due);
        }
        let seen = state.works.iter().find(|(_, work)| work.is_seen_outside);
        seen.map(|(seen_at, _)| due.max(*seen_at + patience))
    }
}
