// SPDX-License-Identifier: MIT OR Apache-2.0
//! A producer that is told what to publish.
//!
//! | command | event |
//! |---|---|
//! | `frame FORM` | `published` |
//! | `burst N FORM` | `burst` with published and dropped |
//! | `run FORM[,FORM..] [EVERY]` publishes until the next command, `EVERY` frames of each form in turn | `ran` |
//! | `claim FORM`, `commit`, `abandon` | `claimed`, `published`, `abandoned` |
//! | `view FORM` publishes a claimed slot and keeps a writable view of it; `write` writes through that view | `published`, `written` |
//! | `consumers N` waits for that many | `consumers` |
//! | `stats`, `points` | the same |
//! | `no-descriptors` forbids itself to open anything more | `limited` |
//! | `close` | `closed` |
//! | `leave`, `panic`, `abort` end the process with the link open | |

use std::time::Duration;

use serde_json::{Value, json};
use uncopy::{Claim, LinkError, Meta, Publisher, Tensor, WhenFull};

use crate::roles::limited;
use crate::script::{Commands, Words, emit, emit_error};
use crate::{form, pattern, points, raw};

/// Longer than any wait that a test expects.
const LONG: Duration = Duration::from_secs(60);

struct Producer {
    out: Option<Publisher>,
    claim: Option<Claim>,
    views: Vec<Tensor>,
}

pub(super) fn play(words: &Words, commands: &mut Commands) {
    let mut options = uncopy::publish(words.name()).takeover(words.has("--takeover"));
    if let Some(slots) = words.number("--slots") {
        options = options.slots(slots as usize);
    }
    if let Some(text) = words.value("--form") {
        options = options.form(form(text));
    }
    let millis = |option| words.number(option).map(Duration::from_millis);
    if words.has("--block") {
        options = options.when_full(WhenFull::Block(millis("--room-timeout")));
    }
    let out = match options.evict_after(millis("--evict-after")).open() {
        Ok(out) => out,
        Err(error) => return emit_error(&error),
    };
    emit(&json!({ "event": "open", "slots": out.slots() }));
    let mut producer = Producer { out: Some(out), claim: None, views: Vec::new() };
    while let Some(line) = commands.next_command() {
        let words: Vec<&str> = line.split(' ').collect();
        match producer.obey(&words, commands) {
            Ok(event) => emit(&event),
            Err(error) => emit_error(&error),
        }
    }
}

impl Producer {
    fn out(&mut self) -> &mut Publisher {
        self.out.as_mut().expect("the link is open")
    }

    fn obey(&mut self, words: &[&str], commands: &Commands) -> Result<Value, LinkError> {
        Ok(match words {
            ["frame", text] => json!({ "event": "published", "seq": publish(self.out(), text)? }),
            ["burst", count, text] => self.burst(count.parse().expect("a count"), text)?,
            ["run", texts, rest @ ..] => {
                let every = rest.first().map_or(1, |every| every.parse().expect("a count"));
                self.run(texts, every, commands)?
            }
            ["claim", text] => {
                self.claim = Some(self.out().claim(&form(text))?);
                json!({ "event": "claimed" })
            }
            ["commit"] => {
                let mut claim = self.claim.take().expect("claimed before");
                let seq = self.out().seq() + 1;
                pattern::fill(claim.bytes_mut()?, seq);
                json!({ "event": "published", "seq": self.out().commit(claim, Meta::default())? })
            }
            ["abandon"] => {
                self.claim = None;
                json!({ "event": "abandoned" })
            }
            ["view", text] => self.view(text)?,
            ["write"] => {
                let view = self.views.last().expect("a view was kept");
                raw::stray_write(view.address() + view.layout().len_bytes() / 2, 0xEE);
                json!({ "event": "written" })
            }
            ["consumers", count] => {
                self.out().wait_for_consumers(count.parse().expect("a count"), LONG)?;
                json!({ "event": "consumers", "count": self.out().consumers() })
            }
            ["stats"] => {
                let stats = self.out().stats();
                json!({ "event": "stats", "published": stats.published, "dropped": stats.dropped, "consumers": stats.consumers })
            }
            ["points"] => json!({ "event": "points", "passed": points::passed() }),
            ["no-descriptors"] => {
                limited::leave_no_descriptor();
                json!({ "event": "limited" })
            }
            ["close"] => {
                self.out = None;
                json!({ "event": "closed" })
            }
            ["leave"] => std::process::exit(0),
            ["panic"] => panic!("told to"),
            ["abort"] => std::process::abort(),
            other => panic!("no command {other:?}"),
        })
    }

    fn burst(&mut self, count: u64, text: &str) -> Result<Value, LinkError> {
        let (mut published, mut dropped) = (0, 0);
        for _ in 0..count {
            match publish(self.out(), text) {
                Ok(_) => published += 1,
                Err(LinkError::NoFreeSlot { .. }) => dropped += 1,
                Err(error) => return Err(error),
            }
        }
        let seq = self.out().seq();
        Ok(json!({ "event": "burst", "published": published, "dropped": dropped, "seq": seq }))
    }

    fn run(&mut self, texts: &str, every: u64, commands: &Commands) -> Result<Value, LinkError> {
        let texts: Vec<&str> = texts.split(',').collect();
        let mut dropped = 0;
        while !commands.waiting() {
            for text in &texts {
                for _ in 0..every {
                    match publish(self.out(), text) {
                        Ok(_) => {}
                        Err(LinkError::NoFreeSlot { .. }) => dropped += 1,
                        Err(error) => return Err(error),
                    }
                }
            }
        }
        Ok(json!({ "event": "ran", "seq": self.out().seq(), "dropped": dropped }))
    }

    fn view(&mut self, text: &str) -> Result<Value, LinkError> {
        let out = self.out.as_mut().expect("the link is open");
        let mut claim = out.claim(&form(text))?;
        pattern::fill(claim.bytes_mut()?, out.seq() + 1);
        let view = claim.tensor()?;
        let seq = out.commit(claim, Meta::default())?;
        self.views.push(view);
        Ok(json!({ "event": "published", "seq": seq }))
    }
}

/// Publishes one frame whose bytes follow from its number.
fn publish(out: &mut Publisher, text: &str) -> Result<u64, LinkError> {
    let seq = out.seq() + 1;
    let mut loan = out.loan(&form(text))?;
    pattern::fill(loan.bytes_mut(), seq);
    loan.publish(Meta::default())
}
