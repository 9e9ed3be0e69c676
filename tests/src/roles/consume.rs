// SPDX-License-Identifier: MIT OR Apache-2.0
//! A consumer that checks every byte of every frame.
//!
//! | command | event |
//! |---|---|
//! | `run` receives until the next command | `first` after each attachment, `gone` when a producer is, `torn`, at last `ran` |
//! | `run-on` the same, and goes on when the link is corrupt | the same, with `corrupt` in `ran` |
//! | `run-unheld` reads frames after having given them back: what a consumer without leases would be | the same |
//! | `take [MS]` receives one frame and keeps it | `took` |
//! | `await N` receives N frames, each in a wait without end, and counts how often it looked up by itself | `awaited` |
//! | `newest` keeps the newest | `took` or `none` |
//! | `check` looks at all kept frames again | `checked` |
//! | `drop` gives all kept frames back; `drop-oldest` one | `dropped` |
//! | `tensors` keeps tensors instead of frames | `kept` |
//! | `write` writes into the last kept frame | (the end) |
//! | `clones` reads clones of the last frame in two threads and drops them there | `cloned` |
//! | `close` leaves the link and keeps the frames | `closed` |
//! | `wait-interruptibly` waits for a frame until a signal says stop | `error` |
//! | `wall-clock` | the same, with the time in seconds |
//! | `stats`, `points` | the same |
//! | `leave`, `abort` end the process with the link open | |

use std::time::Duration;

use serde_json::{Value, json};
use uncopy::{Frame, LinkError, Read, Subscriber, Tensor, Waiting};

use crate::script::{Commands, Words, emit, emit_error};
use crate::{pattern, points, raw};

/// How long one wait of `run` lasts before it looks for commands.
const SLICE: Duration = Duration::from_millis(20);

struct Consumer {
    sub: Option<Subscriber>,
    held: Vec<(Frame, u32)>,
    tensors: Vec<(Tensor, u64)>,
    torn: u64,
    corrupt: u64,
    goes_on: bool,
}

pub(super) fn play(words: &Words, commands: &mut Commands) {
    raw::count_signals();
    let timeout = words.number("--timeout").map(Duration::from_millis);
    let read = if words.has("--every") { Read::Every } else { Read::Latest };
    let sub = match uncopy::subscribe(words.name()).timeout(timeout).read(read).open() {
        Ok(sub) => sub,
        Err(error) => return emit_error(&error),
    };
    emit(&json!({ "event": "open" }));
    let mut consumer = Consumer {
        sub: Some(sub),
        held: Vec::new(),
        tensors: Vec::new(),
        torn: 0,
        corrupt: 0,
        goes_on: false,
    };
    while let Some(line) = commands.next_command() {
        let words: Vec<&str> = line.split(' ').collect();
        match consumer.obey(&words, commands) {
            Ok(event) => emit(&event),
            Err(error) => emit_error(&error),
        }
    }
}

impl Consumer {
    fn sub(&mut self) -> &mut Subscriber {
        self.sub.as_mut().expect("the link is open")
    }

    fn obey(&mut self, words: &[&str], commands: &Commands) -> Result<Value, LinkError> {
        Ok(match words {
            ["run"] => self.run(commands, Self::judge)?,
            ["run-on"] => {
                self.goes_on = true;
                self.run(commands, Self::judge)?
            }
            ["run-unheld"] => self.run(commands, judge_unheld)?,
            ["take", rest @ ..] => {
                let millis = rest.first().map_or(60_000, |millis| millis.parse().expect("milliseconds"));
                let frame = self.sub().recv(Duration::from_millis(millis))?;
                self.keep(frame)
            }
            ["await", frames] => {
                let mut looks = Looks(0);
                for _ in 0..frames.parse().expect("a number of frames") {
                    drop(self.sub().recv_with(None, &mut looks)?);
                }
                json!({ "event": "awaited", "looks": looks.0 })
            }
            ["newest"] => match self.sub().newest()? {
                Some(frame) => self.keep(frame),
                None => json!({ "event": "none" }),
            },
            ["check"] => self.check(),
            ["drop"] => {
                self.held.clear();
                self.tensors.clear();
                json!({ "event": "dropped" })
            }
            ["drop-oldest"] => {
                self.held.remove(0);
                json!({ "event": "dropped" })
            }
            ["tensors"] => {
                for (frame, _) in self.held.drain(..) {
                    self.tensors.push((frame.tensor()?, frame.seq()));
                }
                json!({ "event": "kept", "tensors": self.tensors.len() })
            }
            ["write"] => {
                let (frame, _) = self.held.last().expect("a frame is kept");
                raw::stray_write(frame.address() + frame.bytes().len() / 2, 0xEE);
                json!({ "event": "written" })
            }
            ["clones"] => self.clones(),
            ["close"] => {
                self.sub = None;
                json!({ "event": "closed" })
            }
            ["wait-interruptibly"] => {
                let mut waiting = UntilSignal(raw::signals());
                emit(&json!({ "event": "waiting" }));
                let frame = self.sub().recv_with(None, &mut waiting)?;
                self.keep(frame)
            }
            ["wall-clock"] => {
                let since = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970");
                json!({ "event": "wall-clock", "seconds": since.as_secs() })
            }
            ["stats"] => self.stats("stats"),
            ["points"] => json!({ "event": "points", "passed": points::passed() }),
            ["leave"] => std::process::exit(0),
            ["abort"] => std::process::abort(),
            other => panic!("no command {other:?}"),
        })
    }

    fn run(
        &mut self,
        commands: &Commands,
        judge: impl Fn(Frame) -> Result<(), pattern::Torn>,
    ) -> Result<Value, LinkError> {
        let mut announced = None;
        let mut is_gone = false;
        while !commands.waiting() {
            match self.sub().recv(SLICE) {
                Ok(frame) => {
                    is_gone = false;
                    let restarts = self.sub().restarts();
                    if announced != Some(restarts) {
                        announced = Some(restarts);
                        emit(&json!({ "event": "first", "seq": frame.seq(), "restarts": restarts }));
                    }
                    if let Err(torn) = judge(frame) {
                        self.torn += 1;
                        emit(&json!({ "event": "torn", "text": torn.to_string() }));
                    }
                }
                Err(LinkError::TimedOut { .. }) => {}
                Err(LinkError::ProducerLost { .. } | LinkError::ProducerClosed { .. }) if is_gone => {}
                Err(error @ (LinkError::ProducerLost { .. } | LinkError::ProducerClosed { .. })) => {
                    is_gone = true;
                    emit(&json!({ "event": "gone", "kind": error.kind().name(), "text": error.to_string() }));
                }
                Err(LinkError::Corrupt { .. }) if self.goes_on => self.corrupt += 1,
                Err(error) => return Err(error),
            }
        }
        Ok(self.stats("ran"))
    }

    fn judge(frame: Frame) -> Result<(), pattern::Torn> {
        pattern::check(frame.bytes(), frame.seq())
    }

    fn keep(&mut self, frame: Frame) -> Value {
        let crc = pattern::checksum(frame.bytes());
        let event = json!({
            "event": "took", "seq": frame.seq(), "missed": frame.missed(), "crc": crc, "epoch": frame.epoch(),
            "age_nanos": frame.age().map(|age| age.as_nanos() as u64), "published_nanos": frame.published_nanos(),
            "form": frame.form().to_string(), "whole": pattern::check(frame.bytes(), frame.seq()).is_ok(),
        });
        self.held.push((frame, crc));
        event
    }

    /// Whether every kept frame is what it was, and what its number says.
    fn check(&self) -> Value {
        let frames = self.held.iter().all(|(frame, crc)| {
            pattern::checksum(frame.bytes()) == *crc && pattern::check(frame.bytes(), frame.seq()).is_ok()
        });
        let tensors = self.tensors.iter().all(|(tensor, seq)| {
            let bytes = tensor.region().as_bytes().expect("host memory");
            pattern::check(bytes, *seq).is_ok()
        });
        json!({ "event": "checked", "whole": frames && tensors, "frames": self.held.len(), "tensors": self.tensors.len() })
    }

    /// Two threads hold clones of one frame; the last one to drop gives it back.
    fn clones(&mut self) -> Value {
        let (frame, _) = self.held.pop().expect("a frame is kept");
        let whole = std::thread::scope(|scope| {
            let readers: Vec<_> = [frame.clone(), frame]
                .into_iter()
                .map(|clone| scope.spawn(move || Self::judge(clone).is_ok()))
                .collect();
            readers.into_iter().all(|reader| reader.join().expect("a reader does not panic"))
        });
        json!({ "event": "cloned", "whole": whole })
    }

    fn stats(&mut self, event: &str) -> Value {
        let (torn, corrupt) = (self.torn, self.corrupt);
        let sub = self.sub();
        let stats = sub.stats();
        json!({
            "event": event, "received": stats.received, "missed": stats.missed, "restarts": sub.restarts(), "torn": torn,
            "corrupt": corrupt, "signals": raw::signals(),
        })
    }
}

/// Gives the frame back first and looks at its bytes then. The mapping stays: the subscriber keeps it.
fn judge_unheld(frame: Frame) -> Result<(), pattern::Torn> {
    let (address, len, seq) = (frame.address(), frame.bytes().len(), frame.seq());
    drop(frame);
    pattern::check(&raw::read_unheld(address, len), seq)
}

/// Counts how often a wait looked up.
struct Looks(u64);

impl Waiting for Looks {
    fn keep_waiting(&mut self) -> bool {
        self.0 += 1;
        true
    }
}

struct UntilSignal(u32);

impl Waiting for UntilSignal {
    fn keep_waiting(&mut self) -> bool {
        raw::signals() == self.0
    }
}
