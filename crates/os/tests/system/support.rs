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
                raw::forbid_call(call, errno.raw_os_error());
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
    raw::start_timer(micros);
}

/// Sends `signal` to one thread of this process.
pub fn signal_thread(thread: libc::pthread_t, signal: i32) {
    raw::signal_thread(thread, signal);
}

pub use raw::{
    current_thread, end_this_thread, fork, handle, ignore, ignore_with_handler, leave,
    next_child_gets_a_pid_namespace, restore_default, set_user, write_byte,
};

/// Calls that safe libraries do not offer.
mod raw {
    use std::mem::{self, MaybeUninit};
    use std::ptr;

    extern "C" fn nothing(_signal: libc::c_int) {}

    /// Lets `signal` interrupt calls and do nothing else.
    pub fn ignore_with_handler(signal: i32) {
        handle(signal, nothing);
    }

    /// Ignores `signal`.
    pub fn ignore(signal: i32) {
        install(signal, libc::SIG_IGN);
    }

    /// Lets `signal` do what it does by default.
    pub fn restore_default(signal: i32) {
        install(signal, libc::SIG_DFL);
    }

    /// Installs a handler that takes the signal's number only.
    pub fn handle(signal: i32, handler: extern "C" fn(libc::c_int)) {
        install(signal, handler as usize);
    }

    fn install(signal: i32, handler: usize) {
        // SAFETY: all fields are integers or optional functions, for which zero is a value.
        let mut action: libc::sigaction = unsafe { mem::zeroed() };
        action.sa_sigaction = handler;
        // SAFETY: the action is live, and its handler does only what is safe in one.
        let answer = unsafe { libc::sigaction(signal, &raw const action, ptr::null_mut()) };
        assert_eq!(answer, 0);
    }

    pub fn start_timer(micros: i64) {
        let every = libc::timeval { tv_sec: 0, tv_usec: micros };
        let timer = libc::itimerval { it_interval: every, it_value: every };
        // SAFETY: the value is live, and null asks for nothing.
        let answer = unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, ptr::null_mut()) };
        assert_eq!(answer, 0);
    }

    pub fn current_thread() -> libc::pthread_t {
        // SAFETY: it only looks up the calling thread.
        unsafe { libc::pthread_self() }
    }

    pub fn signal_thread(thread: libc::pthread_t, signal: i32) {
        // SAFETY: callers have not joined the thread yet, so the id is still its own.
        let answer = unsafe { libc::pthread_kill(thread, signal) };
        assert_eq!(answer, 0);
    }

    /// Forks; 0 in the child, which should do little and then `leave`.
    pub fn fork() -> i32 {
        // SAFETY: the C library makes its own state (memory, locks) usable in the child; what the tests do there needs
        // no lock of another thread.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0);
        pid
    }

    /// Ends a forked child at once, without the parent's exit handlers.
    pub fn leave(code: i32) -> ! {
        // SAFETY: it does not return, and runs no code of this program.
        unsafe { libc::_exit(code) }
    }

    /// Ends the calling thread alone, without unwinding it.
    pub fn end_this_thread() -> ! {
        // SAFETY: takes a number; the thread's stack stays, so nothing that others borrow from it goes away.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
        unreachable!("the thread has ended")
    }

    /// The next forked child, alone, is the first process of a pid namespace.
    pub fn next_child_gets_a_pid_namespace() -> std::io::Result<()> {
        // SAFETY: takes a number; it changes nothing for the calling process itself.
        match unsafe { libc::unshare(libc::CLONE_NEWPID) } {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    }

    /// Gives up root for good.
    pub fn set_user(uid: u32) {
        // SAFETY: takes numbers only.
        let answer = unsafe { libc::setresuid(uid, uid, uid) };
        assert_eq!(answer, 0);
        // SAFETY: takes numbers only. A process that changed its user may otherwise not look into its own /proc.
        unsafe { libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0) };
    }

    /// Writes one byte to an address, whatever is there.
    pub fn write_byte(address: usize) {
        // SAFETY: none; that is the point. The tests write where the kernel refuses it and the process ends.
        unsafe { ptr::with_exposed_provenance_mut::<u8>(address).write_volatile(1) };
    }

    /// From now on `call` fails with `errno` in this thread, by a seccomp filter.
    pub fn forbid_call(call: i64, errno: i32) {
        // SAFETY: takes numbers only; needed to install a filter without privileges.
        let answer = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
        assert_eq!(answer, 0);
        let statement = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
        let mut program = [
            // The number of the call is the first word of `struct seccomp_data`.
            statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0),
            libc::sock_filter {
                code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
                jt: 0,
                jf: 1,
                k: u32::try_from(call).unwrap(),
            },
            statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ERRNO | errno.unsigned_abs()),
            statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW),
        ];
        let mut filter = MaybeUninit::<libc::sock_fprog>::uninit();
        let filter = filter.write(libc::sock_fprog { len: 4, filter: program.as_mut_ptr() });
        // SAFETY: the filter and its program are live, and its four statements end on every path.
        let answer =
            unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, ptr::from_ref(filter)) };
        assert_eq!(answer, 0, "the kernel has seccomp filters");
    }
}
