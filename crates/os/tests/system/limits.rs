// SPDX-License-Identifier: MIT OR Apache-2.0
//! What happens when the system has no more to give: an error with numbers, and nothing half-made.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use uncopy_core::ErrorKind;
use uncopy_os::{
    Connection, DirectoryWatch, EventFd, Listener, LockOutcome, Mapping, OsError, PidFd, Poller, ProcessId,
    Received, RuntimeDir, Sent, SharedMemory, SlotMemory, available_bytes,
};
use uncopy_tensor::Access;

use crate::support::{self, Child, Holdings, Role, Scratch, skip};

pub const ROLES: &[Role] = &[
    ("limits::files_may_not_grow", files_may_not_grow),
    ("limits::address_space_is_short", address_space_is_short),
    ("limits::descriptors_are_used_up", descriptors_are_used_up),
    ("limits::refuses_who_connects", refuses_who_connects),
    ("limits::group_is_small", group_is_small),
    ("limits::signals_keep_coming", signals_keep_coming),
    ("limits::calls_fail_in_turn", calls_fail_in_turn),
];

const MIB: usize = 1 << 20;

fn limit_softly(resource: Resource, current: u64) {
    let maximum = getrlimit(resource).maximum;
    setrlimit(resource, Rlimit { current: Some(current), maximum }).unwrap();
}

// F33
#[test]
fn more_memory_than_there_is_is_refused_with_numbers_before_anything_is_taken() {
    let need = 1 << 50;
    let error = SharedMemory::create("too much", need).unwrap_err();
    let OsError::OutOfMemory { need_bytes, free_bytes, limit } = &error else { panic!("{error}") };
    assert_eq!(*need_bytes, need as u64);
    assert!(*free_bytes > 0 && *free_bytes < *need_bytes);
    assert!(error.to_string().contains(*limit), "{error}");
    assert_eq!(error.kind(), ErrorKind::OutOfMemory);
}

#[test]
fn what_is_available_has_a_number_and_a_name() {
    let available = available_bytes().unwrap();
    assert!(available.free_bytes > 0 && available.free_bytes < u64::MAX, "{available:?}");
    assert!(
        available.limit == "MemAvailable" || available.limit.starts_with("cgroup memory."),
        "{available:?}"
    );
}

fn files_may_not_grow() {
    limit_softly(Resource::Fsize, MIB as u64);
    let before = Holdings::now();
    let error = SharedMemory::create("grow", 2 * MIB).unwrap_err();
    let is_it = matches!(error, OsError::OutOfMemory { free_bytes, limit: "RLIMIT_FSIZE (ulimit -f)", .. } if free_bytes == MIB as u64);
    assert!(is_it, "{error}");
    assert_eq!(Holdings::now(), before);
    SharedMemory::create("grow", MIB).unwrap();
}

#[test]
fn a_file_size_limit_is_an_error_and_not_a_deadly_signal() {
    Child::start("limits::files_may_not_grow", "").finish();
}

fn address_space_is_short() {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = statm.split(' ').next().unwrap().parse().unwrap();
    limit_softly(Resource::As, pages * 4096 + 64 * MIB as u64);
    let before = Holdings::now();
    let error = SharedMemory::create("map", 128 * MIB).unwrap_err();
    assert!(matches!(error, OsError::OutOfMemory { limit: "RLIMIT_AS (ulimit -v)", .. }), "{error}");
    assert_eq!(Holdings::now(), before);
}

// F34
#[test]
fn a_limit_on_address_space_is_named() {
    Child::start("limits::address_space_is_short", "").finish();
}

/// Something that is tried, and may fail.
type Act<'a> = Box<dyn Fn() -> Result<(), OsError> + Send + Sync + 'a>;

/// A system call's name and number.
type Call = (&'static str, i64);

/// Everything that needs a descriptor, each with its name. Peers and memory exist already.
fn all_that_opens<'a>(dir: &'a RuntimeDir, memory: &'a SharedMemory) -> Vec<(&'static str, Act<'a>)> {
    let me = ProcessId::current().pid;
    vec![
        ("memory", Box::new(|| SharedMemory::create("x", 4096).map(drop))),
        ("slots", Box::new(|| SlotMemory::create("x", 1, 4096).map(drop))),
        ("handle", Box::new(|| memory.share().map(drop))),
        ("listener", Box::new(|| Listener::bind(dir, "other.sock").map(drop))),
        ("connection", Box::new(|| Connection::connect(dir, "here.sock").map(drop))),
        ("pair", Box::new(|| Connection::pair().map(drop))),
        ("lock", Box::new(|| dir.lock("name.lock").map(drop))),
        ("entries", Box::new(|| dir.entries().map(drop))),
        ("directory", Box::new(|| RuntimeDir::open_at(dir.path()).map(drop))),
        ("poller", Box::new(|| Poller::new().map(drop))),
        ("doorbell", Box::new(|| EventFd::new().map(drop))),
        ("watch", Box::new(|| DirectoryWatch::new(dir).map(drop))),
        ("process", Box::new(move || PidFd::open(me).map(drop))),
    ]
}

fn descriptors_are_used_up() {
    let dir = RuntimeDir::open_at(support::argument()).unwrap();
    let _listener = Listener::bind(&dir, "here.sock").unwrap();
    let memory = SharedMemory::create("x", 4096).unwrap();
    for (what, open) in all_that_opens(&dir, &memory) {
        open().unwrap_or_else(|error| panic!("{what} opens while there is room: {error}"));
    }
    let highest = memory.share().unwrap();
    let (number, files) =
        (rustix::fd::AsRawFd::as_raw_fd(&rustix::fd::AsFd::as_fd(&highest)), dir.entries().unwrap());
    limit_softly(Resource::Nofile, u64::from(number.unsigned_abs()) + 3);
    drop(highest);
    let mut room: Vec<_> = std::iter::from_fn(|| memory.share().ok()).collect();
    let before = fs::read_dir("/proc/self/task").map(drop).unwrap_err();
    assert_eq!(Errno::from_io_error(&before), Some(Errno::MFILE), "the table is full");
    for (what, open) in all_that_opens(&dir, &memory) {
        let error = open().expect_err(what);
        assert!(matches!(error, OsError::OutOfDescriptors { .. }), "{what}: {error}");
        assert_eq!(error.kind(), ErrorKind::OutOfResources);
    }
    // With room for one, what needs two must give the first back.
    assert!(room.len() > 1);
    for (what, open) in all_that_opens(&dir, &memory) {
        room.pop();
        let _ = open();
        room.push(memory.share().unwrap_or_else(|error| panic!("{what} kept a descriptor: {error}")));
        memory.share().expect_err("full again");
    }
    drop(room);
    assert_eq!(dir.entries().unwrap(), files, "no file stays behind");
}

// F34
#[test]
fn running_out_of_descriptors_is_named_and_leaves_nothing_half_made() {
    let scratch = Scratch::new();
    Child::start("limits::descriptors_are_used_up", scratch.runtime_dir().path()).finish();
}

fn refuses_who_connects() {
    let dir = RuntimeDir::open_at(support::argument()).unwrap();
    let listener = Listener::bind(&dir, "busy.sock").unwrap();
    let memory = SharedMemory::create("x", 4096).unwrap();
    let is_readable = || {
        let mut watched = [rustix::event::PollFd::new(&listener, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut watched, Some(&rustix::time::Timespec::default())).unwrap() > 0
    };
    limit_softly(Resource::Nofile, 100);
    support::tell("listening");
    for _round in 0..3 {
        let mut all: Vec<_> = std::iter::from_fn(|| memory.share().ok()).collect();
        let waiting: usize = support::hear().parse().unwrap();
        for _ in 0..waiting {
            let error = listener.accept().unwrap_err();
            assert!(matches!(error, OsError::OutOfDescriptors { call: "accept", limit: 100 }), "{error}");
            assert!(is_readable(), "the connection waits until it is refused");
            let refused = listener.accept_to_refuse().unwrap().expect("it waits");
            assert_eq!(refused.send(b"no room", &[]).unwrap(), Sent::Done);
        }
        assert!(listener.accept_to_refuse().unwrap().is_none() && !is_readable(), "nothing to spin on");
        memory.share().expect_err("a descriptor is kept again");
        all.pop();
        support::tell("refused");
        support::hear();
        let taken = listener.accept().unwrap().expect("with a descriptor free it is accepted");
        assert_eq!(taken.send(b"welcome", &[]).unwrap(), Sent::Done);
        support::tell("accepted");
        drop((all, taken));
    }
}

// F34
#[test]
fn who_connects_to_a_listener_without_descriptors_is_told_and_hung_up_on() {
    let scratch = Scratch::new();
    let dir = scratch.runtime_dir();
    let mut busy = Child::start("limits::refuses_who_connects", dir.path());
    assert_eq!(busy.hear(), "listening");
    let connect = || Connection::connect(&dir, "busy.sock").unwrap();
    let says = |connection: &Connection| {
        let mut buffer = [0; 16];
        connection.wait_readable(None).unwrap();
        match connection.recv(&mut buffer).unwrap() {
            Received::Message { len, .. } => String::from_utf8_lossy(&buffer[..len]).into_owned(),
            Received::Closed => "closed".into(),
            Received::WouldBlock => "nothing".into(),
        }
    };
    for waiting in [1, 5, 3] {
        let clients: Vec<_> = (0..waiting).map(|_| connect()).collect();
        busy.tell(&waiting.to_string());
        assert_eq!(busy.hear(), "refused");
        for client in &clients {
            assert_eq!((says(client), says(client)), ("no room".into(), "closed".into()));
        }
        let late = connect();
        busy.tell("one more");
        assert_eq!(busy.hear(), "accepted");
        assert_eq!(says(&late), "welcome");
    }
    busy.finish();
}

/// A memory control group of our own with a limit, removed on drop.
struct Group {
    directory: PathBuf,
    limit_name: &'static str,
}

impl Group {
    fn new(limit_bytes: usize) -> Result<Group, String> {
        let own = fs::read_to_string("/proc/self/cgroup").map_err(|error| error.to_string())?;
        let name = format!("uncopy-test-{}", std::process::id());
        let v1 = own.lines().find_map(|line| line.split_once(":memory:").map(|(_, path)| path));
        let v2 = own.lines().find_map(|line| line.strip_prefix("0::"));
        let places = [
            v1.map(|path| {
                ("/sys/fs/cgroup/memory", path, "memory.limit_in_bytes", "cgroup memory.limit_in_bytes")
            }),
            v2.map(|path| ("/sys/fs/cgroup", path, "memory.max", "cgroup memory.max")),
        ];
        let mut reason = "no memory control group is mounted".to_owned();
        for (mount, path, file, limit_name) in places.into_iter().flatten() {
            let directory = Path::new(mount).join(path.trim_start_matches('/')).join(&name);
            if let Err(error) = fs::create_dir(&directory) {
                reason = format!("{}: {error}", directory.display());
                continue;
            }
            let group = Group { directory, limit_name };
            match fs::write(group.directory.join(file), limit_bytes.to_string()) {
                Ok(()) => return Ok(group),
                Err(error) => reason = format!("{}: {error}", group.directory.join(file).display()),
            }
        }
        Err(reason)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.directory);
    }
}

fn group_is_small() {
    support::tell("started");
    let limit_name = support::hear(); // after we were put into the group
    let error = SharedMemory::create("group", 256 * MIB).unwrap_err();
    let OsError::OutOfMemory { free_bytes, limit, .. } = error else { panic!("{error}") };
    assert_eq!(limit, limit_name);
    assert!(free_bytes <= 64 * MIB as u64, "{free_bytes}");
    SharedMemory::create("group", 16 * MIB).unwrap();
}

// F33
#[test]
fn the_limit_of_a_container_is_seen_before_its_killer_comes() {
    let group = match Group::new(64 * MIB) {
        Ok(group) => group,
        Err(reason) => return skip(format!("no control group can be made: {reason}")),
    };
    let mut child = Child::start("limits::group_is_small", "");
    assert_eq!(child.hear(), "started");
    fs::write(group.directory.join("cgroup.procs"), child.pid().to_string()).unwrap();
    child.tell(group.limit_name);
    child.finish();
}

fn signals_keep_coming() {
    // In a forked child the timer finds one thread only.
    support::collect(support::fork_and_play(|| {
        support::interrupt_every_micros(300);
        for _ in 0..5 {
            SharedMemory::create("signals", 64 * MIB).unwrap();
        }
    }));
}

#[test]
fn memory_is_made_also_in_a_process_that_is_interrupted_all_the_time() {
    Child::start("limits::signals_keep_coming", "").finish();
}

/// What is done, and the system calls on its way whose failure must come back as an error.
fn acts_and_calls<'a>(
    dir: &'a RuntimeDir,
    memory: &'a SharedMemory,
) -> Vec<(&'static str, Act<'a>, &'static [Call])> {
    macro_rules! calls {
        ($($name:ident)*) => { &[$((stringify!($name), libc::$name)),*] };
    }
    let me = ProcessId::current().pid;
    vec![
        (
            "memory",
            Box::new(|| SharedMemory::create("x", 4096).map(drop)),
            calls!(SYS_memfd_create SYS_fchmod SYS_fallocate SYS_fcntl SYS_mmap SYS_openat),
        ),
        ("freeze", Box::new(|| SlotMemory::create("x", 1, 4096).map(drop)), calls!(SYS_fcntl SYS_madvise)),
        (
            "mapping",
            Box::new(|| Mapping::open(&memory.share()?, 1, Access::ReadOnly).map(drop)),
            calls!(SYS_fcntl SYS_fstat SYS_fstatfs SYS_mmap SYS_madvise),
        ),
        (
            "listener",
            Box::new(|| Listener::bind(dir, "other.sock").map(drop)),
            calls!(SYS_socket SYS_bind SYS_fchmodat SYS_newfstatat SYS_listen SYS_renameat SYS_unlinkat),
        ),
        (
            "connect",
            Box::new(|| Connection::connect(dir, "here.sock").map(drop)),
            calls!(SYS_socket SYS_connect),
        ),
        (
            "messages",
            Box::new(|| {
                let (one, other) = Connection::pair()?;
                let _ = one.send(b"x", &[&memory.share()?])?;
                other.wait_readable(None)?;
                other.recv(&mut [0; 8])?;
                other.peer()?;
                other.peer_pidfd().map(drop)
            }),
            calls!(SYS_socketpair SYS_sendmsg SYS_recvmsg SYS_ppoll SYS_getsockopt),
        ),
        (
            "lock",
            Box::new(|| match dir.lock("name.lock")? {
                LockOutcome::Locked(lock) => lock.write_note("me").and_then(|()| lock.unlink()),
                LockOutcome::Held { .. } => Ok(()),
            }),
            calls!(SYS_openat SYS_flock SYS_fstat SYS_newfstatat SYS_ftruncate SYS_pwrite64 SYS_unlinkat),
        ),
        (
            "directory",
            Box::new(|| RuntimeDir::open_at(dir.path())?.entries().map(drop)),
            calls!(SYS_mkdirat SYS_openat SYS_fstat SYS_getdents64),
        ),
        (
            "poller",
            Box::new(|| {
                let (poller, bell) = (Poller::new()?, EventFd::new()?);
                poller.add(&bell, 1, uncopy_os::Interest::READ)?;
                bell.ring();
                poller.wait(&mut Vec::new(), None)
            }),
            calls!(SYS_epoll_create1 SYS_epoll_ctl SYS_eventfd2 SYS_epoll_pwait),
        ),
        (
            "watch",
            Box::new(|| DirectoryWatch::new(dir)?.drain().map(drop)),
            calls!(SYS_inotify_init1 SYS_inotify_add_watch),
        ),
        ("process", Box::new(move || PidFd::open(me).map(drop)), calls!(SYS_pidfd_open)),
    ]
}

fn calls_fail_in_turn() {
    let dir = RuntimeDir::open_at(support::argument()).unwrap();
    let _listener = Listener::bind(&dir, "here.sock").unwrap();
    let memory = SharedMemory::create("x", 4096).unwrap();
    for (what, act, calls) in acts_and_calls(&dir, &memory) {
        support::in_thread_without_call(None, &act).unwrap_or_else(|error| panic!("{what} works: {error}"));
        for errno in [Errno::IO, Errno::NOMEM, Errno::PERM] {
            for (name, call) in calls {
                let before = Holdings::now();
                let outcome = support::in_thread_without_call(Some((*call, errno)), &act);
                let error = outcome.err().unwrap_or_else(|| panic!("{what} with {name} failing says so"));
                assert!(!error.to_string().is_empty());
                // What the failing call itself should have removed may stay; nothing else may.
                let _ = (dir.remove("name.lock"), dir.remove("other.sock"), dir.remove(".other.sock.tmp"));
                assert_eq!(Holdings::now(), before, "{what} with {name} failing by {errno}");
                assert_eq!(dir.entries().unwrap(), ["here.sock"], "{what} with {name} failing by {errno}");
            }
        }
    }
}

// F35
#[test]
fn each_system_call_may_fail_and_the_error_comes_back_without_a_leak() {
    let scratch = Scratch::new();
    Child::start("limits::calls_fail_in_turn", scratch.runtime_dir().path()).finish();
}
