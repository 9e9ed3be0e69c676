// SPDX-License-Identifier: MIT OR Apache-2.0
//! A participant as the conductor sees it: a process that is started, told, stopped, killed and listened to.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::Sender;
use std::time::Instant;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use serde_json::Value;
use uncopy::os::monotonic_nanos;

use super::tally::Counts;
use super::wrong::{Kind, Wrong};

/// What a participant said, or that it will say nothing more.
pub(super) type Said = (u64, Option<Value>);

/// What a participant is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Producer {
        life: u64,
    },
    /// A consumer that comes and goes.
    Visitor,
    /// A consumer that is never killed.
    Resident,
    /// Many subscribers in one process, more than there are places.
    Crowd,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Running,
    Stopped,
    Killed,
    /// It was told to end, or loses its name to another.
    Leaving,
}

pub(super) struct Actor {
    pub(super) part: Part,
    pub(super) link: usize,
    pub(super) state: State,
    /// Never killed.
    pub(super) stays: bool,
    pub(super) counts: Counts,
    /// The life whose frames it received last, while it has a place there.
    pub(super) attached: Option<u64>,
    /// When it said something last, or could begin to.
    pub(super) heard: Instant,
    /// The last of each event that was said once.
    pub(super) said: BTreeMap<String, Value>,
    /// Its output has ended.
    pub(super) is_silent: bool,
    /// From when to when it was stopped last, nanoseconds of `CLOCK_MONOTONIC`.
    stopped: (u64, u64),
    child: Child,
    orders: Option<ChildStdin>,
    errors: PathBuf,
    name: String,
}

/// Where participants come from and where they live.
pub(super) struct House<'a> {
    pub(super) program: &'a Path,
    pub(super) runtime_dir: &'a Path,
    pub(super) errors: &'a Path,
}

impl Actor {
    pub(super) fn start(
        id: u64,
        part: Part,
        link: usize,
        words: &[String],
        house: &House<'_>,
        said: &Sender<Said>,
    ) -> Self {
        let errors = house.errors.join(format!("{id}.err"));
        let file = File::create(&errors).expect("the run's own directory can be written");
        let mut child = Command::new(house.program)
            .args(words)
            .env("UNCOPY_RUNTIME_DIR", house.runtime_dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("{} does not start: {error}", house.program.display()));
        let output = child.stdout.take().expect("stdout is piped");
        let orders = child.stdin.take();
        let said = said.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // A line that was cut by a kill is no JSON, and says nothing.
                if let Ok(event) = serde_json::from_str(&line)
                    && said.send((id, Some(event))).is_err()
                {
                    return;
                }
            }
            let _ = said.send((id, None));
        });
        Self {
            part,
            link,
            state: State::Running,
            stays: false,
            counts: Counts::default(),
            attached: None,
            heard: Instant::now(),
            said: BTreeMap::new(),
            is_silent: false,
            stopped: (0, 0),
            name: format!("{} {id} ({})", words[0], child.id()),
            child,
            orders,
            errors,
        }
    }

    /// What it is called in the log: part, number, process.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// Tells it something. One that is dead hears nothing.
    pub(super) fn order(&mut self, line: &str) {
        if let Some(orders) = &mut self.orders {
            let _ = writeln!(orders, "{line}");
        }
    }

    /// Tells it to end.
    pub(super) fn dismiss(&mut self) {
        self.state = State::Leaving;
        self.orders = None;
    }

    pub(super) fn kill(&mut self) {
        self.state = State::Killed;
        self.signal(Signal::KILL);
    }

    pub(super) fn stop(&mut self) {
        self.state = State::Stopped;
        self.stopped = (monotonic_nanos(), u64::MAX);
        self.signal(Signal::STOP);
    }

    pub(super) fn go_on(&mut self) {
        self.signal(Signal::CONT);
        self.state = State::Running;
        self.stopped.1 = monotonic_nanos();
        self.heard = Instant::now();
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid()).expect("a process id");
        kill_process(pid, signal).expect("a child that was not collected, dead or alive, has its number");
    }

    /// Waits until it is dead, without collecting it.
    pub(super) fn wait_until_dead(&self) {
        let pid = Pid::from_raw(self.pid()).expect("a process id");
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(pid), options) {}
    }

    /// Whether it ran all the time between two moments, as far as it was not stopped.
    pub(super) fn ran_from(&self, from_nanos: u64, to_nanos: u64) -> bool {
        let (begin, end) = self.stopped;
        end < from_nanos || begin > to_nanos
    }

    /// Collects it, and judges how it ended.
    pub(super) fn collect(&mut self) -> Result<(), Wrong> {
        self.orders = None;
        let status = self.child.wait().expect("our own child can be waited for");
        let errors = fs::read_to_string(&self.errors).unwrap_or_default();
        let _ = fs::remove_file(&self.errors);
        let wrong =
            |kind, text: &str| Err(Wrong::new(kind, format!("{} {text}; it said: {errors}", self.name)));
        if errors.contains("panicked") {
            return wrong(Kind::Crash, "panicked");
        }
        if self.state == State::Killed {
            return Ok(());
        }
        if !status.success() {
            return wrong(Kind::Crash, &format!("ended with {}", shown(status)));
        }
        match self.said.get("end").map(|end| &end["leaks"]) {
            Some(Value::Array(leaks)) if leaks.is_empty() => Ok(()),
            Some(leaks) => wrong(Kind::Leak, &format!("leaked {leaks}")),
            None => wrong(Kind::Crash, "ended without a word"),
        }
    }
}

impl Drop for Actor {
    fn drop(&mut self) {
        // Both fail only when it was collected.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn shown(status: ExitStatus) -> String {
    match status.signal() {
        Some(signal) => format!("signal {signal}"),
        None => format!("code {:?}", status.code()),
    }
}
