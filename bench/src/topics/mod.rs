// SPDX-License-Identifier: MIT OR Apache-2.0
//! The topics, one module each. A new one is a variant of `Topic`, one of `Role` where it needs another process, and
//! a goal in `goals.toml`.

mod crowd;
mod every;
mod idle;
mod memory;
mod paced;
mod publish;
mod restart;
mod send;
mod spin;
mod start;

use crate::{failure::Failure, figure::Figure, run::Run, side::Arguments};
use clap::ValueEnum;

/// What to measure.
#[derive(Clone, Copy, ValueEnum)]
pub enum Topic {
    /// From `publish` until another process holds the frame.
    Latency,
    /// A loan and its `publish`, with nobody waiting.
    Publish,
    /// `send`, which copies a frame into a slot.
    Send,
    /// What a subscriber costs that nothing is sent to.
    Idle,
    /// From nothing to a first frame, and to a list of links.
    Start,
    /// What a link takes.
    Memory,
    /// What eight consumers cost a producer against one.
    Crowd,
    /// Every frame of a producer that blocks, each byte read.
    Every,
    /// Producers that are killed and restarted.
    Restart,
}

impl Topic {
    pub fn measure(self, run: &Run) -> Result<Vec<Figure>, Failure> {
        match self {
            Self::Latency => {
                let mut figures = if run.wants(spin::FIGURE) { spin::measure(run)? } else { Vec::new() };
                figures.extend(paced::measure(run)?);
                Ok(figures)
            }
            Self::Publish => publish::measure(run),
            Self::Send => send::measure(run),
            Self::Idle => idle::measure(run),
            Self::Start => start::measure(run),
            Self::Memory => memory::measure(run),
            Self::Crowd => crowd::measure(run),
            Self::Every => every::measure(run),
            Self::Restart => restart::measure(run),
        }
    }
}

/// The part of an other process.
#[derive(Clone, Copy, ValueEnum)]
pub enum Role {
    /// Answers each ping with a pong.
    Pong,
    /// Sleeps until each frame or futex wake, and says how late it woke.
    Sleeper,
    /// Holds a place and receives nothing.
    Bystander,
    /// Receives every frame that it can.
    Receiver,
    /// Waits for frames that never come, and says what that cost.
    Idler,
    /// Receives one frame, and says how long that took.
    Newcomer,
    /// One of many who sleep until each frame.
    Waker,
    /// Reads each byte of every frame.
    Toucher,
    /// A producer to be killed.
    Mortal,
    /// A consumer whose producers are killed.
    Mourner,
    /// Receives frames on a GPU.
    #[cfg(feature = "cuda")]
    Gpu,
    /// Checks frames on a GPU.
    #[cfg(feature = "cuda")]
    GpuFrames,
    /// A producer that is killed with work on a GPU under way.
    #[cfg(feature = "cuda")]
    GpuMortal,
    /// A consumer that waits for a frame of it.
    #[cfg(feature = "cuda")]
    GpuWaiter,
    /// A consumer that is killed with work on a GPU under way.
    #[cfg(feature = "cuda")]
    GpuHolder,
}

impl Role {
    pub fn play(self, arguments: &Arguments) -> Result<(), Failure> {
        match self {
            Self::Pong => spin::pong(arguments),
            Self::Sleeper => paced::sleeper(arguments),
            Self::Bystander => publish::bystander(arguments),
            Self::Receiver => send::receiver(arguments),
            Self::Idler => idle::idler(arguments),
            Self::Newcomer => start::newcomer(arguments),
            Self::Waker => crowd::waker(arguments),
            Self::Toucher => every::toucher(arguments),
            Self::Mortal => restart::mortal(arguments),
            Self::Mourner => restart::mourner(arguments),
            #[cfg(feature = "cuda")]
            Self::Gpu => crate::gpu::play_side(arguments),
            #[cfg(feature = "cuda")]
            Self::GpuFrames => crate::gpu::play_frames(arguments),
            #[cfg(feature = "cuda")]
            Self::GpuMortal => crate::gpu::mortal(arguments),
            #[cfg(feature = "cuda")]
            Self::GpuWaiter => crate::gpu::waiter(arguments),
            #[cfg(feature = "cuda")]
            Self::GpuHolder => crate::gpu::holder(arguments),
        }
    }
}
