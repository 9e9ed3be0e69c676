// SPDX-License-Identifier: MIT OR Apache-2.0
//! The other process of a measurement: this command once more, which answers pings and then sleeps until it is woken.

use std::io::Read;
use std::process::{Child, Stdio};
use std::time::Duration;

use uncopy::{ErrorKind, Subscriber};

use super::handover::{PACES, publish};
use crate::error::CliError;
use crate::host::Session;
use crate::tally::Latency;

/// What a frame asks for: an answer, or the end. Frames to a sleeping reader carry the number of their pace instead.
pub(super) const ANSWER: u8 = 0;
pub(super) const END: u8 = u8::MAX;
/// How long one process waits for the other before it gives up.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// The links of one run.
pub(super) struct Names {
    pub ping: String,
    pub pong: String,
    pub asleep: String,
    of: u32,
}

/// Those of the run that the process with this number has begun.
pub(super) fn names(of: u32) -> Names {
    let [ping, pong, asleep] = ["ping", "pong", "asleep"].map(|what| format!("bench-{of}-{what}"));
    Names { ping, pong, asleep, of }
}

/// Be the other process of a measurement
#[derive(clap::Args)]
pub(crate) struct PeerOptions {
    /// The process that measures
    of: u32,
}

/// Plays the other process to its end, and prints how long frames took to a reader that slept.
pub(crate) fn play(options: &PeerOptions, session: &Session<'_>) -> Result<(), CliError> {
    let names = names(options.of);
    let mut pongs = uncopy::publish(&names.pong).open()?;
    let mut pings = subscribe(&names.ping, Some(PATIENCE), session)?;
    let mut frames = subscribe(&names.asleep, None, session)?;
    while pings.recv_with(Some(PATIENCE), &mut session.waiting())?.bytes() != [END] {
        publish(&mut pongs, ANSWER)?;
    }
    drop(pings);
    let mut paces: Vec<Latency> = PACES.iter().map(|_| Latency::default()).collect();
    loop {
        let frame = frames.recv_with(Some(PATIENCE), &mut session.waiting())?;
        let age = frame.age();
        match frame.bytes() {
            [END] => break,
            [pace] => {
                if let (Some(pace), Some(age)) = (paces.get_mut(usize::from(*pace)), age) {
                    pace.add(age);
                }
            }
            _ => {}
        }
    }
    session.console.json(&paces)
}

fn subscribe(name: &str, spin: Option<Duration>, session: &Session<'_>) -> Result<Subscriber, CliError> {
    let options = uncopy::subscribe(name).timeout(Some(PATIENCE));
    let options = match spin {
        Some(spin) => options.spin(spin),
        None => options,
    };
    Ok(options.open_with(&mut session.waiting())?)
}

/// The other process, as seen from the one that measures. It is killed with the value.
pub(super) struct Peer(Child);

impl Peer {
    pub fn start(names: &Names, session: &Session<'_>) -> Result<Self, CliError> {
        let mut command = session.command_again();
        command.args(["bench-peer", &names.of.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.spawn().map_err(|e| CliError::io("start a second process of this command", e))?;
        Ok(Self(child))
    }

    /// What it answers with, once it is there and has taken its place.
    pub fn pongs(&mut self, names: &Names, session: &Session<'_>) -> Result<Subscriber, CliError> {
        subscribe(&names.pong, Some(PATIENCE), session).map_err(|error| self.explain(error))
    }

    /// Waits for its end, and takes what it found out.
    pub fn finish(mut self, session: &Session<'_>) -> Result<Vec<Latency>, CliError> {
        let mut said = Vec::new();
        if let Some(mut output) = self.0.stdout.take() {
            output.read_to_end(&mut said).map_err(|e| CliError::io("read from the second process", e))?;
        }
        session.check()?;
        serde_json::from_slice(&said).map_err(|error| {
            let error = CliError::io("understand the second process", std::io::Error::other(error));
            self.explain(error)
        })
    }

    /// An error with what the other process said of it, if it did.
    fn explain(&mut self, error: CliError) -> CliError {
        if matches!(error, CliError::Interrupted) {
            return error;
        }
        let _ = self.0.kill();
        let mut said = String::new();
        if let Some(mut errors) = self.0.stderr.take() {
            // Words that can't be read are left out.
            let _ = errors.read_to_string(&mut said);
        }
        match said.trim() {
            "" => error,
            said => CliError::said(ErrorKind::System, format!("{error}; the second process said: {said}")),
        }
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It has ended, or is not wanted any more.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
