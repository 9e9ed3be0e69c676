// SPDX-License-Identifier: MIT OR Apache-2.0
//! A frame from this process to another one, which spins for it or sleeps until it is woken; and what publishing costs.

use std::time::{Duration, Instant};

use uncopy::{DType, Form, LinkError, Meta, Publisher, Subscriber};

use super::Figure;
use super::peer::{ANSWER, END, PATIENCE, Peer, names};
use crate::error::CliError;
use crate::host::{SLICE, Session};
use crate::tally::Latency;

/// Round trips at most, and those before that don't count.
const TRIPS: usize = 20_000;
const WARM_UP_TRIPS: usize = 100;
/// However slow the machine is, one measurement takes no longer.
const LONGEST: Duration = Duration::from_millis(1500);
/// With fewer round trips than this the machine was too busy for two processes that spin.
const FEW_TRIPS: u64 = 1000;
/// Between two round trips, so that neither process is still busy with the last one.
const REST: Duration = Duration::from_micros(10);

/// A pace at which frames come to a reader that sleeps in between.
pub(super) struct Pace {
    pub name: &'static str,
    pub title: &'static str,
    pub period: Duration,
    pub frames: u32,
}

pub(super) const PACES: [Pace; 2] = [
    Pace {
        name: "hand_over_asleep_1khz",
        title: "hand-over, reader asleep, 1000 fps",
        period: Duration::from_millis(1),
        frames: 1000,
    },
    Pace {
        name: "hand_over_asleep_60hz",
        title: "hand-over, reader asleep, 60 fps",
        period: Duration::from_nanos(16_666_667),
        frames: 120,
    },
];

pub(super) const SPINNING: &str = "hand_over_spinning";

pub(super) fn measure(session: &Session<'_>) -> Result<Vec<Figure>, CliError> {
    let progress = session.console.progress("measuring", None);
    let names = names(std::process::id());
    let mut pings = uncopy::publish(&names.ping).open()?;
    let mut frames = uncopy::publish(&names.asleep).open()?;
    let mut peer = Peer::start(&names, session)?;
    let mut pongs = peer.pongs(&names, session)?;
    progress.show(0, || "a reader that spins".to_owned());
    let spinning = round_trips(&mut pings, &mut pongs, session)?;
    publish(&mut pings, END)?;
    let mut woken = Latency::default();
    for (number, pace) in (0u8..).zip(&PACES) {
        progress.show(u64::from(number) + 1, || "a reader that sleeps".to_owned());
        let mut due = Instant::now();
        for _ in 0..pace.frames {
            due += pace.period;
            session.sleep_until(due)?;
            let called = Instant::now();
            publish(&mut frames, number)?;
            woken.add(called.elapsed());
        }
    }
    publish(&mut frames, END)?;
    let asleep = peer.finish(session)?;
    progress.show(3, || "publishing".to_owned());
    let mut figures = vec![Figure {
        name: SPINNING,
        title: "hand-over, reader spinning",
        times: spinning,
        len_bytes: None,
    }];
    figures.extend(PACES.iter().zip(asleep).map(|(pace, times)| Figure {
        name: pace.name,
        title: pace.title,
        times,
        len_bytes: None,
    }));
    figures.push(Figure {
        name: "publish_alone",
        title: "publish, nobody reads",
        times: alone(&mut pings)?,
        len_bytes: None,
    });
    figures.push(Figure {
        name: "publish_waking",
        title: "publish, a reader is woken",
        times: woken,
        len_bytes: None,
    });
    Ok(figures)
}

/// Half of each round trip between two processes that spin.
fn round_trips(
    pings: &mut Publisher,
    pongs: &mut Subscriber,
    session: &Session<'_>,
) -> Result<Latency, CliError> {
    let mut times = Latency::default();
    let begun = Instant::now();
    let mut checked = begun;
    for trip in 0..WARM_UP_TRIPS + TRIPS {
        let rest = Instant::now();
        if rest - checked > SLICE {
            session.check()?;
            checked = rest;
        }
        if rest - begun > LONGEST {
            break;
        }
        while rest.elapsed() < REST {
            std::hint::spin_loop();
        }
        let sent = Instant::now();
        publish(pings, ANSWER)?;
        let pong = pongs.recv_with(Some(PATIENCE), &mut session.waiting())?;
        if trip >= WARM_UP_TRIPS {
            times.add(sent.elapsed() / 2);
        }
        drop(pong);
    }
    if times.count() < FEW_TRIPS {
        session.console.note("this machine is busy: two processes that spin got little done, and the figures are worse than they could be");
    }
    Ok(times)
}

/// Publishing where nobody reads any more.
fn alone(out: &mut Publisher) -> Result<Latency, LinkError> {
    let mut times = Latency::default();
    let begun = Instant::now();
    while times.count() < TRIPS as u64 && begun.elapsed() < LONGEST {
        let called = Instant::now();
        publish(out, ANSWER)?;
        times.add(called.elapsed());
    }
    Ok(times)
}

/// Lends a slot, writes one byte into it and publishes it.
pub(super) fn publish(out: &mut Publisher, what: u8) -> Result<(), LinkError> {
    let mut slot = out.loan(&Form::new(DType::U8, &[1])?)?;
    slot.bytes_mut().fill(what);
    slot.publish(Meta::default())?;
    Ok(())
}
