// SPDX-License-Identifier: MIT OR Apache-2.0
//! Each test in processes of its own: the driver reads its settings once, and much of what it does ends a process.
//!
//! A test runs its own binary again, once for each part that it has to play. Parts are joined by a socket that
//! carries bytes and descriptors, and tells when the other side is gone.

use rustix::{
    io::IoSlice,
    net::{
        AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
        SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
    },
};
use std::{
    env,
    io::IoSliceMut,
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    os::unix::process::ExitStatusExt,
    process::{Child, Command, ExitStatus, Output, Stdio},
    thread,
};

const PART: &str = "STANDIN_PART";
const TEST: &str = "STANDIN_TEST";
const FIRST: &str = "first";

/// What another part does, given the line to the first.
pub type Part = fn(&Line);

/// Runs `first` in a process of its own, with these settings; it must succeed. `others` are the parts that it may
/// call in.
pub fn play(settings: &[(&str, &str)], first: fn(), others: &[(&str, Part)]) {
    if let Some(output) = played(settings, first, others) {
        let said =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}\n{said}", output.status);
        assert!(said.contains("1 passed"), "no test ran:\n{said}");
    }
}

/// As `play`, and the process must be aborted with a message that holds these words.
pub fn play_to_abort(settings: &[(&str, &str)], first: fn(), words: &[&str]) {
    if let Some(output) = played(settings, first, &[]) {
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{said}");
        for word in words {
            assert!(said.contains(word), "{word:?} is not in {said}");
        }
    }
}

/// As `play`, and the process must be ended by this signal.
pub fn play_to_signal(settings: &[(&str, &str)], first: fn(), signal: i32) {
    if let Some(output) = played(settings, first, &[]) {
        assert_eq!(output.status.signal(), Some(signal), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// How the process of the first part ended; None inside of a part.
fn played(settings: &[(&str, &str)], first: fn(), others: &[(&str, Part)]) -> Option<Output> {
    match env::var(PART) {
        Ok(part) if part == FIRST => {
            first();
            None
        }
        Ok(part) => {
            let (_, other) = others.iter().find(|(name, _)| *name == part).unwrap();
            other(&Line { socket: std::io::stdin().as_fd().try_clone_to_owned().unwrap() });
            None
        }
        Err(_) => {
            let name = thread::current().name().unwrap().to_string();
            let mut command = again(&name, FIRST);
            command.envs(settings.iter().copied()).stdin(Stdio::null());
            Some(command.output().unwrap())
        }
    }
}

fn again(test: &str, part: &str) -> Command {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture"]).env(PART, part).env(TEST, test);
    command
}

/// Another part, running.
pub struct Other {
    pub line: Line,
    child: Child,
}

impl Other {
    /// Calls a part in, with the settings of the caller.
    pub fn called(part: &str) -> Other {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        let mut command = again(&env::var(TEST).unwrap(), part);
        let child = command.stdin(theirs).stdout(Stdio::null()).spawn().unwrap();
        Other { line: Line { socket: ours }, child }
    }

    /// Kills it, and returns when it is gone.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended by itself.
    pub fn ended(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A line between two parts.
pub struct Line {
    socket: OwnedFd,
}

impl Line {
    pub fn say(&self, bytes: &[u8]) {
        self.send(bytes, &[]);
    }

    pub fn hand(&self, bytes: &[u8], descriptor: BorrowedFd<'_>) {
        self.send(bytes, &[descriptor]);
    }

    fn send(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            assert!(ancillary.push(SendAncillaryMessage::ScmRights(descriptors)));
        }
        sendmsg(self.socket.as_fd(), &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL).unwrap();
    }

    /// The next message; the other part must be there.
    pub fn hear(&self) -> Vec<u8> {
        self.take().0
    }

    pub fn take(&self) -> (Vec<u8>, Option<OwnedFd>) {
        let mut bytes = vec![0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let got = recvmsg(
            self.socket.as_fd(),
            &mut [IoSliceMut::new(&mut bytes)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        )
        .unwrap();
        assert!(got.bytes > 0, "the other part is gone");
        bytes.truncate(got.bytes);
        let rights = ancillary.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        (bytes, rights)
    }

    /// Waits until the first part is gone or has said so: what a part does that is to be killed.
    pub fn stay(&self) {
        let mut byte = [0; 1];
        // Whatever comes ends the stay.
        let _ = rustix::io::read(&self.socket, &mut byte);
    }
}
