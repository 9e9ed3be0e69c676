// SPDX-License-Identifier: MIT OR Apache-2.0
//! Who is started, and with which policies: drawn anew for each.

use super::cast::{Actor, House, Part};
use super::conductor::{Draw, Life, Run};
use super::options::Options;
use super::produce::Pace;

impl Run<'_> {
    fn start(&mut self, part: Part, link: usize, words: Vec<String>) -> u64 {
        self.last_id += 1;
        let id = self.last_id;
        let runtime_dir = self.root.join("run");
        let house = House { program: &self.program, runtime_dir: &runtime_dir, errors: &self.root };
        let actor = Actor::start(id, part, link, &words, &house, &self.said);
        let name = actor.name().to_owned();
        self.actors.insert(id, actor);
        self.note(format_args!("{name} starts: {}", words[1..].join(" ")));
        id
    }

    pub(super) fn start_producer(&mut self, link: usize, takeover: bool) {
        self.last_life += 1;
        let life = self.last_life;
        self.draw_for(Draw::Producer, life);
        let seed = self.any();
        let Options { forms, pace, calm, .. } = self.options;
        let (slots, block, wait, evicts, evict) =
            (4 + self.below(9), self.below(2), 5 + self.below(20), self.below(3), 20 + self.below(60));
        let name = &self.links[link].name;
        let mut line = format!("produce {name} --life {life} --seed {seed} --forms {forms} --pace {pace}");
        if self.is_flat_out() {
            // Many frames at a time, and none for nobody.
            line += " --slots 64 --block --room-timeout 100";
        } else if *calm {
            line += " --slots 6";
        } else {
            line += &format!(" --slots {slots}");
            line += &if block == 1 { format!(" --block --room-timeout {wait}") } else { String::new() };
            line += &if evicts == 0 { format!(" --evict-after {evict}") } else { String::new() };
        }
        // One that lives long enough falls silent now and then: who slept through its last frame shows.
        line += if link == 0 && !calm { " --pauses" } else { "" };
        line += if takeover { " --takeover" } else { "" };
        let id = self.start(Part::Producer { life }, link, words(&line));
        if let Some(actor) = self.actors.get_mut(&id) {
            actor.stays = link == 0;
        }
        let link = &mut self.links[link];
        link.producer = Some(id);
        link.life = life;
        link.places = None;
        link.lives.insert(life, Life::default());
        // Nobody asks after what was long ago.
        while link.lives.len() > 16 {
            link.lives.pop_first();
        }
    }

    /// Whether frames matter more than what is done to those who send and receive them.
    pub(super) fn is_flat_out(&self) -> bool {
        self.options.pace == Pace::FlatOut
    }

    pub(super) fn start_consumer(&mut self, link: usize, part: Part, how: &str) {
        let (seed, forms) = (self.any(), self.options.forms);
        let name = &self.links[link].name;
        let line = format!("consume {name} --seed {seed} --forms {forms} {how}");
        let id = self.start(part, link, words(&line));
        if let Some(actor) = self.actors.get_mut(&id) {
            actor.stays = part == Part::Resident;
        }
    }

    pub(super) fn start_visitor(&mut self, part: Part) {
        self.draw_for(Draw::Consumer, self.last_id);
        let link = match part {
            Part::Crowd => self.links.len() - 1,
            _ => self.below(self.links.len() as u64) as usize,
        };
        self.start_visitor_at(link, part);
    }

    pub(super) fn start_visitor_at(&mut self, link: usize, part: Part) {
        self.draw_for(Draw::Consumer, self.last_id + (1 << 40));
        let (keep, linger, stay) = (self.below(3), 4 * self.below(500), [0, 40, 400][self.below(3) as usize]);
        let linger = if self.is_flat_out() { 0 } else { linger };
        let polls = if self.below(3) == 0 { " --polls" } else { "" };
        let how = match part {
            Part::Crowd => "--readers 32 --stay 40 --keep 1".to_owned(),
            _ => format!("--keep {keep} --linger {linger} --stay {stay}{polls}"),
        };
        self.start_consumer(link, part, &how);
    }
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}
