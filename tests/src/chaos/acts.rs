// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is done to participants, and to whom. The n-th act of a seed is the same in every run; whom it meets depends
//! on who is there.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use uncopy::os::monotonic_nanos;

use super::cast::{Actor, Part, State};
use super::conductor::{Dead, Draw, Due, Run};

impl Run<'_> {
    /// Does something to somebody, and says when the next act is.
    pub(super) fn act(&mut self) {
        self.acts += 1;
        self.draw_for(Draw::Act, self.acts);
        let longest = if self.is_flat_out() { 150_000 } else { 14_000 };
        self.next_act = Instant::now() + Duration::from_micros(500 + self.below(longest));
        match self.below(100) {
            0..40 => self.kill_a_consumer(),
            40..62 => self.kill_a_producer(),
            62..68 => {
                // Both at once; they come back in any order.
                self.kill_a_producer();
                self.kill_a_consumer();
            }
            68..82 => self.stop_somebody(),
            82..90 => self.say_farewell(),
            _ => self.take_over(),
        }
    }

    /// One of those who are there and whom `is_meant` means.
    fn somebody(&mut self, is_meant: impl Fn(&Actor) -> bool) -> Option<u64> {
        let is_there = |actor: &Actor| matches!(actor.state, State::Running | State::Stopped);
        let all: Vec<u64> = self
            .actors
            .iter()
            .filter(|(_, actor)| is_there(actor) && is_meant(actor))
            .map(|(id, _)| *id)
            .collect();
        if all.is_empty() {
            return None;
        }
        let at = self.below(all.len() as u64) as usize;
        all.get(at).copied()
    }

    fn kill_a_consumer(&mut self) {
        let Some(id) = self.somebody(|actor| matches!(actor.part, Part::Visitor | Part::Crowd)) else {
            return;
        };
        let Some(actor) = self.actors.get_mut(&id) else { return };
        let (pid, link, part, name) = (actor.pid(), actor.link, actor.part, actor.name().to_owned());
        let has_place = self.links[link].places.as_ref().is_some_and(|places| places.has(pid));
        let killed = monotonic_nanos();
        actor.kill();
        self.tally.consumers_killed += 1;
        if has_place {
            self.dead.push(Dead { pid, link, life: self.links[link].life, killed });
        }
        self.note(format_args!("{name} is killed"));
        self.lay_out(id);
        self.send_for_another(link, part);
    }

    fn kill_a_producer(&mut self) {
        let is_meant = |actor: &Actor| matches!(actor.part, Part::Producer { .. }) && !actor.stays;
        let Some(id) = self.somebody(is_meant) else { return };
        let is_mourned = self.below(2) == 0;
        let delay = Duration::from_micros(self.below(30_000));
        let Some(actor) = self.actors.get_mut(&id) else { return };
        let Part::Producer { life } = actor.part else { return };
        let (at, name) = (actor.link, actor.name().to_owned());
        let killed = monotonic_nanos();
        actor.kill();
        self.tally.producers_killed += 1;
        self.note(format_args!("{name} is killed"));
        let mut unaware = BTreeSet::new();
        for (other, actor) in &self.actors {
            if actor.link == at && actor.attached == Some(life) && actor.state == State::Running {
                unaware.insert(*other);
            }
        }
        let link = &mut self.links[at];
        if let Some(record) = link.lives.get_mut(&life) {
            record.killed = Some(killed);
            record.is_mourned = is_mourned;
        }
        // Another may be on its way to take the name over.
        if link.producer == Some(id) {
            link.producer = None;
            link.places = None;
            if is_mourned {
                link.unaware = Some((unaware, Self::patience()));
            } else {
                self.after(delay, Due::Produce { link: at });
            }
        }
        // Whoever takes the name next must find it free.
        if let Some(actor) = self.actors.get(&id) {
            actor.wait_until_dead();
        }
        self.lay_out(id);
    }

    /// A dead process is collected some time later.
    fn lay_out(&mut self, actor: u64) {
        let delay = Duration::from_micros(self.below(40_000));
        self.after(delay, Due::Collect { actor });
    }

    fn stop_somebody(&mut self) {
        let Some(id) = self.somebody(|actor| actor.state == State::Running) else { return };
        let millis = if self.below(8) == 0 { 300 } else { 80 };
        let delay = Duration::from_micros(1000 + self.below(millis * 1000));
        let Some(actor) = self.actors.get_mut(&id) else { return };
        actor.stop();
        let name = actor.name().to_owned();
        self.tally.stops += 1;
        self.note(format_args!("{name} is stopped for {delay:.1?}"));
        self.after(delay, Due::GoOn { actor: id });
    }

    /// Tells somebody to leave, who does so in good order.
    fn say_farewell(&mut self) {
        let Some(id) = self.somebody(|actor| actor.state == State::Running && !actor.stays) else { return };
        let Some(actor) = self.actors.get_mut(&id) else { return };
        actor.dismiss();
        let name = actor.name().to_owned();
        self.tally.farewells += 1;
        self.note(format_args!("{name} is told to leave"));
    }

    /// Starts a producer under a name that another has.
    fn take_over(&mut self) {
        let is_meant = |actor: &Actor| {
            matches!(actor.part, Part::Producer { .. })
                && !actor.stays
                && actor.state == State::Running
                && actor.said.contains_key("open")
        };
        let Some(id) = self.somebody(is_meant) else { return };
        let Some(actor) = self.actors.get_mut(&id) else { return };
        let link = actor.link;
        if self.links[link].producer != Some(id) {
            return;
        }
        actor.state = State::Leaving;
        let name = actor.name().to_owned();
        self.tally.takeovers += 1;
        self.note(format_args!("{name} is to be superseded"));
        self.start_producer(link, true);
    }
}
