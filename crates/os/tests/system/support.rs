// SPDX-License-Identifier: MIT OR Apache-2.0
//! Child processes in roles, scratch directories, and what a test looks at before and after.

use std::env;
use std::fs::{self, DirBuilder};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{self, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use uncopy_os::RuntimeDir;

pub use crate::raw::{
    current_thread, end_this_thread, fork, handle, ignore, ignore_with_handler, leave,
    next_child_gets_a_pid_namespace, restore_default, set_user, signal_thread, write_byte,
};

const ROLE: &str = "UNCOPY_TEST_ROLE";
const ARGUMENT: &str = "UNCOPY_TEST_ARGUMENT";

/// What a child process does, under the name that it is started by.
pub type Role = (&'static str, fn());

/// A process that plays one role. Killed and collected on drop.
pub struct Child {
    pub process: process::Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Child {
    /// Starts `role` with one argument of its own.
    pub fn start(role: &str, argument: impl AsRef<Path>) -> Child {
        Child::start_with(role, argument, |_| {})
    }

    /// Starts `role` after `prepare` has changed the command.
    pub fn start_with(role: &str, argument: impl AsRef<Path>, prepare: impl FnOnce(&mut Command)) -> Child {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["child_process_entry", "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
        command.env(ROLE, role).env(ARGUMENT, argument.as_ref());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        prepare(&mut command);
        let mut process = command.spawn().unwrap();
        let stdin = process.stdin.take().unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        Child { process, stdin, stdout }
    }

    pub fn pid(&self) -> i32 {
        self.process.id().cast_signed()
    }

    /// What the child tells next; `None` when it ended without telling anything more.
    pub fn try_hear(&mut self) -> Option<String> {
        let mut line = String::new();
        while self.stdout.read_line(&mut line).unwrap() > 0 {
            if let Some(told) = line.strip_prefix('@') {
                return Some(told.trim_end().to_owned());
            }
            line.clear();
        }
        None
    }

    /// What the child tells next.
    pub fn hear(&mut self) -> String {
        self.try_hear().expect("the child tells something before it ends")
    }

    pub fn tell(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").unwrap();
    }

    /// Kills it without a chance to clean up, and collects it.
    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Waits for its end.
    pub fn wait(mut self) -> ExitStatus {
        self.process.wait().unwrap()
    }

    /// Waits for its end and fails if it failed.
    pub fn finish(self) {
        let status = self.wait();
        assert!(status.success(), "the child ended with {status}; see its output above");
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// In a child process: plays the role that the parent asked for.
pub fn play_role(roles: &[&[Role]]) {
    let Ok(wanted) = env::var(ROLE) else { return };
    let role = roles.iter().copied().flatten().find(|(name, _)| *name == wanted);
    let (_, play) = role.unwrap_or_else(|| panic!("no role is called {wanted}"));
    play();
}

/// In a child process: tells the parent something.
pub fn tell(line: impl std::fmt::Display) {
    let mut out = std::io::stdout().lock();
    // The test harness may have left a line unfinished.
    write!(out, "\n@{line}\n").unwrap();
    out.flush().unwrap();
}

/// In a child process: what the parent tells next; empty when the parent is gone.
pub fn hear() -> String {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

/// In a child process: its argument.
pub fn argument() -> PathBuf {
    env::var_os(ARGUMENT).expect("the parent gives one").into()
}

/// A directory for one test, removed on drop.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Scratch {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("uncopy-test-{}-{count}", process::id()));
        DirBuilder::new().mode(0o700).create(&path).unwrap();
        Scratch(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A runtime directory in it.
    pub fn runtime_dir(&self) -> RuntimeDir {
        RuntimeDir::open_at(self.0.join("run")).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// What this process has open and mapped, to compare before and after. Only for a process that does one thing at a
/// time: a child in a role.
#[derive(Debug, PartialEq, Eq)]
pub struct Holdings {
    descriptors: Vec<(String, PathBuf)>,
    shared_mappings: usize,
    threads: usize,
}

impl Holdings {
    pub fn now() -> Holdings {
        let mut descriptors: Vec<(String, PathBuf)> = fs::read_dir("/proc/self/fd")
            .unwrap()
            .map(|entry| entry.unwrap())
            // The listing's own descriptor is gone by now.
            .filter_map(|entry| {
                let name = entry.file_name().into_string().unwrap();
                fs::read_link(entry.path()).ok().map(|target| (name, target))
            })
            .collect();
        descriptors.sort();
        let maps = fs::read_to_string("/proc/self/maps").unwrap();
        let shared_mappings = maps.lines().filter(|line| line.contains("memfd:uncopy")).count();
        let threads = fs::read_dir("/proc/self/task").unwrap().count();
        Holdings { descriptors, shared_mappings, threads }
    }
}

/// In a child process: fails if `act` leaves descriptors, mappings or threads behind.
pub fn leaves_nothing_behind(act: impl Fn()) {
    act(); // what is made once per process may stay
    let before = Holdings::now();
    for _ in 0..100 {
        act();
    }
    assert_eq!(Holdings::now(), before);
}

/// Acts when it is dropped, also by a panic.
pub struct OnDrop<F: FnMut()>(pub F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Prints why a test does nothing here.
pub fn skip(reason: impl std::fmt::Display) {
    println!("SKIP {reason}");
}

pub fn is_root() -> bool {
    uncopy_os::current_uid() == 0
}

/// The next connection, however long it takes to come.
pub fn accept(listener: &uncopy_os::Listener) -> uncopy_os::Connection {
    let poller = uncopy_os::Poller::new().unwrap();
    poller.add(listener, 0, uncopy_os::Interest::READ).unwrap();
    let mut events = Vec::new();
    loop {
        if let Some(connection) = listener.accept().unwrap() {
            return connection;
        }
        poller.wait(&mut events, None).unwrap();
    }
}

/// Forks, plays `child` there, and says by the exit code whether all went well.
pub fn fork_and_play(child: impl FnOnce()) -> i32 {
    let pid = fork();
    if pid == 0 {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child));
        leave(i32::from(outcome.is_err()));
    }
    pid
}

/// Waits for the end of a forked child and fails if it failed.
pub fn collect(pid: i32) {
    use rustix::process::{Pid, WaitOptions, waitpid};
    let (_, status) = waitpid(Pid::from_raw(pid), WaitOptions::empty()).unwrap().unwrap();
    assert_eq!(status.exit_status(), Some(0), "{status:?}");
}

/// Runs `act` in a thread of its own in which the system call `call` always fails with `errno` and does nothing. The
/// filter ends with the thread.
pub fn in_thread_without_call<R: Send>(
    call: Option<(i64, rustix::io::Errno)>,
    act: impl Fn() -> R + Sync,
) -> R {
    let threads = || fs::read_dir("/proc/self/task").unwrap().count();
    let before = threads();
    let done = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            if let Some((call, errno)) = call {
                crate::raw::forbid_call(call, errno.raw_os_error());
            }
            act()
        });
        thread.join()
    });
    // A scope ends when its threads are done, a little before the kernel has removed them.
    while threads() > before {
        std::thread::yield_now();
    }
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Signals this process again and again, with a handler that does nothing, so that calls are interrupted.
pub fn interrupt_every_micros(micros: i64) {
    ignore_with_handler(libc::SIGALRM);
    crate::raw::start_timer(micros);
}
