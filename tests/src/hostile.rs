// SPDX-License-Identifier: MIT OR Apache-2.0
//! A producer that answers whatever a test makes up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;

use uncopy::ShareHandle;
use uncopy::os::{
    Connection, EventFd, Interest, Listener, LockOutcome, NameLock, Poller, Received, RuntimeDir,
    SharedMemory, SlotMemory,
};

use crate::wire::{self, Welcome};

/// Serves a socket under a link's name on a thread of its own, until it is dropped.
pub struct Server {
    stop: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
    /// Without it the socket would be a leftover for anyone to remove.
    _lock: NameLock,
}

const STOP: u64 = 0;
const KNOCK: u64 = 1;

impl Server {
    /// Calls `answer` with every message that comes, and the connection it came on.
    ///
    /// # Panics
    /// When the socket can't be bound.
    #[must_use]
    pub fn start(
        dir: &RuntimeDir,
        name: &str,
        mut answer: impl FnMut(&Connection, &[u8]) + Send + 'static,
    ) -> Self {
        let LockOutcome::Locked(lock) = dir.lock(&format!("{name}.lock")).expect("our own directory") else {
            panic!("'{name}' is taken")
        };
        let listener = Listener::bind(dir, &format!("{name}.sock")).expect("a free name");
        let stop = Arc::new(EventFd::new().expect("an eventfd"));
        let stopped = Arc::clone(&stop);
        let poller = Poller::new().expect("an epoll");
        poller.add(&*stop, STOP, Interest::READ).expect("it can be polled");
        poller.add(&listener, KNOCK, Interest::READ).expect("it can be polled");
        let thread = std::thread::spawn(move || {
            let mut guests: BTreeMap<u64, Connection> = BTreeMap::new();
            let mut last = KNOCK;
            let mut events = Vec::new();
            loop {
                poller.wait(&mut events, None).expect("an epoll can be waited for");
                for event in &events {
                    if event.token == STOP {
                        stopped.drain();
                        return;
                    }
                    if event.token == KNOCK {
                        while let Ok(Some(connection)) = listener.accept() {
                            last += 1;
                            poller.add(&connection, last, Interest::READ).expect("it can be polled");
                            guests.insert(last, connection);
                        }
                    } else if guests.get(&event.token).is_some_and(|guest| !hear(guest, &mut answer)) {
                        guests.remove(&event.token);
                    }
                }
            }
        });
        Self { stop, thread: Some(thread), _lock: lock }
    }
}

/// Reads what a guest has sent; `false` when it has gone.
fn hear(guest: &Connection, answer: &mut impl FnMut(&Connection, &[u8])) -> bool {
    let mut buffer = [0; 1024];
    loop {
        match guest.recv(&mut buffer) {
            Ok(Received::Message { len, .. }) => answer(guest, &buffer[..len]),
            Ok(Received::WouldBlock) => return true,
            Ok(Received::Closed) | Err(_) => return false,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.ring();
        let ended = self.thread.take().map(JoinHandle::join);
        assert!(std::thread::panicking() || matches!(ended, Some(Ok(()))), "the hostile producer panicked");
    }
}

/// What a correct producer has at hand for a link with frames of one page; a test changes what it likes.
pub struct Props {
    /// The control memory.
    pub control: SharedMemory,
    /// The frame memory.
    pub frames: Arc<SlotMemory>,
    /// The answer to a consumer.
    pub welcome: Welcome,
}

/// Slots of [`Props`].
pub const SLOTS: usize = 4;
/// Bytes of a slot of [`Props`].
pub const STRIDE: usize = 8192;

impl Props {
    /// For a link called `name`.
    ///
    /// # Panics
    /// When there is no memory.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let frames = SlotMemory::create("uncopy-test-slots", SLOTS, STRIDE).expect("a few pages");
        let welcome = Welcome {
            place: 0,
            slots: SLOTS as u32,
            control_len: wire::control_len(SLOTS) as u64,
            stride: STRIDE as u64,
            frames_len: frames.len_bytes() as u64,
            epoch: 1,
        };
        Self { control: wire::control(name, SLOTS), frames, welcome }
    }

    /// Handles for a WELCOME to a consumer.
    ///
    /// # Panics
    /// When there is no descriptor left.
    #[must_use]
    pub fn handles(&self) -> [ShareHandle; 2] {
        [self.control.share().expect("a descriptor"), self.frames.share().expect("a descriptor")]
    }

    /// Answers a greeting as a correct producer would.
    pub fn greet(&self, guest: &Connection) {
        let [control, frames] = self.handles();
        // A guest that has gone needs no answer.
        let _ = guest.send(&self.welcome.encode(), &[&control, &frames]);
    }
}
