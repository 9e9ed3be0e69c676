// SPDX-License-Identifier: MIT OR Apache-2.0
//! The end of a run: everything that was published is received, every slot comes back, and nothing is left.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use super::cast::{Part, State};
use super::conductor::{Due, Run};
use super::wrong::{Kind, Wrong};
use crate::footprint::{anonymous_bytes, descriptor_count};
use crate::peer::HANGS_AFTER;
use crate::stage::files_in;

/// The most that the memory of one who stayed may grow.
const GROWTH_BYTES: u64 = 1 << 20;
/// Between two looks at what must come by itself.
const LOOK_EVERY: Duration = Duration::from_millis(2);

impl Run<'_> {
    pub(super) fn close(&mut self) -> Result<(), Wrong> {
        self.is_closing = true;
        self.note(format_args!("the curtain falls"));
        self.gather()?;
        self.finish()?;
        self.drain()?;
        self.see_the_guests_off()?;
        self.count_slots()?;
        self.weigh_those_who_stayed()?;
        self.dismiss_all(|_| true)?;
        self.look_for_leftovers()
    }

    /// Nobody is stopped, and every name has a producer.
    fn gather(&mut self) -> Result<(), Wrong> {
        self.agenda.retain(|(_, due)| !matches!(due, Due::Visit { .. }));
        self.next_act = Instant::now() + HANGS_AFTER;
        for actor in self.actors.values_mut().filter(|actor| actor.state == State::Stopped) {
            actor.go_on();
        }
        self.until("every name has a producer, and nobody is about to leave", |run| {
            let has_opened =
                |id: &u64| run.actors.get(id).is_some_and(|actor| actor.said.contains_key("open"));
            run.links.iter().all(|link| link.producer.as_ref().is_some_and(has_opened))
                && run.actors.values().all(|actor| actor.state == State::Running)
        })
    }

    /// Nobody publishes any more.
    fn finish(&mut self) -> Result<(), Wrong> {
        for actor in self.actors.values_mut().filter(|actor| matches!(actor.part, Part::Producer { .. })) {
            actor.order("finish");
        }
        self.until("every producer has finished", |run| {
            run.actors.values().all(|actor| {
                !matches!(actor.part, Part::Producer { .. }) || actor.said.contains_key("finished")
            })
        })
    }

    /// Everybody has the last frame.
    fn drain(&mut self) -> Result<(), Wrong> {
        let mut last = Vec::new();
        for link in &self.links {
            let finished = link.producer.and_then(|id| self.actors.get(&id)?.said.get("finished").cloned());
            last.push(finished.unwrap_or_default());
        }
        for actor in self.actors.values_mut().filter(|actor| !matches!(actor.part, Part::Producer { .. })) {
            let finished = &last[actor.link];
            actor.order(&format!("drain {} {}", finished["life"], finished["seq"]));
        }
        self.until("every consumer has received the last frame", |run| {
            run.actors.values().all(|actor| {
                matches!(actor.part, Part::Producer { .. }) || actor.said.contains_key("drained")
            })
        })?;
        for actor in self.actors.values() {
            let caught_up = actor.said.get("drained").and_then(|drained| drained["caught_up"].as_u64());
            if caught_up == Some(0) && !self.links[actor.link].is_crowded {
                let text = format!("{} did not get the last frame: {}", actor.name(), last[actor.link]);
                return Err(Wrong::new(Kind::Unaccounted, text));
            }
        }
        Ok(())
    }

    fn see_the_guests_off(&mut self) -> Result<(), Wrong> {
        self.dismiss_all(|part| matches!(part, Part::Visitor | Part::Crowd))
    }

    fn dismiss_all(&mut self, is_meant: impl Fn(Part) -> bool) -> Result<(), Wrong> {
        for link in &mut self.links {
            if is_meant(Part::Producer { life: 0 }) {
                link.producer = None;
            }
        }
        for actor in self.actors.values_mut().filter(|actor| is_meant(actor.part)) {
            actor.dismiss();
        }
        self.until("everybody has left", |run| !run.actors.values().any(|actor| is_meant(actor.part)))
    }

    /// A producer that survived can claim all its slots but the newest frame's.
    fn count_slots(&mut self) -> Result<(), Wrong> {
        let producers: BTreeSet<u64> = self.links.iter().filter_map(|link| link.producer).collect();
        producers.into_iter().try_for_each(|id| self.count_slots_of(id))
    }

    fn count_slots_of(&mut self, id: u64) -> Result<(), Wrong> {
        // What the last guests held comes back a moment after they have left.
        let begun = Instant::now();
        while let Some(actor) = self.actors.get_mut(&id) {
            actor.said.remove("slots");
            actor.order("slots");
            self.until("a producer has counted its slots", |run| {
                run.actors.get(&id).is_none_or(|actor| actor.said.contains_key("slots"))
            })?;
            let Some(actor) = self.actors.get(&id) else { break };
            let said = actor.said.get("slots").cloned().unwrap_or_default();
            let (claimed, slots) = (said["claimed"].as_u64(), said["slots"].as_u64());
            if claimed == slots.map(|slots| slots - 1) {
                self.tally.slots_back += claimed.unwrap_or_default();
                return Ok(());
            }
            if begun.elapsed() > HANGS_AFTER {
                return Err(Wrong::new(Kind::Leak, format!("{} has lost slots: {said}", actor.name())));
            }
            // Only looking shows what another process has let go of.
            std::thread::sleep(LOOK_EVERY);
        }
        Err(Wrong::new(Kind::Crash, "a producer ended before it had counted its slots"))
    }

    /// Those who stayed take what they took before anybody came.
    fn weigh_those_who_stayed(&mut self) -> Result<(), Wrong> {
        let begun = Instant::now();
        for stay in &mut self.tally.stays {
            loop {
                stay.last_descriptors = descriptor_count(stay.pid);
                if stay.more_descriptors() == 0 || begun.elapsed() > HANGS_AFTER {
                    break;
                }
                // As above: nothing tells of a descriptor that is closed elsewhere.
                std::thread::sleep(LOOK_EVERY);
            }
            stay.last_bytes = anonymous_bytes(stay.pid);
        }
        for stay in &self.tally.stays {
            let Some(warm) = stay.warm_bytes else { continue };
            if stay.growth_bytes() >= GROWTH_BYTES {
                let text = format!("{} grew from {warm} to {} bytes", stay.name, stay.last_bytes);
                return Err(Wrong::new(Kind::Leak, text));
            }
        }
        match self.tally.stays.iter().find(|stay| stay.more_descriptors() > 0) {
            Some(stay) => Err(Wrong::new(
                Kind::Leak,
                format!(
                    "{} has {} descriptors, {} at first",
                    stay.name, stay.last_descriptors, stay.first_descriptors
                ),
            )),
            None => Ok(()),
        }
    }

    /// No process, no file of a link, no named shared memory.
    fn look_for_leftovers(&mut self) -> Result<(), Wrong> {
        let leak = |text: String| Err(Wrong::new(Kind::Leak, text));
        let Some(dir) = self.runtime_dir() else { return leak("the runtime directory is gone".to_owned()) };
        // Whoever looks next removes what the dead left.
        let live = uncopy::list_in(&dir)?;
        if !live.is_empty() {
            return leak(format!("links without a process: {live:?}"));
        }
        let mut files = files_in(dir.path());
        // What went wrong is kept for whoever reads it. (link-v1.md, "Errors")
        files.retain(|file| !self.links.iter().any(|link| *file == format!("{}.errors", link.name)));
        files.extend(shared_memory());
        if files.is_empty() { Ok(()) } else { leak(format!("files are left: {files:?}")) }
    }
}

/// Named shared memory that could be ours. There is never any: ours has no name.
fn shared_memory() -> Vec<String> {
    let names = fs::read_dir("/dev/shm").into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.filter_map(|name| name.into_string().ok()).filter(|name| name.contains("uncopy")).collect()
}
