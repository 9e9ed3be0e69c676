// SPDX-License-Identifier: MIT OR Apache-2.0
//! The processes of the demo: started in order, watched while they run, gone when the demo is.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use uncopy::ErrorKind;

use super::memory::Memory;
use super::subject::Subject;
use super::{Consumer, Options};
use crate::error::CliError;
use crate::host::{SLICE, Session};
use crate::python::Python;
use crate::report::CopyReport;

/// Receives frames as arrays of a framework.
const PYTHON_CONSUMER: &str = include_str!("consumer.py");
/// Two more than consumers, each of which holds one frame: the producer always finds a free slot. One is to spare, for
/// a consumer that takes its next frame before it lets go of the last.
const SPARE_SLOTS: usize = 3;
/// How long a consumer may keep the producer waiting before it is left behind, in seconds.
const PATIENCE_SECONDS: &str = "20";

/// What the producer says at its end.
#[derive(Deserialize, Serialize)]
pub(super) struct Sent {
    pub frames: u64,
    pub published: u64,
    pub dropped: u64,
    pub late: u64,
    pub fps: Option<f64>,
    pub form: SentForm,
}

#[derive(Deserialize, Serialize)]
pub(super) struct SentForm {
    pub dtype: String,
    pub shape: Vec<usize>,
    pub pixel: Option<String>,
}

/// What a consumer says at its end.
#[derive(Deserialize, Serialize)]
pub(super) struct Received {
    #[serde(default)]
    pub name: String,
    pub frames: u64,
    pub missed: u64,
    pub last_frame: Option<u64>,
    pub latency_nanos: Option<LatencyNanos>,
    pub checked: u64,
    pub torn: u64,
    pub torn_frames: Vec<u64>,
    /// Where it received frames.
    pub device: Option<String>,
    pub copies: Vec<CopyReport>,
    /// Copies that it made to check them.
    pub own_copies: Vec<CopyReport>,
}

#[derive(Deserialize, Serialize, Clone, Copy)]
pub(super) struct LatencyNanos {
    pub p50: u64,
    pub p99: u64,
    pub max: u64,
}

/// Everybody who takes part.
pub(super) struct Cast {
    link: String,
    producer: Command,
    consumers: Vec<(Consumer, Command)>,
    running: Vec<Part>,
    pictures: Pictures,
    frames: Option<u64>,
}

impl Cast {
    pub fn new(
        options: &Options,
        subject: &Subject,
        memory: &Memory,
        python: Option<Python>,
        broken_frame: Option<u64>,
        session: &Session<'_>,
    ) -> Result<Self, CliError> {
        let link = format!("demo-{}", std::process::id());
        let pictures = Pictures::new(&options.out)?;
        let producer = producer(&link, options, (subject, memory), broken_frame, session);
        let mut consumers = Vec::new();
        for &consumer in &options.consumers {
            let mut command = match (consumer.module(), &python) {
                (None, _) => {
                    let mut command = session.command_again();
                    command.args(["demo-consumer", &link]);
                    command
                }
                (Some(module), Some(python)) => {
                    let mut command = python.command(PYTHON_CONSUMER);
                    command.args([&link, module, &memory.device.to_string()]);
                    command
                }
                (Some(_), None) => continue,
            };
            command.arg(&pictures.0).args(subject.frames.map(|frames| frames.to_string()));
            consumers.push((consumer, command));
        }
        Ok(Self { link, producer, consumers, running: Vec::new(), pictures, frames: subject.frames })
    }

    /// The name of the link.
    pub fn link(&self) -> &str {
        &self.link
    }

    /// Where the consumers have put their pictures.
    pub fn pictures(&self) -> &Path {
        &self.pictures.0
    }

    /// Starts the producer, then the consumers that it waits for, and watches until all have ended.
    pub fn play(&mut self, session: &Session<'_>) -> Result<(), CliError> {
        self.running.push(Part::start("producer", &mut self.producer)?);
        while uncopy::info(&self.link).is_err() {
            session.check()?;
            self.all_are_well()?;
            std::thread::sleep(SLICE);
        }
        for (consumer, command) in &mut self.consumers {
            self.running.push(Part::start(consumer.name(), command)?);
        }
        let progress = session.console.progress("playing", self.frames);
        let wanted = self.consumers.len();
        loop {
            session.check()?;
            self.all_are_well()?;
            if self.running.iter().all(|part| part.has_ended) {
                return Ok(());
            }
            if let Ok(link) = uncopy::info(&self.link) {
                progress.show(link.published, || match (link.published, link.consumers.len()) {
                    (0, here) => format!("{here} of {wanted} consumers are here"),
                    (_, here) => format!("{here} consumers, {} dropped", link.dropped),
                });
            }
            std::thread::sleep(2 * SLICE);
        }
    }

    /// An error if somebody has failed: nobody is waited for then.
    fn all_are_well(&mut self) -> Result<(), CliError> {
        self.running.iter_mut().try_for_each(Part::look)
    }

    /// What everybody has to say.
    pub fn gather(&mut self) -> Result<(Sent, Vec<Received>), CliError> {
        let mut parts = self.running.drain(..);
        let Some(mut producer) = parts.next() else {
            return Err(CliError::said(ErrorKind::System, "the demo has not been played"));
        };
        let sent = producer.said()?;
        let received = parts.map(|mut part| Ok(Received { name: part.name.to_owned(), ..part.said()? }));
        Ok((sent, received.collect::<Result<_, CliError>>()?))
    }
}

fn producer(
    link: &str,
    options: &Options,
    (subject, memory): (&Subject, &Memory),
    broken_frame: Option<u64>,
    session: &Session<'_>,
) -> Command {
    let mut command = session.command_again();
    command.args([
        "send",
        link,
        "--crc",
        "--json",
        "--when-full",
        "block",
        "--evict-after",
        PATIENCE_SECONDS,
    ]);
    let consumers = options.consumers.len();
    command.args(["--wait", &consumers.to_string(), "--slots", &(consumers + SPARE_SLOTS).to_string()]);
    match &subject.path {
        Some(path) => command.arg(path),
        None => command.arg("--pattern"),
    };
    if memory.is_on_gpu() {
        command.args(["--device", &memory.device.to_string(), "--mirror"]);
    }
    if let Some(limit) = subject.limit {
        command.args(["--frames", &limit.to_string()]);
    }
    if let Some(number) = broken_frame {
        command.args(["--break-frame", &number.to_string()]);
    }
    if let Some(python) = &options.python {
        command.arg("--python").arg(python);
    }
    command
}

/// A process that takes part. It is ended with the demo, however that ends.
struct Part {
    name: &'static str,
    child: Child,
    output: Option<JoinHandle<String>>,
    errors: Option<JoinHandle<String>>,
    has_ended: bool,
}

impl Part {
    fn start(name: &'static str, command: &mut Command) -> Result<Self, CliError> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|e| {
            CliError::io(format!("start the {name} ({})", command.get_program().display()), e)
        })?;
        let output = child.stdout.take().map(|pipe| std::thread::spawn(move || all_of(pipe)));
        let errors = child.stderr.take().map(|pipe| std::thread::spawn(move || all_of(pipe)));
        Ok(Self { name, child, output, errors, has_ended: false })
    }

    /// Notices its end; an error if it was a bad one.
    fn look(&mut self) -> Result<(), CliError> {
        if self.has_ended {
            return Ok(());
        }
        let name = self.name;
        let looked = self.child.try_wait().map_err(|e| CliError::io(format!("watch the {name}"), e))?;
        let Some(status) = looked else { return Ok(()) };
        self.has_ended = true;
        if status.success() {
            return Ok(());
        }
        let errors = self.errors.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        let last = errors.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing").trim();
        let last = last.strip_prefix("error: ").unwrap_or(last).replace(char::is_control, "?");
        Err(CliError::said(ErrorKind::System, format!("the {name} of the demo ended with {status}: {last}")))
    }

    /// What it wrote at its end.
    fn said<T: DeserializeOwned>(&mut self) -> Result<T, CliError> {
        let text = self.output.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        serde_json::from_str(&text).map_err(|error| {
            let sentence = format!("the {} of the demo said what is not understood: {error}", self.name);
            CliError::said(ErrorKind::System, sentence)
        })
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Both fail only for a child that has ended and was waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn all_of(mut pipe: impl Read) -> String {
    let mut bytes = Vec::new();
    // What came before a failure is worth having.
    let _ = pipe.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A directory for pictures, removed with its owner.
struct Pictures(PathBuf);

impl Pictures {
    fn new(out: &Path) -> Result<Self, CliError> {
        let path = out.join(format!(".uncopy-demo-{}", std::process::id()));
        std::fs::create_dir_all(&path).map_err(|e| CliError::io(format!("make {}", path.display()), e))?;
        Ok(Self(path))
    }
}

impl Drop for Pictures {
    fn drop(&mut self) {
        // A directory that stays behind is hidden, small, and named after us.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
