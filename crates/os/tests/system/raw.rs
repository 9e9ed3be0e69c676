// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls that safe libraries do not offer: fork, signals, other users, system calls that fail.
#![expect(unsafe_code, reason = "fence: the C library, as tests need it")]

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

/// Sends `signal` to one thread of this process.
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
