// SPDX-License-Identifier: MIT OR Apache-2.0
//! What participants say, and what follows from it. Each is believed about itself, and nobody may end unasked.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::cast::{Part, Said, State};
use super::conductor::{Due, Run};
use super::tally::Counts;
use super::wrong::{Kind, Wrong};

impl Run<'_> {
    pub(super) fn hear(&mut self, (id, event): Said) -> Result<(), Wrong> {
        let Some(event) = event else {
            if let Some(actor) = self.actors.get_mut(&id) {
                actor.is_silent = true;
            }
            return self.collect_if_ended(id);
        };
        let Some(actor) = self.actors.get_mut(&id) else { return Ok(()) };
        actor.heard = Instant::now();
        let (link, name) = (actor.link, actor.name().to_owned());
        let number = |key: &str| event[key].as_u64();
        match event["event"].as_str().unwrap_or_default() {
            "beat" => actor.counts = Counts::of(&event),
            "open" => {
                let is_asked_for = event["leases_off"].as_bool() == Some(self.leases_off);
                actor.said.insert("open".to_owned(), event.clone());
                if !is_asked_for {
                    return Err(Wrong::new(
                        Kind::Error,
                        format!(
                            "{name} is of the wrong build: {event}, wanted leases off: {}",
                            self.leases_off
                        ),
                    ));
                }
                if let (Part::Producer { life }, Some(at)) = (actor.part, number("at")) {
                    self.opened(link, life, at);
                }
            }
            "first" => {
                let (life, at) = (number("life").unwrap_or_default(), number("at").unwrap_or_default());
                let before = actor.attached.replace(life).or(number("before"));
                if before.is_some_and(|before| before != life) {
                    self.attached_anew(id, link, life, at);
                }
            }
            "gone" => {
                let (life, at) = (number("life").unwrap_or_default(), number("at").unwrap_or_default());
                if actor.attached == Some(life) {
                    actor.attached = None;
                }
                self.noticed_the_end(id, link, life, at);
            }
            "evicted" => actor.attached = None,
            "refused" => self.refused(id, &event)?,
            "wrong" => {
                let wrong = Wrong::reported(&event);
                // With leases off much goes wrong; what counts is that the check of the content finds it.
                if !self.leases_off || wrong.kind.is_of_content() {
                    let link = &self.links[link].name;
                    return Err(Wrong::new(wrong.kind, format!("{name} on {link}: {}", wrong.text)));
                }
            }
            once @ ("finished" | "drained" | "slots" | "superseded" | "end") => {
                if matches!(once, "finished" | "drained") {
                    actor.counts = Counts::of(&event);
                }
                let once = once.to_owned();
                actor.said.insert(once, event);
            }
            other => {
                return Err(Wrong::new(Kind::Error, format!("{name} said '{other}', which nobody knows")));
            }
        }
        Ok(())
    }

    /// A producer did not get its name. That is right as long as another has it.
    fn refused(&mut self, id: u64, event: &Value) -> Result<(), Wrong> {
        let Some(actor) = self.actors.get_mut(&id) else { return Ok(()) };
        actor.state = State::Leaving;
        let (link, name) = (actor.link, actor.name().to_owned());
        let holder = self.actors.iter().find(|(other, actor)| {
            **other != id
                && actor.link == link
                && matches!(actor.part, Part::Producer { .. })
                && actor.state != State::Killed
        });
        let holder = holder.map(|(other, _)| *other);
        match (event["kind"].as_str(), holder) {
            (Some("name_taken"), Some(holder)) => {
                self.note(format_args!("{name} is refused: {}", event["text"]));
                if let Some(holder) = self.actors.get_mut(&holder) {
                    holder.dismiss();
                }
                Ok(())
            }
            _ => Err(Wrong::new(Kind::Error, format!("{name} was refused: {}", event["text"]))),
        }
    }

    /// Counts a participant that has ended, and sends for another.
    pub(super) fn collect_if_ended(&mut self, id: u64) -> Result<(), Wrong> {
        let is_due = |(_, due): &(Instant, Due)| *due == Due::Collect { actor: id };
        let Some(actor) = self.actors.get(&id) else { return Ok(()) };
        // A killed one lies around for a while: dead is dead, also before it is collected.
        if !actor.is_silent || self.agenda.iter().any(is_due) {
            return Ok(());
        }
        let Some(mut actor) = self.actors.remove(&id) else { return Ok(()) };
        self.tally.counts.add(&actor.counts);
        let judged = actor.collect();
        let link = actor.link;
        if self.links[link].producer == Some(id) {
            self.links[link].producer = None;
            self.note(format_args!("{} has ended", actor.name()));
            self.after(Duration::ZERO, Due::Produce { link });
        } else if matches!(actor.part, Part::Visitor | Part::Crowd) && actor.state != State::Killed {
            self.send_for_another(link, actor.part);
        }
        let is_of_note = actor.state == State::Running && !actor.said.contains_key("superseded");
        let ended = match judged {
            Ok(()) if is_of_note => Err(Wrong::new(Kind::Crash, format!("{} ended unasked", actor.name()))),
            judged => judged,
        };
        if self.leases_off { Ok(()) } else { ended }
    }

    /// After a moment somebody else takes the part.
    pub(super) fn send_for_another(&mut self, link: usize, part: Part) {
        if self.is_closing {
            return;
        }
        let link = match part {
            Part::Crowd => link,
            _ => self.below(self.links.len() as u64) as usize,
        };
        let delay = Duration::from_micros(self.below(10_000));
        self.after(delay, Due::Visit { link, part });
    }
}
