// SPDX-License-Identifier: MIT OR Apache-2.0
//! Another process, driven from a test: commands go in, events come out.

use std::fmt;
use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// When a silent peer is called hung. Not a measure of anything: a test that fails must end.
pub const HANGS_AFTER: Duration = Duration::from_secs(30);

/// One line that a peer said.
#[derive(Debug, Clone, PartialEq)]
pub struct Event(Value);

impl Event {
    /// What happened.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0["event"].as_str().expect("each line has an event")
    }

    /// A number that came with it.
    ///
    /// # Panics
    /// When there is no such number.
    #[must_use]
    pub fn number(&self, key: &str) -> u64 {
        self.0[key].as_u64().unwrap_or_else(|| panic!("no number '{key}' in {}", self.0))
    }

    /// A text that came with it.
    ///
    /// # Panics
    /// When there is no such text.
    #[must_use]
    pub fn text(&self, key: &str) -> &str {
        self.0[key].as_str().unwrap_or_else(|| panic!("no text '{key}' in {}", self.0))
    }

    /// Any value that came with it.
    #[must_use]
    pub fn value(&self, key: &str) -> &Value {
        &self.0[key]
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What the peers of one stage leave to be judged at its end.
#[derive(Default, Debug)]
pub struct Household {
    /// Peers that have not been waited for.
    pub running: AtomicUsize,
    /// Whether any of them was killed or died, so that files may stay behind.
    pub violence: AtomicBool,
}

/// A process of the `peer` binary. Dropping it kills and collects it.
pub struct Peer {
    what: String,
    child: Child,
    commands: Option<ChildStdin>,
    events: ChildStdout,
    read: Vec<u8>,
    errors: PathBuf,
    household: Arc<Household>,
    collected: Option<ExitStatus>,
}

/// How a peer ended.
#[derive(Debug)]
pub struct Ending {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// What it wrote to standard error.
    pub errors: String,
}

impl Peer {
    /// Starts it; `errors` is where its standard error goes.
    pub(crate) fn start(
        mut command: Command,
        what: String,
        errors: PathBuf,
        household: Arc<Household>,
    ) -> Self {
        let file = fs::File::create(&errors).expect("the stage's directory can be written");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(file);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{what} does not start: {error}"));
        household.running.fetch_add(1, SeqCst);
        let events = child.stdout.take().expect("stdout is piped");
        let commands = child.stdin.take();
        Self { what, child, commands, events, read: Vec::new(), errors, household, collected: None }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Tells it to do something. A peer that is dead hears nothing, which its events will show.
    pub fn tell(&mut self, line: &str) {
        if let Some(commands) = &mut self.commands {
            let _ = writeln!(commands, "{line}");
        }
    }

    /// Tells it to do something and returns the event that answers, which must be `wanted`.
    #[track_caller]
    pub fn ask(&mut self, line: &str, wanted: &str) -> Event {
        self.tell(line);
        self.expect(wanted)
    }

    /// The next event, which must be `wanted`.
    #[track_caller]
    pub fn expect(&mut self, wanted: &str) -> Event {
        match self.next_event() {
            Some(event) if event.name() == wanted => event,
            Some(event) => panic!("{}: wanted '{wanted}', came {event}{}", self.what, self.said()),
            None => panic!("{}: wanted '{wanted}', it has ended{}", self.what, self.said()),
        }
    }

    /// Skips events of the `passing` names until `wanted`. Any other event fails the test.
    #[track_caller]
    pub fn until(&mut self, wanted: &str, passing: &[&str]) -> Event {
        loop {
            match self.next_event() {
                Some(event) if event.name() == wanted => return event,
                Some(event) if passing.contains(&event.name()) => {}
                Some(event) => panic!("{}: waiting for '{wanted}', came {event}{}", self.what, self.said()),
                None => panic!("{}: waiting for '{wanted}', it has ended{}", self.what, self.said()),
            }
        }
    }

    /// The next event; `None` when the peer has closed its end, which ending does too.
    #[track_caller]
    pub fn next_event(&mut self) -> Option<Event> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                let value = serde_json::from_slice(&line);
                return Some(Event(value.unwrap_or_else(|e| {
                    panic!("{}: no JSON in {:?}: {e}", self.what, String::from_utf8_lossy(&line))
                })));
            }
            self.wait_for_output();
            let mut more = [0; 4096];
            match rustix::io::read(&self.events, &mut more) {
                Ok(0) => return None,
                Ok(len) => self.read.extend_from_slice(&more[..len]),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => panic!("{}: its events can't be read: {errno}", self.what),
            }
        }
    }

    #[track_caller]
    fn wait_for_output(&self) {
        let patience = Timespec::try_from(HANGS_AFTER).expect("a minute fits");
        let mut polled = [PollFd::new(&self.events, PollFlags::IN)];
        let polled = poll(&mut polled, Some(&patience));
        assert_ne!(polled, Ok(0), "{} hangs: it said nothing for {HANGS_AFTER:?}{}", self.what, self.said());
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When it was collected already.
    pub fn signal(&self, signal: Signal) {
        assert!(self.collected.is_none(), "{} was collected", self.what);
        let pid = Pid::from_raw(self.pid()).expect("a process id");
        kill_process(pid, signal).expect("our own child, dead or alive, has its number");
    }

    /// Kills it and leaves it as a zombie until it is collected or dropped.
    pub fn kill(&mut self) {
        self.household.violence.store(true, SeqCst);
        self.signal(Signal::KILL);
        self.wait_until_dead();
    }

    /// Waits until it is dead, without collecting it.
    pub fn wait_until_dead(&mut self) {
        use rustix::process::{WaitId, WaitIdOptions, waitid};
        self.household.violence.store(true, SeqCst);
        let pid = Pid::from_raw(self.pid()).expect("a process id");
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(pid), options) {}
    }

    /// Whether it is dead, without collecting it.
    ///
    /// # Panics
    /// When it was collected already.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        use rustix::process::{WaitId, WaitIdOptions, waitid};
        let pid = Pid::from_raw(self.pid()).expect("a process id");
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        waitid(WaitId::Pid(pid), options).expect("our own child can be looked at").is_some()
    }

    /// Stops it and waits until it is stopped.
    pub fn stop(&self) {
        self.signal(Signal::STOP);
        self.wait_until_stopped();
    }

    /// Waits until it is stopped, by itself or by a signal.
    pub fn wait_until_stopped(&self) {
        use rustix::process::{WaitId, WaitIdOptions, waitid};
        let pid = Pid::from_raw(self.pid()).expect("a process id");
        let options = WaitIdOptions::STOPPED | WaitIdOptions::NOWAIT;
        while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(pid), options) {}
    }

    /// Lets it go on.
    pub fn go_on(&self) {
        self.signal(Signal::CONT);
    }

    /// Closes its commands, lets it end by itself, and checks that it ended well and leaked nothing.
    #[track_caller]
    pub fn quit(mut self) -> Event {
        self.commands = None;
        let end = self.expect("end");
        let leaks = end.value("leaks").as_array().expect("a list of leaks");
        assert!(leaks.is_empty(), "{} leaked: {leaks:?}", self.what);
        let what = self.what.clone();
        let ending = self.collect();
        assert_eq!(ending.code, Some(0), "{what} ended with {ending:?}");
        assert!(!ending.errors.contains("panicked"), "{what} panicked: {}", ending.errors);
        end
    }

    /// Ends a `run` and returns the event that sums it up. Meanwhile events of the `passing` names may come.
    #[track_caller]
    pub fn halt(&mut self, passing: &[&str]) -> Event {
        self.tell("stats");
        let ran = self.until("ran", passing);
        self.expect("stats");
        ran
    }

    /// Closes its commands and waits for its end, however it comes.
    #[track_caller]
    pub fn end(mut self) -> Ending {
        self.commands = None;
        self.collect()
    }

    /// Waits for its end, however it comes.
    #[track_caller]
    pub fn collect(mut self) -> Ending {
        // Events that nobody asked for must not keep it from ending.
        while self.next_event().is_some() {}
        self.collect_now();
        let status = self.collected.expect("it has just been collected");
        if !status.success() {
            self.household.violence.store(true, SeqCst);
        }
        let errors = fs::read_to_string(&self.errors).unwrap_or_default();
        Ending { code: status.code(), signal: status.signal(), errors }
    }

    fn collect_now(&mut self) {
        if self.collected.is_none() {
            self.collected = Some(self.child.wait().expect("our own child can be waited for"));
            self.household.running.fetch_sub(1, SeqCst);
        }
    }

    /// What it said on standard error, for messages.
    #[must_use]
    pub fn said(&self) -> String {
        let errors = fs::read_to_string(&self.errors).unwrap_or_default();
        if errors.is_empty() { String::new() } else { format!("; it said: {errors}") }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        if self.collected.is_none() {
            self.household.violence.store(true, SeqCst);
            // Fails when it is dead already.
            let _ = self.child.kill();
            self.collect_now();
        }
    }
}
