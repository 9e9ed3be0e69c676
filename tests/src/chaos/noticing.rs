// SPDX-License-Identifier: MIT OR Apache-2.0
//! How long it takes until deaths and returns are noticed. Only who ran all the while is measured: to have been
//! stopped is no fault of the product.

use std::time::{Duration, Instant};

use uncopy::os::monotonic_nanos;

use super::cast::State;
use super::conductor::{Due, Run};
use super::places::Places;
use super::wrong::{Kind, Wrong};
use crate::peer::HANGS_AFTER;

impl Run<'_> {
    pub(super) fn opened(&mut self, at: usize, life: u64, nanos: u64) {
        let dir = self.runtime_dir();
        let link = &mut self.links[at];
        if link.life == life {
            link.places = dir.and_then(|dir| Places::of(&dir, &link.name));
        }
        let Some(record) = link.lives.get_mut(&life) else { return };
        record.opened = Some(nanos);
        for (actor, first) in std::mem::take(&mut record.early) {
            self.attached_anew(actor, at, life, first);
        }
    }

    /// A consumer that had lost one producer has its first frame of the next.
    pub(super) fn attached_anew(&mut self, actor: u64, at: usize, life: u64, nanos: u64) {
        let link = &mut self.links[at];
        let Some(record) = link.lives.get_mut(&life) else { return };
        let Some(opened) = record.opened else { return record.early.push((actor, nanos)) };
        // Where there are more subscribers than places it may have had to wait for one.
        let ran = |id: &u64| self.actors.get(id).is_some_and(|actor| actor.ran_from(opened, nanos));
        if !link.is_crowded && link.life == life && ran(&actor) && link.producer.as_ref().is_some_and(ran) {
            self.tally.reattached.push(nanos.saturating_sub(opened));
        }
    }

    pub(super) fn noticed_the_end(&mut self, actor: u64, at: usize, life: u64, nanos: u64) {
        let link = &mut self.links[at];
        if let Some((unaware, _)) = &mut link.unaware {
            unaware.remove(&actor);
        }
        // Only where nobody took the name before all had noticed: who is slow must not be missing.
        let killed = link.lives.get(&life).filter(|life| life.is_mourned).and_then(|life| life.killed);
        let ran = |killed| self.actors.get(&actor).is_some_and(|actor| actor.ran_from(killed, nanos));
        if let Some(killed) = killed.filter(|killed| ran(*killed)) {
            self.tally.producer_missed.push(nanos.saturating_sub(killed));
        }
    }

    /// Lets the next producer of a name come once everybody knows that the last one is dead.
    pub(super) fn look_for_the_unaware(&mut self, now: Instant) {
        for at in 0..self.links.len() {
            let actors = &self.actors;
            let link = &mut self.links[at];
            let Some((unaware, until)) = &mut link.unaware else { continue };
            unaware.retain(|id| actors.get(id).is_some_and(|actor| actor.state == State::Running));
            if unaware.is_empty() || now >= *until {
                link.unaware = None;
                let delay = Duration::from_micros(self.below(10_000));
                self.after(delay, Due::Produce { link: at });
            }
        }
    }

    /// Measures when the places of dead consumers are free.
    pub(super) fn look_for_the_dead(&mut self) -> Result<(), Wrong> {
        let now = monotonic_nanos();
        let mut waiting = Vec::new();
        for dead in std::mem::take(&mut self.dead) {
            let link = &self.links[dead.link];
            let producer = link.producer.and_then(|id| self.actors.get(&id));
            let ran = producer.is_some_and(|producer| {
                producer.state == State::Running && producer.ran_from(dead.killed, now)
            });
            let Some(places) = link.places.as_ref().filter(|_| ran && link.life == dead.life) else {
                continue;
            };
            if !places.has(dead.pid) {
                self.tally.consumer_missed.push(now - dead.killed);
            } else if now - dead.killed > HANGS_AFTER.as_nanos() as u64 {
                return Err(Wrong::new(
                    Kind::Hang,
                    format!("{} still keeps places for process {}, which is dead", link.name, dead.pid),
                ));
            } else {
                waiting.push(dead);
            }
        }
        self.dead = waiting;
        Ok(())
    }
}
