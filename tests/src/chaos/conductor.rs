// SPDX-License-Identifier: MIT OR Apache-2.0
//! The run: who is on stage, what is due, and when it is over.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use uncopy::os::RuntimeDir;

use super::cast::{Actor, Part, Said, State};
use super::options::Options;
use super::places::Places;
use super::tally::{Counts, Stay, Tally};
use super::wrong::{Kind, Wrong};
use crate::footprint::{anonymous_bytes, descriptor_count};
use crate::pattern::next_random;
use crate::peer::HANGS_AFTER;

/// After this the memory of those who stay is looked at for the first time.
const WARM_AFTER: Duration = Duration::from_secs(3);
/// Lines of the log that are kept for a failure.
const LOG_LINES: usize = 60;
/// How long the next producer may be held back until everybody has noticed the end of the one before.
const PATIENCE: Duration = Duration::from_secs(2);

/// Why a run failed, and what happened before.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What is wrong.
    pub wrong: Wrong,
    /// The last lines of the log.
    pub log: Vec<String>,
}

impl Failure {
    pub(super) fn bare(wrong: Wrong) -> Self {
        Self { wrong, log: Vec::new() }
    }
}

/// What random numbers are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Draw {
    Act = 1,
    Producer,
    Consumer,
}

/// What has a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    Produce { link: usize },
    Visit { link: usize, part: Part },
    GoOn { actor: u64 },
    Collect { actor: u64 },
}

/// One life of a link's producer.
#[derive(Default)]
pub(super) struct Life {
    pub(super) opened: Option<u64>,
    pub(super) killed: Option<u64>,
    /// Nobody takes the name before everybody has noticed.
    pub(super) is_mourned: bool,
    /// Consumers whose first frame of it came before the news that it was open.
    pub(super) early: Vec<(u64, u64)>,
}

pub(super) struct Link {
    pub(super) name: String,
    pub(super) producer: Option<u64>,
    pub(super) life: u64,
    pub(super) lives: BTreeMap<u64, Life>,
    /// Who has not noticed yet that the producer is dead, and until when the others wait for that.
    pub(super) unaware: Option<(BTreeSet<u64>, Instant)>,
    pub(super) places: Option<Places>,
    /// More subscribers than places.
    pub(super) is_crowded: bool,
}

/// A dead consumer whose producer may not know yet.
pub(super) struct Dead {
    pub(super) pid: i32,
    pub(super) link: usize,
    pub(super) life: u64,
    pub(super) killed: u64,
}

pub(super) struct Run<'o> {
    pub(super) options: &'o Options,
    pub(super) program: PathBuf,
    pub(super) leases_off: bool,
    pub(super) root: PathBuf,
    random: u64,
    /// Acts so far.
    pub(super) acts: u64,
    pub(super) actors: BTreeMap<u64, Actor>,
    pub(super) last_id: u64,
    pub(super) last_life: u64,
    pub(super) links: Vec<Link>,
    pub(super) agenda: Vec<(Instant, Due)>,
    pub(super) dead: Vec<Dead>,
    pub(super) next_act: Instant,
    pub(super) said: Sender<Said>,
    heard: Receiver<Said>,
    log: VecDeque<String>,
    pub(super) tally: Tally,
    pub(super) begun: Instant,
    is_warm: bool,
    /// Nobody is replaced any more.
    pub(super) is_closing: bool,
    bar: ProgressBar,
}

impl<'o> Run<'o> {
    /// Prepares a run; `program` plays the participants where it is not this one.
    pub(super) fn new(options: &'o Options, program: Option<&Path>) -> Self {
        let own = std::env::current_exe().expect("this program has a path");
        let root = std::env::temp_dir().join(format!("uncopy-chaos-{}", std::process::id()));
        // Left by a namesake, if at all.
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(&root).expect("the temporary directory can be written");
        let (said, heard) = channel();
        let names: &[&'static str] = if options.calm { &["home"] } else { &["home", "away", "busy", "full"] };
        let link = |name: &'static str| Link {
            name: format!("chaos-{name}"),
            producer: None,
            life: 0,
            lives: BTreeMap::new(),
            unaware: None,
            places: None,
            is_crowded: name == "full",
        };
        Self {
            options,
            program: program.map_or(own, Path::to_path_buf),
            leases_off: program.is_some(),
            root: root.canonicalize().expect("it was just made"),
            random: options.seed,
            acts: 0,
            actors: BTreeMap::new(),
            last_id: 0,
            last_life: 0,
            links: names.iter().copied().map(link).collect(),
            agenda: Vec::new(),
            dead: Vec::new(),
            next_act: Instant::now(),
            said,
            heard,
            log: VecDeque::new(),
            tally: Tally::default(),
            begun: Instant::now(),
            is_warm: false,
            is_closing: false,
            bar: progress(options),
        }
    }

    /// Plays to the end, or until something is wrong. What was counted, and what is wrong.
    pub(super) fn play(mut self) -> (Tally, Option<Failure>) {
        let result = self.open().and_then(|()| self.perform()).and_then(|()| self.close());
        self.bar.finish_and_clear();
        for actor in self.actors.values() {
            self.tally.counts.add(&actor.counts);
        }
        self.tally.played = self.begun.elapsed();
        // Whoever is left is killed and collected.
        self.actors.clear();
        let _ = fs::remove_dir_all(&self.root);
        let log = self.log.into_iter().collect();
        (self.tally, result.err().map(|wrong| Failure { wrong, log }))
    }

    /// Those who stay come first, so that it can be said what they take when they are alone.
    fn open(&mut self) -> Result<(), Wrong> {
        for link in 0..self.links.len() {
            self.start_producer(link, false);
        }
        let residents: &[(usize, &str)] = match (self.options.calm, self.is_flat_out()) {
            (true, _) => &[(0, "--latest --keep 2"), (0, "--every")],
            (false, true) => &[(0, "--every"), (0, "--every --keep 2"), (1, "--every"), (2, "--every")],
            (false, false) => &[
                (0, "--latest --keep 2 --linger 500"),
                (0, "--every --linger 300"),
                (1, "--every --keep 1"),
                (2, "--latest"),
            ],
        };
        for (link, words) in residents {
            self.start_consumer(*link, Part::Resident, words);
        }
        self.until("everybody has begun", |run| {
            run.actors.values().all(|actor| match actor.part {
                Part::Producer { .. } => actor.said.contains_key("open"),
                _ => actor.attached.is_some(),
            })
        })?;
        for actor in self.actors.values().filter(|actor| actor.stays) {
            let pid = actor.pid();
            self.tally.stays.push(Stay {
                name: actor.name().to_owned(),
                pid,
                warm_bytes: None,
                last_bytes: 0,
                first_descriptors: descriptor_count(pid),
                last_descriptors: 0,
            });
        }
        if !self.options.calm {
            for _ in 0..3 {
                self.start_visitor(Part::Visitor);
            }
            self.start_visitor(Part::Crowd);
        }
        Ok(())
    }

    fn perform(&mut self) -> Result<(), Wrong> {
        self.begun = Instant::now();
        // In a calm run there is none.
        self.next_act =
            self.begun + if self.options.calm { Duration::from_secs(1 << 30) } else { Duration::ZERO };
        while !self.has_all_that_was_asked() {
            self.tick()?;
            if Instant::now() >= self.next_act {
                self.act();
            }
            if !self.is_warm && self.begun.elapsed() >= WARM_AFTER {
                self.is_warm = true;
                for stay in &mut self.tally.stays {
                    stay.warm_bytes = Some(anonymous_bytes(stay.pid));
                }
            }
        }
        Ok(())
    }

    fn has_all_that_was_asked(&self) -> bool {
        let Options { time, frames, kills, .. } = self.options;
        time.is_none_or(|time| self.begun.elapsed() >= time)
            && frames.is_none_or(|frames| self.counts().verified >= frames)
            && kills.is_none_or(|kills| self.tally.kills() >= kills)
    }

    /// What all have counted so far.
    fn counts(&self) -> Counts {
        let mut counts = self.tally.counts;
        self.actors.values().for_each(|actor| counts.add(&actor.counts));
        counts
    }

    /// Goes on until `is_done`. Whatever that waits for must come by itself.
    pub(super) fn until(
        &mut self,
        what: &str,
        mut is_done: impl FnMut(&mut Self) -> bool,
    ) -> Result<(), Wrong> {
        let begun = Instant::now();
        while !is_done(self) {
            if begun.elapsed() > HANGS_AFTER {
                return Err(Wrong::new(Kind::Hang, format!("never: {what}")));
            }
            self.tick()?;
        }
        Ok(())
    }

    /// Does what is due and listens for a moment.
    pub(super) fn tick(&mut self) -> Result<(), Wrong> {
        let now = Instant::now();
        while let Some(at) = self.agenda.iter().position(|(when, _)| *when <= now) {
            let (_, due) = self.agenda.swap_remove(at);
            self.perform_due(due)?;
        }
        self.look_for_the_unaware(now);
        self.look_for_the_dead()?;
        let next = self.agenda.iter().map(|(when, _)| *when).chain([self.next_act]).min();
        let wait = next.map_or(Duration::ZERO, |next| next.saturating_duration_since(now));
        // The moment at which a place is free shows only to who looks.
        let longest = Duration::from_micros(if self.dead.is_empty() { 20_000 } else { 200 });
        match self.heard.recv_timeout(wait.clamp(Duration::from_micros(50), longest)) {
            Ok(said) => {
                self.hear(said)?;
                while let Ok(said) = self.heard.try_recv() {
                    self.hear(said)?;
                }
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
        self.show();
        let silent = self
            .actors
            .values()
            .find(|actor| actor.state == State::Running && actor.heard.elapsed() > HANGS_AFTER);
        match silent {
            Some(actor) => {
                Err(Wrong::new(Kind::Hang, format!("{} says nothing for {HANGS_AFTER:?}", actor.name())))
            }
            None => Ok(()),
        }
    }

    fn perform_due(&mut self, due: Due) -> Result<(), Wrong> {
        match due {
            Due::Produce { link } if self.links[link].producer.is_none() => {
                self.tally.restarts += 1;
                // One that was asked to hand its name over may not have heard.
                let is_held = self.actors.values().any(|actor| {
                    actor.link == link
                        && matches!(actor.part, Part::Producer { .. })
                        && actor.state != State::Killed
                });
                self.start_producer(link, is_held);
            }
            Due::Produce { .. } => {}
            Due::Visit { link, part } => {
                self.tally.restarts += 1;
                self.start_visitor_at(link, part);
            }
            Due::GoOn { actor } => {
                if let Some(actor) = self.actors.get_mut(&actor)
                    && actor.state == State::Stopped
                {
                    actor.go_on();
                    let name = actor.name().to_owned();
                    self.note(format_args!("{name} goes on"));
                }
            }
            Due::Collect { actor } => self.collect_if_ended(actor)?,
        }
        Ok(())
    }

    pub(super) fn after(&mut self, delay: Duration, due: Due) {
        self.agenda.push((Instant::now() + delay, due));
    }

    /// From here on random numbers follow from the seed and this alone: who was faster before has no say in them.
    pub(super) fn draw_for(&mut self, what: Draw, number: u64) {
        let mut mixed = self.options.seed ^ ((what as u64) << 56) ^ number.rotate_left(20);
        self.random = next_random(&mut mixed);
    }

    /// A random number.
    pub(super) fn any(&mut self) -> u64 {
        next_random(&mut self.random)
    }

    /// A random number below `limit`.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.any() % limit
    }

    /// A line of the log.
    pub(super) fn note(&mut self, text: std::fmt::Arguments<'_>) {
        if self.log.len() == LOG_LINES {
            self.log.pop_front();
        }
        self.log.push_back(format!("{:10.4} s  {text}", self.begun.elapsed().as_secs_f64()));
    }

    fn show(&self) {
        if !self.bar.is_hidden() {
            let counts = self.counts();
            self.bar.set_message(format!(
                "{:.0} s, {} frames checked, {} killed, {} stopped",
                self.begun.elapsed().as_secs_f64(),
                counts.verified,
                self.tally.kills(),
                self.tally.stops
            ));
            self.bar.tick();
        }
    }

    pub(super) fn runtime_dir(&self) -> Option<RuntimeDir> {
        RuntimeDir::open_at(self.root.join("run")).ok()
    }

    /// How long the death of a producer is mourned at the most.
    pub(super) fn patience() -> Instant {
        Instant::now() + PATIENCE
    }
}

fn progress(options: &Options) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(5));
    let style = ProgressStyle::with_template("chaos {spinner} {wide_msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    if bar.is_hidden() {
        eprintln!("chaos: {}", options.shown());
    }
    bar
}
