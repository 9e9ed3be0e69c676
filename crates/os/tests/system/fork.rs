// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a forked child keeps, and what it must not.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use uncopy_core::ErrorKind;
use uncopy_os::fork::MAX_GUARDED;
use uncopy_os::{
    CloseInChild, Connection, EventFd, ForkLock, Listener, LockOutcome, NameLock, OsError, Received,
    RuntimeDir, SharedMemory, fork_generation,
};

use crate::support::{self, Child, Role, Scratch};

pub const ROLES: &[Role] = &[
    ("fork::holds_and_forks", holds_and_forks),
    ("fork::forks_without_descriptors", forks_without_descriptors),
    ("fork::goes_on_after_its_child", goes_on_after_its_child),
    ("fork::forks_while_threads_connect", forks_while_threads_connect),
    ("fork::guards_too_many", guards_too_many),
    ("fork::forks_while_threads_hold_a_lock", forks_while_threads_hold_a_lock),
    ("fork::forks_while_it_holds_a_lock", forks_while_it_holds_a_lock),
    ("fork::forks_while_another_thread_is_the_first", forks_while_another_thread_is_the_first),
];

/// What a producer holds.
struct Producer {
    lock: NameLock,
    listener: Listener,
    connection: Connection,
}

impl Producer {
    fn new(dir: &RuntimeDir) -> Producer {
        let LockOutcome::Locked(lock) = dir.lock("name.lock").unwrap() else { panic!("free") };
        lock.write_note("the parent").unwrap();
        let listener = Listener::bind(dir, "name.sock").unwrap();
        let connection = Connection::connect(dir, "peer.sock").unwrap();
        Producer { lock, listener, connection }
    }
}

fn holds_and_forks() {
    let dir = RuntimeDir::open_at(support::argument()).unwrap();
    let producer = Producer::new(&dir);
    support::fork_and_play(|| {
        support::tell(std::process::id());
        support::hear();
    });
    let _ = producer.connection.send(b"from the parent", &[]).unwrap();
    std::thread::park(); // until killed
}

/// The parent dies, its child lives on: the name is free, and the peer sees the hang-up.
fn a_living_child_hides_nothing(role: &str) {
    let scratch = Scratch::new();
    let dir = scratch.runtime_dir();
    let peer = Listener::bind(&dir, "peer.sock").unwrap();
    let mut parent = Child::start(role, dir.path());
    let connection = support::accept(&peer);
    let grandchild: i32 = parent.hear().parse().unwrap();
    connection.wait_readable(None).unwrap();
    assert!(matches!(connection.recv(&mut [0; 64]).unwrap(), Received::Message { .. }));
    assert!(matches!(dir.lock("name.lock").unwrap(), LockOutcome::Held { .. }), "the parent lives");

    parent.process.kill().unwrap();
    parent.process.wait().unwrap();
    let grandchild = uncopy_os::ProcessId::of(grandchild).expect("the forked child lives on");
    connection.wait_readable(None).unwrap();
    assert!(matches!(connection.recv(&mut [0; 64]).unwrap(), Received::Closed));
    assert!(matches!(dir.lock("name.lock").unwrap(), LockOutcome::Locked(_)));
    let error = Connection::connect(&dir, "name.sock").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
    assert!(grandchild.is_alive());
}

// F45
#[test]
fn a_forked_child_keeps_neither_the_name_nor_the_connection_of_its_dead_parent() {
    a_living_child_hides_nothing("fork::holds_and_forks");
}

fn forks_without_descriptors() {
    let dir = RuntimeDir::open_at(support::argument()).unwrap();
    let producer = Producer::new(&dir);
    let highest = EventFd::new().unwrap();
    let number = rustix::fd::AsRawFd::as_raw_fd(&rustix::fd::AsFd::as_fd(&highest)).unsigned_abs();
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: Some(u64::from(number) + 1), maximum }).unwrap();
    let _all: Vec<_> = std::iter::from_fn(|| EventFd::new().ok()).collect();
    support::fork_and_play(|| {
        assert!(matches!(producer.connection.send(b"x", &[]).unwrap_err(), OsError::Forked));
        support::tell(std::process::id());
        support::hear();
    });
    let _ = producer.connection.send(b"from the parent", &[]).unwrap();
    std::thread::park(); // until killed
}

// F45
#[test]
fn that_holds_also_when_no_descriptor_is_left_at_the_fork() {
    a_living_child_hides_nothing("fork::forks_without_descriptors");
}

fn goes_on_after_its_child() {
    let dir = RuntimeDir::open_at(support::argument()).unwrap();
    let mut held = Some(Producer::new(&dir));
    let memory = SharedMemory::create("inherited", 4096).unwrap();
    let generation = fork_generation();
    let before = support::Holdings::now();
    support::collect(support::fork_and_play(|| {
        assert_ne!(fork_generation(), generation);
        let producer = held.take().unwrap(); // from this process's copy
        assert!(matches!(producer.lock.write_note("the child"), Err(OsError::Forked)));
        assert!(matches!(producer.connection.send(b"the child", &[]), Err(OsError::Forked)));
        assert!(matches!(producer.connection.recv(&mut [0; 8]), Err(OsError::Forked)));
        assert!(matches!(producer.connection.peer(), Err(OsError::Forked)));
        assert!(matches!(producer.listener.accept(), Err(OsError::Forked)));
        assert!(matches!(producer.listener.accept_to_refuse(), Err(OsError::Forked)));
        producer.connection.shutdown();
        assert_eq!(OsError::Forked.kind(), ErrorKind::ForkedProcess);
        // New things work, and the drops of the old ones do not take them away.
        let LockOutcome::Locked(lock) = dir.lock("child.lock").unwrap() else { panic!("free") };
        let (here, there) = Connection::pair().unwrap();
        drop(producer);
        support::collect(support::fork_and_play(|| assert_eq!(open_sockets(), 0)));
        let _ = here.send(b"x", &[]).unwrap();
        assert!(matches!(there.recv(&mut [0; 8]).unwrap(), Received::Message { .. }));
        lock.write_note("the child").unwrap();
        lock.unlink().unwrap();
        memory.words().store_bytes(0, b"seen").unwrap();
    }));
    assert_eq!(support::Holdings::now(), before);
    assert_eq!(fork_generation(), generation);
    let producer = held.take().unwrap();
    let LockOutcome::Held { holder } = dir.lock("name.lock").unwrap() else { panic!("still ours") };
    assert_eq!(holder.as_deref(), Some("the parent"));
    Connection::connect(&dir, "name.sock").unwrap();
    assert!(producer.listener.accept().unwrap().is_some());
    producer.lock.write_note("still the parent").unwrap();
    let _ = producer.connection.send(b"still here", &[]).unwrap();
    let mut seen = [0; 4];
    memory.words().load_bytes(0, &mut seen).unwrap();
    assert_eq!(&seen, b"seen");
}

// F45
#[test]
fn a_forked_child_is_told_so_on_first_use_and_its_parent_goes_on() {
    let scratch = Scratch::new();
    let dir = scratch.runtime_dir();
    let peer = Listener::bind(&dir, "peer.sock").unwrap();
    let parent = Child::start("fork::goes_on_after_its_child", dir.path());
    let connection = support::accept(&peer);
    connection.wait_readable(None).unwrap();
    let mut buffer = [0; 64];
    let Received::Message { len, .. } = connection.recv(&mut buffer).unwrap() else {
        panic!("a message comes first")
    };
    assert_eq!(&buffer[..len], b"still here");
    parent.finish();
}

/// Sockets that this process has open; its standard streams are pipes.
fn open_sockets() -> usize {
    let open = fs::read_dir("/proc/self/fd").unwrap();
    let targets = open.filter_map(|entry| fs::read_link(entry.unwrap().path()).ok());
    targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
}

fn forks_while_threads_connect() {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    drop(Connection::pair().unwrap());
                }
            });
        }
        // Also when the test fails, so that the threads end.
        let _end = support::OnDrop(|| is_over.store(true, Ordering::Relaxed));
        for _ in 0..300 {
            support::collect(support::fork_and_play(|| {
                assert_eq!(open_sockets(), 0);
            }));
        }
    });
}

// F45
#[test]
fn no_connection_slips_through_a_fork_while_other_threads_make_and_close_them() {
    Child::start("fork::forks_while_threads_connect", "").finish();
}

fn guards_too_many() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = MAX_GUARDED as u64 + 100;
    if limit.maximum.is_some_and(|maximum| maximum < wanted) {
        return support::tell(format!("no process may open {wanted} files here"));
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum }).unwrap();
    let open = || {
        CloseInChild::make(|| {
            rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).map_err(|_| OsError::Closed)
        })
    };
    let guarded: Vec<_> = (0..MAX_GUARDED).map(|_| open().unwrap()).collect();
    let before = support::Holdings::now();
    let error = open().unwrap_err();
    assert!(matches!(error, OsError::TooManyGuarded { max: MAX_GUARDED }), "{error}");
    assert_eq!(support::Holdings::now(), before);
    drop(guarded);
    open().unwrap();
    support::tell("full");
}

#[test]
fn a_full_table_is_an_error_and_takes_entries_again() {
    let mut child = Child::start("fork::guards_too_many", "");
    match child.hear().as_str() {
        "full" => child.finish(),
        reason => support::skip(reason),
    }
}

#[test]
fn the_generation_of_a_process_does_not_change_by_itself() {
    assert_ne!(fork_generation(), 0);
    assert_eq!(fork_generation(), fork_generation());
}

/// What two fields say is the same whenever nobody is in the middle of changing them.
#[derive(Default)]
struct Twice {
    one: u64,
    parts: Vec<Part>,
}

/// Must not be dropped outside the process that made it.
struct Part {
    generation: u32,
}

impl Part {
    fn new() -> Part {
        Part { generation: fork_generation() }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        assert_eq!(self.generation, fork_generation(), "a child drops nothing of its parent");
    }
}

impl Twice {
    fn add(&mut self) {
        self.one += 1;
        std::thread::yield_now(); // a good moment to fork
        self.parts.push(Part::new());
        if self.one == 100 {
            *self = Twice::default();
        }
    }

    fn check(&self) {
        assert_eq!(self.one, self.parts.len() as u64);
    }
}

fn forks_while_threads_hold_a_lock() {
    static LOCK: ForkLock<Twice> = ForkLock::new();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    let mut held = LOCK.lock();
                    held.check();
                    held.add();
                    held.check();
                }
            });
        }
        let _end = support::OnDrop(|| is_over.store(true, Ordering::Relaxed));
        for _ in 0..300 {
            support::collect(support::fork_and_play(|| {
                assert_eq!(LOCK.lock().one, 0, "a child starts anew");
                LOCK.lock().add();
                support::collect(support::fork_and_play(|| assert_eq!(LOCK.lock().one, 0)));
                assert_eq!(LOCK.lock().one, 1, "and keeps what is its own");
            }));
        }
    });
    LOCK.lock().check();
}

// F45
#[test]
fn a_forked_child_takes_a_lock_that_another_thread_of_its_parent_held() {
    Child::start("fork::forks_while_threads_hold_a_lock", "").finish();
}

/// The first use of all, in another thread, at the moment of the fork.
fn forks_while_another_thread_is_the_first() {
    let (is_ready, is_forking) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            is_ready.store(true, Ordering::SeqCst);
            while !is_forking.load(Ordering::SeqCst) {
                std::hint::spin_loop();
            }
            assert_ne!(fork_generation(), 0);
        });
        while !is_ready.load(Ordering::SeqCst) {
            std::hint::spin_loop();
        }
        is_forking.store(true, Ordering::SeqCst);
        support::collect(support::fork_and_play(|| assert_ne!(fork_generation(), 0)));
    });
}

// F45
#[test]
fn a_child_that_is_forked_at_the_very_first_use_does_not_wait_for_its_parents_thread() {
    // Between two instructions of the other thread, so that it takes many tries to meet.
    for _ in 0..150 {
        Child::start("fork::forks_while_another_thread_is_the_first", "").finish();
    }
}

fn forks_while_it_holds_a_lock() {
    static LOCK: ForkLock<Twice> = ForkLock::new();
    let mut held = Some(LOCK.lock());
    held.as_mut().unwrap().add();
    support::collect(support::fork_and_play(|| {
        let inherited = held.take().unwrap();
        let mut own = LOCK.lock();
        assert_eq!((inherited.one, own.one), (1, 0), "two values");
        drop(inherited);
        let is_waiting = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| {
                is_waiting.store(true, Ordering::Relaxed);
                LOCK.lock().one
            });
            while !is_waiting.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            for _ in 0..1000 {
                std::thread::yield_now();
            }
            own.one = 7;
            drop(own);
            assert_eq!(other.join().unwrap(), 7, "letting go of the parent's hold let nobody in");
        });
    }));
    held.as_mut().unwrap().add();
    drop(held);
    assert_eq!(LOCK.lock().one, 2);
}

#[test]
fn a_hold_taken_along_through_a_fork_is_none_in_the_child() {
    Child::start("fork::forks_while_it_holds_a_lock", "").finish();
}

#[test]
fn a_lock_lets_one_thread_in_at_a_time_and_drops_its_value_with_itself() {
    #[derive(Default)]
    struct Count {
        number: u64,
        held: Option<std::sync::Arc<()>>,
    }
    let lock = ForkLock::<Count>::new();
    let witness = std::sync::Arc::new(());
    lock.lock().held = Some(std::sync::Arc::clone(&witness));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10_000 {
                    let mut held = lock.lock();
                    let number = std::hint::black_box(held.number);
                    held.number = number + 1;
                }
            });
        }
    });
    assert_eq!(lock.lock().number, 40_000);
    drop(lock);
    assert_eq!(std::sync::Arc::strong_count(&witness), 1);
}

#[test]
fn a_lock_whose_first_value_cannot_be_made_is_free_again() {
    struct Fails;
    impl Default for Fails {
        fn default() -> Fails {
            panic!("no value");
        }
    }
    let lock = ForkLock::<Fails>::new();
    for _ in 0..2 {
        std::panic::catch_unwind(|| drop(lock.lock())).unwrap_err();
    }
}
