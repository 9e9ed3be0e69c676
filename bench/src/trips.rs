// SPDX-License-Identifier: MIT OR Apache-2.0
//! Round trips between two spinning processes: who can be sent there and back, in which tempo, and the bare word as the
//! least that a trip can take.
//!
//! Half a round trip is a sample, in two tempos. *At rest*: both sides have done everything that the trip before left
//! to do (released, loaned the next slot, asked for the next frame) before a trip begins, so that what is timed is
//! the way of a frame. *Back to back*: a trip begins when the one before ends, and what it left to do counts where it
//! is in the way; reading the clock would too, so that a sample is then the mean of several trips.

use crate::{
    bare::{Line, Page},
    clock::monotonic_nanos,
    failure::Failure,
    figure::Round,
};
use std::sync::atomic::Ordering::{Acquire, Release};

/// Trips before another contestant has its turn.
pub const TRIPS_PER_BLOCK: usize = 2_000;
/// Several times what a side has to do after a trip.
const REST_NANOS: u64 = 2_000;
/// No word gets from one physical core to another in less; between two threads of one core it takes half of that.
const SHARED_CORE_NANOS: f64 = 35.0;

/// When a round trip begins.
#[derive(Clone, Copy, PartialEq)]
pub enum Tempo {
    /// When both sides have had time to do what the trip before left to do.
    AtRest,
    /// When the trip before ends.
    BackToBack,
}

impl Tempo {
    /// Each of them.
    pub const BOTH: [Self; 2] = [Self::AtRest, Self::BackToBack];

    /// In words, for a title.
    #[must_use]
    pub fn shown(self) -> &'static str {
        match self {
            Self::AtRest => "spinning, both at rest before",
            Self::BackToBack => "spinning, back to back",
        }
    }

    fn trips_per_sample(self) -> usize {
        match self {
            Self::AtRest => 1,
            Self::BackToBack => 8,
        }
    }

    /// Waits for the beginning; returns the time.
    fn begin(self) -> u64 {
        let now = monotonic_nanos();
        match self {
            Self::BackToBack => now,
            Self::AtRest => loop {
                let later = monotonic_nanos();
                if later - now >= REST_NANOS {
                    break later;
                }
            },
        }
    }

    /// One way of the round trips in `samples`, which [`Contestant::pings`] returned.
    ///
    /// # Errors
    /// There are none.
    pub fn one_way(self, figure: &str, samples: Vec<u64>) -> Result<Round, Failure> {
        Ok(Round::of(figure, samples)?.divided_by(2.0 * self.trips_per_sample() as f64))
    }
}

/// One of the things to compare, seen from one side.
pub trait Contestant {
    /// Sends, then waits for the answer.
    ///
    /// # Errors
    /// It could not.
    fn ping(&mut self) -> Result<(), Failure>;

    /// Waits, then answers.
    ///
    /// # Errors
    /// It could not.
    fn pong(&mut self) -> Result<(), Failure>;

    /// What a trip leaves to do.
    ///
    /// # Errors
    /// It could not.
    fn tidy(&mut self) -> Result<(), Failure>;

    /// A block of round trips, each seen from its beginning: nanoseconds of a sample.
    ///
    /// # Errors
    /// A trip failed.
    fn pings(&mut self, tempo: Tempo) -> Result<Vec<u64>, Failure> {
        let mut samples = Vec::with_capacity(TRIPS_PER_BLOCK);
        for _ in 0..TRIPS_PER_BLOCK / tempo.trips_per_sample() {
            let begun = tempo.begin();
            for trip in 0..tempo.trips_per_sample() {
                if trip > 0 {
                    self.tidy()?;
                }
                self.ping()?;
            }
            samples.push(monotonic_nanos() - begun);
            self.tidy()?;
        }
        Ok(samples)
    }

    /// The same block, seen from the other side.
    ///
    /// # Errors
    /// A trip failed.
    fn pongs(&mut self) -> Result<(), Failure> {
        for _ in 0..TRIPS_PER_BLOCK {
            self.pong()?;
            self.tidy()?;
        }
        Ok(())
    }
}

/// The least there is: two words, each written by one side.
pub struct Bare {
    page: Page,
    trips: u64,
}

impl Bare {
    /// Over a page that both sides have.
    #[must_use]
    pub fn new(page: Page) -> Self {
        Self { page, trips: 0 }
    }

    fn wait(&mut self, line: Line) {
        self.trips += 1;
        while self.page.word64(line).load(Acquire) != self.trips {
            std::hint::spin_loop();
        }
    }
}

impl Contestant for Bare {
    fn ping(&mut self) -> Result<(), Failure> {
        self.page.word64(Line::Ping).store(self.trips + 1, Release);
        self.wait(Line::Pong);
        Ok(())
    }

    fn pong(&mut self) -> Result<(), Failure> {
        self.wait(Line::Ping);
        self.page.word64(Line::Pong).store(self.trips, Release);
        Ok(())
    }

    fn tidy(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

/// Whether the bare word crossed so fast that both processes seem to share one physical core. What was compared
/// meanwhile says nothing about two cores.
#[must_use]
pub fn shared_a_core(bare: &[Round]) -> bool {
    bare.iter().any(|round| round.p50 < SHARED_CORE_NANOS)
}
