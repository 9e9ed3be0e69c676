// SPDX-License-Identifier: MIT OR Apache-2.0
//! All links of a directory, looked at again and again.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use uncopy::os::{RuntimeDir, monotonic_nanos, realtime_nanos};
use uncopy::{Ages, LinkInfo, Observer, Presence};

use super::view::{ErrorView, LinkView, State, View};
use crate::error::CliError;
use crate::host::Session;
use crate::names::names_in;
use crate::rhythm::Rhythm;

/// Rates are of so many last seconds.
const WINDOW: Duration = Duration::from_secs(2);
/// How many looks of the past are kept.
const KEPT_LOOKS: usize = 240;
/// How long a link whose producer has gone is shown.
const GONE_SHOWN: Duration = Duration::from_secs(10);
/// The longest that the first look waits for producers to answer.
const PATIENCE: Duration = Duration::from_millis(260);

pub(super) struct Watch {
    dir: RuntimeDir,
    begun: Instant,
    links: BTreeMap<String, Watched>,
}

struct Watched {
    observer: Observer,
    link_id: Option<[u8; 16]>,
    rhythm: Rhythm,
    history: VecDeque<f64>,
    /// The ages of received frames at the last look, by place and process.
    ages: BTreeMap<(u32, i32), Ages>,
    /// What was seen last, and since when it is the last.
    last: Option<LinkView>,
    gone: Option<Instant>,
}

impl Watch {
    pub fn new(dir: RuntimeDir) -> Self {
        Self { dir, begun: Instant::now(), links: BTreeMap::new() }
    }

    /// Greets everybody, and waits for those who are about to answer.
    pub fn settle(&mut self, session: &Session<'_>) -> Result<(), CliError> {
        self.meet()?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            session.check()?;
            let mut asked = self.links.values_mut().map(|link| link.observer.look());
            if !asked.any(|presence| presence == Presence::Asked) || Instant::now() >= deadline {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// What there is to see now.
    pub fn look(&mut self) -> Result<View, CliError> {
        self.meet()?;
        for link in self.links.values_mut() {
            link.look();
            link.read_errors(&self.dir);
        }
        self.links.retain(|_, link| !link.is_forgotten());
        Ok(View {
            seconds: self.begun.elapsed().as_secs_f64(),
            directory: self.dir.path().display().to_string(),
            links: self.links.values().filter_map(|link| link.last.clone()).collect(),
        })
    }

    /// Begins with the links that are new in the directory.
    fn meet(&mut self) -> Result<(), CliError> {
        for name in names_in(&self.dir)? {
            if !self.links.contains_key(&name) {
                let watched = Watched::new(Observer::new(&self.dir, &name)?);
                self.links.insert(name, watched);
            }
        }
        Ok(())
    }
}

impl Watched {
    fn new(observer: Observer) -> Self {
        let (rhythm, history) = (Rhythm::new(WINDOW), VecDeque::new());
        Self { observer, link_id: None, rhythm, history, ages: BTreeMap::new(), last: None, gone: None }
    }

    fn look(&mut self) {
        let presence = self.observer.look();
        if self.observer.link_id().is_some() && self.observer.link_id() != self.link_id {
            self.link_id = self.observer.link_id();
            self.rhythm = Rhythm::new(WINDOW);
            self.ages.clear();
        }
        let now = monotonic_nanos();
        self.rhythm.take(&self.observer.published_after(self.rhythm.newest_seq()), now);
        match (self.observer.info(), presence) {
            (Some(info), _) => {
                let fps = self.rhythm.fps(now).filter(|_| self.observer.link_id().is_some());
                self.remember(fps.unwrap_or(0.0));
                self.gone = None;
                let ages = self.new_ages(&info);
                self.last = Some(LinkView::of(&info, fps, self.history.iter().copied().collect(), &ages));
            }
            (None, Presence::Absent) => {
                self.remember(0.0);
                self.gone.get_or_insert_with(Instant::now);
                if let Some(last) = &mut self.last {
                    (last.state, last.fps) = (State::Gone, None);
                    last.history = self.history.iter().copied().collect();
                }
            }
            // It was asked only now; until it has answered it is what it was.
            (None, _) => {}
        }
    }

    /// For each consumer the ages of the frames that it received since the last look.
    fn new_ages(&mut self, info: &LinkInfo) -> Vec<Ages> {
        let all =
            info.consumers.iter().map(|consumer| ((consumer.place, consumer.pid), consumer.ages.clone()));
        let now: BTreeMap<(u32, i32), Ages> = all.collect();
        let before = std::mem::replace(&mut self.ages, now);
        let consumers = info.consumers.iter();
        consumers
            .map(|consumer| match before.get(&(consumer.place, consumer.pid)) {
                Some(earlier) => consumer.ages.since(earlier),
                None => consumer.ages.clone(),
            })
            .collect()
    }

    /// Reads the errors that were met with the link, by whomever. What can't be read is not known.
    fn read_errors(&mut self, dir: &RuntimeDir) {
        let Some(last) = &mut self.last else { return };
        let now = realtime_nanos();
        let errors = uncopy::errors_in(dir, self.observer.name()).ok();
        last.errors = errors.map(|errors| errors.iter().map(|error| ErrorView::of(error, now)).collect());
    }

    fn remember(&mut self, fps: f64) {
        if self.history.len() == KEPT_LOOKS {
            self.history.pop_front();
        }
        self.history.push_back(fps);
    }

    /// Whether it is not worth showing any more: gone for long, or never there.
    fn is_forgotten(&self) -> bool {
        let shown = if self.last.is_some() { GONE_SHOWN } else { Duration::ZERO };
        self.gone.is_some_and(|since| since.elapsed() >= shown)
    }
}
