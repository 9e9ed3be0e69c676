// SPDX-License-Identifier: MIT OR Apache-2.0
//! One quiet thread per process that answers sockets and notices deaths, for every link of the process.
//!
//! It starts with the first registration and ends with the last. It runs no user's code but the wakers of streams,
//! has all signals blocked, and is not used across `fork`: a child that opens a link gets a thread of its own.

use std::collections::HashMap;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU32};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

use uncopy_os::{
    Event, EventFd, ForkLock, Interest, OsError, Pollable, Poller, fork_generation, spawn_quiet,
};

/// What is called on the service thread when something that was registered is ready.
pub(crate) trait Handler: Send + Sync {
    /// `key` is the one given at registration. Must not block.
    fn ready(&self, key: u64);
}

struct Service {
    generation: u32,
    poller: Poller,
    wake: EventFd,
    entries: Mutex<Entries>,
}

/// What is asked again and again until it says that it is done. It must not block, and drops what it holds when told
/// to go.
type Task = Box<dyn FnMut() -> bool + Send>;

/// Between two times that tasks are asked: at first, and at the most, when none was done for long.
const ASK_TASKS_EVERY: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(16));
/// The same for those that are asked now and then, all in one round.
const ASK_RARELY_EVERY: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Entries {
    next_token: u64,
    handlers: HashMap<u64, (Arc<dyn Handler>, u64)>,
    tasks: Vec<Task>,
    /// Those that are asked now and then.
    rare_tasks: Vec<Task>,
    ended: bool,
}

/// One of the lists of tasks.
type List = fn(&mut Entries) -> &mut Vec<Task>;

const TASKS: List = |entries| &mut entries.tasks;
const RARE_TASKS: List = |entries| &mut entries.rare_tasks;

const WAKE_TOKEN: u64 = 0;

/// Starts anew in a forked child, also when another thread of the parent held it at that moment.
static CURRENT: ForkLock<Option<Arc<Service>>> = ForkLock::new();

/// A lock whose holder panicked still guards consistent data here: each critical section is one insertion or removal.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Something that the kernel can report as ready, shared between threads.
pub(crate) trait Watched: Pollable + Send + Sync {}

impl<T: Pollable + Send + Sync> Watched for T {}

/// Service threads that are calling somebody.
static AT_WORK: AtomicU32 = AtomicU32::new(0);
/// The process ends: nobody is to be called any more.
static RESTS: AtomicBool = AtomicBool::new(false);
/// The process that asked for rest at its end.
static RESTS_IN: AtomicU32 = AtomicU32::new(0);

/// Keeps service threads from calling anybody from now on: libraries are about to be torn down, and a driver that is
/// called then ends the process by a signal.
extern "C" fn rest() {
    if RESTS_IN.load(Relaxed) != fork_generation() {
        // A forked child: what its parent's thread did then, it does not do here.
        return;
    }
    // pairs with: work. Either we see that a thread is at work, or it sees that it is to rest.
    RESTS.store(true, SeqCst);
    wait_for_work();
}

/// What waits for a device stays for good.
static KEEPS: AtomicBool = AtomicBool::new(false);

/// For a binding whose interpreter is about to end: from now on nothing that a device may still read or write is handed
/// back on the service thread. Its owner may be an object of the interpreter, which ends a thread that comes too late by
/// unwinding it, through frames that can't be unwound. Waits for what the thread is just doing, at most 200 ms.
#[doc(hidden)]
pub fn keep_what_devices_use() {
    // pairs with: ask_tasks.
    KEEPS.store(true, SeqCst);
    wait_for_work();
}

/// What a service thread is doing now ends within microseconds. It does not end when who waits for it here holds what
/// the thread waits for, and the end of a process must not wait for that.
fn wait_for_work() {
    const PATIENCE: Duration = Duration::from_millis(200);
    let begun = Instant::now();
    while AT_WORK.load(SeqCst) > 0 && begun.elapsed() < PATIENCE {
        std::thread::yield_now();
    }
}

/// Calls `work` on a service thread, unless the process is at its end; then the thread stays here.
fn work(work: impl FnOnce()) {
    AT_WORK.fetch_add(1, SeqCst);
    if RESTS.load(SeqCst) {
        AT_WORK.fetch_sub(1, SeqCst);
        loop {
            std::thread::park();
        }
    }
    work();
    AT_WORK.fetch_sub(1, SeqCst);
}

/// Registers [`rest`], once. After the libraries that a handler may call were loaded, so that it comes before theirs.
fn rest_at_exit() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        RESTS_IN.store(fork_generation(), Relaxed);
        if !uncopy_os::at_exit(rest) {
            tracing::debug!("no handler for the end of the process");
        }
    });
}

/// Keeps a registration alive; dropping it ends the calls (one that is running may still finish).
pub(crate) struct Registration {
    service: Arc<Service>,
    token: u64,
    /// What was watched, kept open for as long as the kernel may report it.
    watched: Arc<dyn Watched>,
}

/// Calls `handler.ready(key)` on the service thread whenever `watched` can be read or hangs up.
pub(crate) fn watch(
    watched: Arc<dyn Watched>,
    handler: Arc<dyn Handler>,
    key: u64,
) -> Result<Registration, OsError> {
    register(watched, handler, key, Interest::READ)
}

/// Like [`watch`], for one call, and one more after each [`Registration::watch_again`].
#[cfg(feature = "futures")]
pub(crate) fn watch_once(
    watched: Arc<dyn Watched>,
    handler: Arc<dyn Handler>,
    key: u64,
) -> Result<Registration, OsError> {
    register(watched, handler, key, Interest::READ_ONCE)
}

fn register(
    watched: Arc<dyn Watched>,
    handler: Arc<dyn Handler>,
    key: u64,
    interest: Interest,
) -> Result<Registration, OsError> {
    let mut current = CURRENT.lock();
    let running = current.as_ref().filter(|service| service.generation == fork_generation());
    let joined = running.and_then(|service| Some((Arc::clone(service), service.insert(&handler, key)?)));
    let (service, token) = match joined {
        Some(joined) => joined,
        None => {
            let token = WAKE_TOKEN + 1;
            let handlers = HashMap::from([(token, (handler, key))]);
            let entries = Entries { next_token: token, handlers, ..Entries::default() };
            let service = Service::start(entries).map_err(|refused| refused.0)?;
            *current = Some(Arc::clone(&service));
            (service, token)
        }
    };
    drop(current);
    let registration = Registration { service, token, watched };
    registration.service.poller.add(&*registration.watched, token, interest)?;
    Ok(registration)
}

/// Asks `task` on the service thread, every millisecond, until it answers that it is done: for what a device will
/// have done some time, of which nothing tells. Where there can be no thread, the task is leaked: what it keeps alive
/// stays, which is safe.
pub(crate) fn ask_until_done(task: impl FnMut() -> bool + Send + 'static) {
    let mut task: Task = Box::new(task);
    if !task() {
        add_task(task, TASKS);
    }
}

/// Asks `task` on the service thread about once a second, until it answers that it is done: for what happens hardly
/// ever. Where there can be no thread, nobody asks it.
pub(crate) fn ask_now_and_then(task: impl FnMut() -> bool + Send + 'static) {
    add_task(Box::new(task), RARE_TASKS);
}

fn add_task(mut task: Task, list: List) {
    rest_at_exit();
    let mut current = CURRENT.lock();
    let running = current.as_ref().filter(|service| service.generation == fork_generation());
    if let Some(service) = running {
        match service.insert_task(task, list) {
            None => return,
            Some(refused) => task = refused,
        }
    }
    let mut entries = Entries::default();
    list(&mut entries).push(task);
    match Service::start(entries) {
        Ok(service) => *current = Some(service),
        Err(refused) => {
            let (error, entries) = *refused;
            tracing::warn!(%error, "nothing can look after devices: memory is kept, and losses are found late");
            std::mem::forget(entries);
        }
    }
}

#[cfg(feature = "futures")]
impl Registration {
    /// Asks for one more call, which comes at once if there is something to read already.
    pub(crate) fn watch_again(&self) -> Result<(), OsError> {
        self.service.poller.modify(&*self.watched, self.token, Interest::READ_ONCE)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        if self.service.generation != fork_generation() {
            // The poller is the parent's: removing an entry here would remove the parent's.
            return;
        }
        // Failing to remove means that the kernel has forgotten it already.
        let _ = self.service.poller.remove(&*self.watched);
        let (gone, ended) = {
            let mut entries = lock(&self.service.entries);
            let gone = entries.handlers.remove(&self.token);
            entries.ended = entries.are_all_gone();
            if entries.ended {
                self.service.wake.ring();
            }
            (gone, entries.ended)
        };
        // Outside the lock: a handler's own drop may end other registrations.
        drop(gone);
        if ended {
            // Nobody joins a service that has ended; its descriptors go with its thread.
            CURRENT.lock().take_if(|current| Arc::ptr_eq(current, &self.service));
        }
    }
}

impl Entries {
    fn are_all_gone(&self) -> bool {
        self.handlers.is_empty() && self.tasks.is_empty() && self.rare_tasks.is_empty()
    }
}

impl Service {
    /// Starts a service with its first entries; gives them back where it can't.
    fn start(entries: Entries) -> Result<Arc<Self>, Box<(OsError, Entries)>> {
        let made = || -> Result<Arc<Self>, OsError> {
            let service = Arc::new(Self {
                generation: fork_generation(),
                poller: Poller::new()?,
                wake: EventFd::new()?,
                entries: Mutex::default(),
            });
            service.poller.add(&service.wake, WAKE_TOKEN, Interest::READ)?;
            Ok(service)
        };
        let service = match made() {
            Ok(service) => service,
            Err(error) => return Err(Box::new((error, entries))),
        };
        *lock(&service.entries) = entries;
        let running = Arc::clone(&service);
        match spawn_quiet("uncopy-service", move || running.run()) {
            Ok(_) => Ok(service),
            Err(error) => {
                let entries = std::mem::take(&mut *lock(&service.entries));
                Err(Box::new((error, entries)))
            }
        }
    }

    /// Adds a task; gives it back when the thread has ended or is about to.
    fn insert_task(&self, task: Task, list: List) -> Option<Task> {
        let mut entries = lock(&self.entries);
        if entries.ended {
            return Some(task);
        }
        list(&mut entries).push(task);
        // It may sleep without limit.
        self.wake.ring();
        None
    }

    fn answer(&self, event: &Event) {
        if event.token == WAKE_TOKEN {
            self.wake.drain();
            return;
        }
        let handler = lock(&self.entries).handlers.get(&event.token).cloned();
        if let Some((handler, key)) = handler {
            handler.ready(key);
        }
    }

    /// Asks every task of a list once.
    fn ask_tasks(&self, list: List) {
        let mut tasks = std::mem::take(list(&mut lock(&self.entries)));
        if tasks.is_empty() {
            return;
        }
        if KEEPS.load(SeqCst) {
            std::mem::forget(std::mem::take(&mut tasks));
        }
        // Outside the lock: what a task drops may end registrations, or add tasks.
        tasks.retain_mut(|task| !task());
        let mut entries = lock(&self.entries);
        list(&mut entries).append(&mut tasks);
        entries.ended = entries.are_all_gone();
        let ended = entries.ended;
        drop(entries);
        if ended {
            CURRENT.lock().take_if(|current| std::ptr::eq(Arc::as_ptr(current), self));
        }
    }

    /// Adds a handler; `None` when the thread has ended or is about to.
    fn insert(&self, handler: &Arc<dyn Handler>, key: u64) -> Option<u64> {
        let mut entries = lock(&self.entries);
        if entries.ended {
            return None;
        }
        entries.next_token += 1;
        let token = entries.next_token;
        entries.handlers.insert(token, (Arc::clone(handler), key));
        Some(token)
    }

    fn run(&self) {
        // Whatever ends this thread, a panic in a handler included, nobody may go on counting on it.
        let _ended = EndsWith(self);
        let mut events: Vec<Event> = Vec::new();
        let mut pause = ASK_TASKS_EVERY.0;
        let mut tasks_before = 0;
        // When those are asked that are asked now and then; none while there are none.
        let mut rare_due: Option<Instant> = None;
        while !lock(&self.entries).ended {
            let (tasks, rare_tasks) = {
                let entries = lock(&self.entries);
                (entries.tasks.len(), entries.rare_tasks.len())
            };
            rare_due = match rare_tasks {
                0 => None,
                _ => rare_due.or_else(|| Instant::now().checked_add(ASK_RARELY_EVERY)),
            };
            pause = match tasks == tasks_before {
                true => (pause + pause / 16).min(ASK_TASKS_EVERY.1),
                false => ASK_TASKS_EVERY.0,
            };
            tasks_before = tasks;
            let until_rare = rare_due.map(|due| due.saturating_duration_since(Instant::now()));
            let timeout = [(tasks > 0).then_some(pause), until_rare].into_iter().flatten().min();
            if let Err(error) = self.poller.wait(&mut events, timeout) {
                // Without its poller a service can notice nothing more; peers see the hang-up when the links close.
                tracing::error!(%error, "the service thread of uncopy stops");
                return;
            }
            work(|| {
                events.iter().for_each(|event| self.answer(event));
                self.ask_tasks(TASKS);
                if rare_due.take_if(|due| *due <= Instant::now()).is_some() {
                    self.ask_tasks(RARE_TASKS);
                }
            });
        }
    }
}

/// Marks a service as ended when its thread ends.
struct EndsWith<'a>(&'a Service);

impl Drop for EndsWith<'_> {
    fn drop(&mut self) {
        let mut entries = lock(&self.0.entries);
        entries.ended = true;
        // There are none unless this thread ends before its time: what they keep must not go while it is in use.
        std::mem::forget(std::mem::take(&mut entries.tasks));
        std::mem::forget(std::mem::take(&mut entries.rare_tasks));
    }
}
