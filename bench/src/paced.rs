// SPDX-License-Identifier: MIT OR Apache-2.0
//! Paced signals to a process that sleeps until each: blocks of ticks, one contestant after the other at the same
//! pace, so that the cores are equally deep asleep for all of them.
//!
//! A signal carries when it was sent, read from the clock just before, and its block and tick. The other side reads
//! the clock again when it has the signal. Here are also a bare futex wake, the least that waking takes, and a link
//! of ours.

use crate::{
    bare::{Line, Page},
    clock::{Pace, monotonic_nanos},
    failure::Failure,
};
use rustix::{io::Errno, thread::futex};
use std::{
    sync::atomic::Ordering::{Acquire, Relaxed, Release},
    time::Duration,
};
use uncopy::{DType, Form, Meta, Publisher, Subscriber};

/// Ticks of a block that don't count: the other side may not have been asleep yet.
pub const WARM_UP_TICKS: u32 = 2;
/// The tick that ends its block; it is repeated until the other side has seen it.
const LAST_TICK: u32 = u32::MAX;
/// How long either side waits for the other before it gives up.
pub const PATIENCE: Duration = Duration::from_secs(10);
/// What a frame carries: when it was published, and its block and tick.
pub const SIGNAL_BYTES: usize = 16;

/// One of the paces to measure at.
pub struct Rate {
    /// Name of the figure, or its end.
    pub figure: &'static str,
    /// In words.
    pub shown: &'static str,
    /// Nanoseconds from tick to tick.
    pub period_nanos: u64,
    /// Ticks before another contestant has its turn.
    pub ticks_per_block: u32,
    /// Turns of each contestant in a round.
    pub blocks_per_round: usize,
}

/// Acts at each tick of a block, and goes on at that pace until the other side has seen the end. Returns how long the
/// side that acts was busy with each tick that counts, in nanoseconds.
///
/// # Errors
/// What `act` fails with, or the other side does not wake.
pub fn tick_until_acknowledged(
    pace: &mut Pace,
    page: &Page,
    block: u32,
    rate: &Rate,
    mut act: impl FnMut(u64) -> Result<(), Failure>,
) -> Result<Vec<u64>, Failure> {
    let mut busy = Vec::new();
    for tick in 0..rate.ticks_per_block {
        pace.wait()?;
        let begun = monotonic_nanos();
        act(pack(block, tick))?;
        if tick >= WARM_UP_TICKS {
            busy.push(monotonic_nanos() - begun);
        }
    }
    let begun = monotonic_nanos();
    while page.word32(Line::Acknowledged).load(Acquire) != block {
        pace.wait()?;
        act(pack(block, LAST_TICK))?;
        if u128::from(monotonic_nanos() - begun) > PATIENCE.as_nanos() {
            return Err(Failure::Side("it does not wake".to_owned()));
        }
    }
    Ok(busy)
}

/// Block and tick as one number. The block tells a repeated end of the block before from this one's ticks.
fn pack(block: u32, tick: u32) -> u64 {
    (u64::from(block) << 32) | u64::from(tick)
}

/// How long one signal took, and its block and tick.
pub struct Arrival {
    nanos: u64,
    packed: u64,
}

impl Arrival {
    /// The signal that arrived at `now`; `None` where it is shorter than a signal.
    #[must_use]
    pub fn of(signal: &[u8], now: u64) -> Option<Self> {
        let (stamp, rest) = signal.split_first_chunk::<8>()?;
        let packed = u64::from_le_bytes(*rest.first_chunk::<8>()?);
        Some(Self { nanos: now.saturating_sub(u64::from_le_bytes(*stamp)), packed })
    }
}

/// What a signal carries, stamped now.
#[must_use]
pub fn signal(tick: u64) -> [u8; SIGNAL_BYTES] {
    let mut bytes = [0; SIGNAL_BYTES];
    if let Some((stamp_bytes, tick_bytes)) = bytes.split_first_chunk_mut::<8>() {
        tick_bytes.copy_from_slice(&tick.to_le_bytes());
        *stamp_bytes = monotonic_nanos().to_le_bytes();
    }
    bytes
}

/// Takes the signals of a block until its end: how long each that counts took, in nanoseconds.
///
/// # Errors
/// What `next` fails with.
pub fn samples_of(
    block: u32,
    mut next: impl FnMut() -> Result<Arrival, Failure>,
) -> Result<Vec<u64>, Failure> {
    let mut samples = Vec::new();
    loop {
        let Arrival { nanos, packed } = next()?;
        match packed.checked_sub(pack(block, 0)) {
            Some(tick) if tick == u64::from(LAST_TICK) => return Ok(samples),
            Some(tick) if tick >= u64::from(WARM_UP_TICKS) => samples.push(nanos),
            // Of the block before, or of the warm-up.
            _ => {}
        }
    }
}

/// The least there is: stores the signal and wakes a futex.
///
/// # Errors
/// The system refuses.
pub fn wake(page: &Page, tick: u64) -> Result<(), Failure> {
    page.word64(Line::Tick).store(tick, Relaxed);
    page.word64(Line::Stamp).store(monotonic_nanos(), Relaxed);
    let bell = page.word32(Line::Bell);
    bell.fetch_add(1, Release);
    futex::wake(bell, futex::Flags::empty(), 1).map_err(|e| Failure::system("wake a futex", e))?;
    Ok(())
}

/// Sleeps until [`wake`] has changed the bell from what was `seen`.
///
/// # Errors
/// The system refuses.
pub fn woken(page: &Page, seen: &mut u32) -> Result<Arrival, Failure> {
    let bell = page.word32(Line::Bell);
    loop {
        let value = bell.load(Acquire);
        if value != *seen {
            let now = monotonic_nanos();
            *seen = value;
            let nanos = now.saturating_sub(page.word64(Line::Stamp).load(Relaxed));
            return Ok(Arrival { nanos, packed: page.word64(Line::Tick).load(Relaxed) });
        }
        match futex::wait(bell, futex::Flags::empty(), value, None) {
            Ok(()) | Err(Errno::AGAIN | Errno::INTR) => {}
            Err(error) => return Err(Failure::system("wait for a futex", error)),
        }
    }
}

/// Ours: the signal is a frame.
///
/// # Errors
/// Those of the link.
pub fn send(out: &mut Publisher, tick: u64) -> Result<(), Failure> {
    let mut slot = out.loan(&Form::new(DType::U8, &[SIGNAL_BYTES])?)?;
    slot.bytes_mut().copy_from_slice(&signal(tick));
    slot.publish(Meta::default())?;
    Ok(())
}

/// Waits in `recv` for what [`send`] sends.
///
/// # Errors
/// Those of the link, or a frame that is no signal.
pub fn received(frames: &mut Subscriber) -> Result<Arrival, Failure> {
    let frame = frames.recv(PATIENCE)?;
    let now = monotonic_nanos();
    let length = || Failure::Side(format!("a frame of {} bytes", frame.bytes().len()));
    Arrival::of(frame.bytes(), now).ok_or_else(length)
}
