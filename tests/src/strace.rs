// SPDX-License-Identifier: MIT OR Apache-2.0
//! One failing system call in a process that runs: strace attaches, answers the n-th call of a name with an error
//! instead of making it, and detaches.
//!
//! Calls are counted per thread, from the moment of attaching. The traced process says that it has begun and ended by a
//! [`SharedWord`](crate::raw::SharedWord), since any system call of its own could be the one that fails.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// Which call fails, how, and at which pass.
#[derive(Debug, Clone, Copy)]
pub struct Injection<'a> {
    /// Name of the system call.
    pub call: &'a str,
    /// Name of the error: `ENOMEM`.
    pub error: &'a str,
    /// From 1, counted in each thread.
    pub when: u32,
}

/// An attached strace. Dropping it detaches.
pub struct Strace {
    child: Child,
    log: PathBuf,
    /// Kept open: it also names each thread that is started later.
    _said: BufReader<ChildStderr>,
}

impl Strace {
    /// Attaches to all threads of `pid`; with an injection only that call is written down, else every call.
    ///
    /// # Errors
    /// Why it can't: strace is not there, or may not attach here.
    ///
    /// # Panics
    /// When it says nothing that can be read.
    pub fn attach(pid: i32, injection: Option<Injection<'_>>, log: &Path) -> Result<Self, String> {
        let mut command = Command::new("strace");
        command.args(["-f", "-p", &pid.to_string(), "-o"]).arg(log);
        if let Some(Injection { call, error, when }) = injection {
            command.args(["-e", &format!("trace={call}")]);
            command.args(["-e", &format!("inject={call}:error={error}:when={when}")]);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("strace does not start: {error}"))?;
        let mut said = BufReader::new(child.stderr.take().expect("stderr is piped"));
        let mut line = String::new();
        while said.read_line(&mut line).expect("strace speaks text") > 0 {
            if line.contains(" attached") {
                return Ok(Self { child, log: log.to_owned(), _said: said });
            }
        }
        let _ = child.wait();
        Err(line)
    }

    /// Detaches and says what was seen.
    ///
    /// # Panics
    /// When there is no log.
    #[must_use]
    pub fn detach(mut self) -> Trace {
        self.end();
        Trace(fs::read_to_string(&self.log).expect("strace has written its log"))
    }

    fn end(&mut self) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).expect("a process id");
        // It has ended by itself if the traced process has.
        let _ = kill_process(pid, Signal::INT);
        let _ = self.child.wait();
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        self.end();
    }
}

/// What strace wrote down.
pub struct Trace(String);

impl Trace {
    /// Whether the call was made often enough to fail.
    #[must_use]
    pub fn was_injected(&self) -> bool {
        self.0.contains("(INJECTED)")
    }

    /// How often each system call was begun, by name.
    #[must_use]
    pub fn calls(&self) -> BTreeMap<String, usize> {
        let mut calls = BTreeMap::new();
        for line in self.0.lines() {
            let Some((_, call)) = line.split_once(' ') else { continue };
            let Some((name, _)) = call.trim_start().split_once('(') else { continue };
            if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                *calls.entry(name.to_owned()).or_default() += 1;
            }
        }
        calls
    }

    /// The last lines, for messages.
    #[must_use]
    pub fn tail(&self) -> String {
        let lines: Vec<&str> = self.0.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_name_whether_they_end_at_once_or_later() {
        let trace = Trace(
            "7 openat(AT_FDCWD, \"x\", O_RDONLY) = 3\n7 recvmsg(3,  <unfinished ...>\n8 close(4) = 0\n\
             7 <... recvmsg resumed>{}, 0) = -1 EINTR (INJECTED)\n8 close(5) = 0\n8 +++ exited with 0 +++\n"
                .to_owned(),
        );
        let calls = trace.calls();
        let named: Vec<(&str, usize)> = calls.iter().map(|(name, count)| (name.as_str(), *count)).collect();
        assert_eq!(named, [("close", 2), ("openat", 1), ("recvmsg", 1)]);
        assert!(trace.was_injected());
    }
}
