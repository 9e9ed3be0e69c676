// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reading on a device: which streams read a slot, and the word that one of them writes when all are done.
//!
//! A stream is its maker's, who may destroy it as soon as the frame that it was named for is gone, with every view: a
//! call on it then ends the process. So a reading ends while its last owner goes, on that owner's thread, and what has
//! to be waited for after that is waited for without a stream of anybody's, unless something was given that keeps it.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use uncopy_core::{Device, Stream};
use uncopy_os::{PidFd, fork_generation, kill_point, spawn_quiet};
use uncopy_tensor::{Accelerator, Capture, Region, Timeline};

use super::maps::Reader;
use super::tickets::Seat;
use super::wanted::Release;
use crate::native::conversation::Conversation;
use crate::native::order::{self, Ticket};
use crate::native::vigil::{Debtor, Debts, Vigil, keep_vigil};
use crate::service::{ask_until_done, lock};
use crate::site::{self, is_left_out};

/// Frame memory of a device, mapped into its address space here.
pub(crate) struct DeviceMap {
    reader: Reader,
    seat: Seat,
    /// Held by who takes a ticket for a slot, until a stream has it: several frames of one slot may end at once.
    turns: Box<[Mutex<()>]>,
    until: Until,
    generation: u32,
    vigil: Vigil,
    region: Option<Region>,
}

/// What reads a frame on the device. Clones and views of the frame share it; a frame that is received once more has its
/// own, since other owners have named its streams.
#[derive(Default)]
pub(crate) struct Uses {
    streams: Vec<Stream>,
    /// What keeps some of the streams.
    keepers: Vec<(Stream, Keeper)>,
    /// Something whose stream is not known reads it too.
    anywhere: bool,
}

/// Keeps a stream from being destroyed until it is dropped.
pub(crate) type Keeper = Box<dyn Send + Sync>;

impl Uses {
    /// What of it can be waited for when its owners are gone: the same where all of the streams are kept.
    pub(super) fn without_owner(self) -> Self {
        let lives_on = |stream: &Stream| {
            *stream == Stream::LEGACY_DEFAULT || self.keepers.iter().any(|(kept, _)| kept == stream)
        };
        match self.streams.iter().all(lives_on) {
            true => self,
            false => Self { anywhere: true, ..Self::default() },
        }
    }

    /// Notes that `stream` reads the frame.
    pub(crate) fn note(&mut self, stream: Stream) {
        if !self.streams.contains(&stream) {
            self.streams.push(stream);
        }
    }

    /// Takes what keeps a stream, unless something keeps it already: then it is given back, to be dropped outside of locks.
    pub(crate) fn keep(&mut self, stream: Stream, keeper: Keeper) -> Option<Keeper> {
        if self.keepers.iter().any(|(kept, _)| *kept == stream) {
            return Some(keeper);
        }
        self.keepers.push((stream, keeper));
        None
    }

    /// Notes that something reads the frame in streams that nobody knows.
    pub(crate) fn note_anywhere(&mut self) {
        self.anywhere = true;
    }
}

/// What is kept while a stream of ours may still read.
pub(super) struct Until {
    /// The goodbye must not be said before.
    pub(super) conversation: Arc<Conversation>,
    /// The producer, for whose device a stream may wait: what the dead owe must be written by somebody.
    pub(super) producer: Option<Arc<PidFd>>,
}

/// What became of the end of a reading.
pub(super) enum Finished {
    /// The slot may be given back: whoever writes it next waits for our streams.
    Done,
    /// Streams that read it are being captured, so that nothing can be put into them now.
    Captured(Vec<Box<dyn Capture>>),
    /// Which streams read it is not known.
    Unknown,
    /// The driver refused.
    Failed(io::Error),
}

impl DeviceMap {
    pub(super) fn new(region: Region, reader: Reader, seat: Seat, until: Until) -> Self {
        let turns = (0..seat.control.slots()).map(|_| Mutex::default()).collect();
        let (generation, vigil) = (fork_generation(), Vigil::default());
        Self { reader, seat, turns, until, generation, vigil, region: Some(region) }
    }

    pub(crate) fn region(&self) -> &Region {
        // Taken by the drop alone.
        static NOWHERE: std::sync::OnceLock<Region> = std::sync::OnceLock::new();
        self.region.as_ref().unwrap_or_else(|| NOWHERE.get_or_init(|| Region::from_vec(Vec::new())))
    }

    pub(crate) fn device(&self) -> Device {
        self.reader.accelerator.device()
    }

    pub(crate) fn accelerator(&self) -> &Arc<dyn Accelerator> {
        &self.reader.accelerator
    }

    pub(crate) fn timeline(&self) -> &Arc<dyn Timeline> {
        &self.reader.timeline
    }

    /// Ends the reading of a slot that the caller holds, and whose last frame with these `uses` is going: has one of the
    /// streams that read it say when all are done. No stream is named any more when this has returned.
    pub(super) fn finish(self: &Arc<Self>, slot: usize, uses: &Uses) -> Finished {
        let Some(turn) = self.turns.get(slot) else { return Finished::Done };
        let (release, streams) = (self.reader.release, &uses.streams[..]);
        if release == Release::Streams && streams.is_empty() && !uses.anywhere {
            return Finished::Done;
        }
        // What is known to be captured is waited for, and not disturbed. Without need nobody is asked: a stream that is
        // captured takes no ticket.
        if release == Release::Context || uses.anywhere {
            let captures = self.captures_of(streams);
            if !captures.is_empty() {
                return Finished::Captured(captures);
            }
        }
        if release == Release::Streams && uses.anywhere {
            return Finished::Unknown;
        }
        let site = match release {
            Release::Streams => site::RELEASE,
            Release::Context => site::RELEASE_CONTEXT,
        };
        if is_left_out(site) {
            return Finished::Done;
        }
        let turn = lock(turn);
        let taken = self.seat.take(slot);
        kill_point("device.ticketed");
        let Err(error) = self.put_end(streams, &taken.ticket) else {
            self.seat.keep(&taken);
            drop(turn);
            keep_vigil(self);
            return Finished::Done;
        };
        self.seat.undo(&taken);
        match error.kind() {
            io::ErrorKind::BrokenPipe => {
                self.seat.write_off();
                Finished::Done
            }
            // Of a capture in a stream that nobody named, nobody can be asked whether it still goes on.
            io::ErrorKind::ResourceBusy if release == Release::Streams => {
                let captures = self.captures_of(streams);
                if captures.is_empty() { Finished::Failed(error) } else { Finished::Captured(captures) }
            }
            _ => Finished::Failed(error),
        }
    }

    /// Has a stream write the ticket once everything that reads is done.
    fn put_end(&self, streams: &[Stream], ticket: &Ticket) -> io::Result<()> {
        let timeline = &self.reader.timeline;
        match (self.reader.release, streams) {
            (Release::Streams, [.., last]) => {
                if let Some(after) = ticket.after {
                    timeline.wait(*last, &[after])?;
                }
                timeline.write(streams, ticket.point)
            }
            _ => timeline.write_after_all(ticket.after, ticket.point),
        }
    }

    /// The captures that some of the streams take part in.
    fn captures_of(&self, streams: &[Stream]) -> Vec<Box<dyn Capture>> {
        captures_of(&*self.reader.accelerator, streams)
    }

    /// Why nothing can be read on the device any more, once it is known to be lost to this process. What its streams
    /// were to tell others is then told by hand.
    #[inline]
    pub(crate) fn loss(&self) -> Option<io::Error> {
        let loss = self.reader.accelerator.loss()?;
        self.seat.write_off();
        Some(loss)
    }

    /// Waits until the device has done everything that this process gave it, or is lost.
    pub(super) fn settle(&self) {
        if settle(&*self.reader.accelerator) == Settled::Lost {
            self.seat.write_off();
        }
    }
}

impl Debtor for DeviceMap {
    fn vigil(&self) -> &Vigil {
        &self.vigil
    }

    fn debts(&self) -> Debts {
        let count = self.seat.all().fold(0, |sum: u64, (_, ticket)| sum.wrapping_add(ticket.into()));
        Debts { count, is_owed: !self.seat.all().all(|ticket| self.seat.is_done(ticket)) }
    }

    fn writes_off(&self) -> bool {
        let is_lost = is_lost(&*self.reader.accelerator);
        if is_lost {
            self.seat.write_off();
        }
        is_lost
    }
}

impl Drop for DeviceMap {
    fn drop(&mut self) {
        let Until { conversation, producer } = &self.until;
        let kept = Kept {
            _region: self.region.take(),
            reader: self.reader.clone(),
            _conversation: Arc::clone(conversation),
        };
        if self.generation != fork_generation() {
            // The mapping, the words and the conversation are the parent's.
            std::mem::forget(kept);
            return;
        }
        let (seat, producer) = (self.seat.clone(), producer.clone());
        let owed = seat.all().collect();
        let mut leaving = Leaving { kept: Some(kept), seat, owed, producer, doubted: None };
        ask_until_done(move || leaving.is_over());
    }
}

/// What must stay until the device has read for the last time: unmapping does not wait for it, and from the goodbye on
/// the slots are anybody's.
struct Kept {
    _region: Option<Region>,
    reader: Reader,
    _conversation: Arc<Conversation>,
}

/// The end of a map, while streams of ours may still read.
struct Leaving {
    kept: Option<Kept>,
    seat: Seat,
    /// The last tickets.
    owed: Vec<(usize, u32)>,
    producer: Option<Arc<PidFd>>,
    /// Since when what the words say is in doubt.
    doubted: Option<Instant>,
}

impl Leaving {
    /// How long a ticket may be owed to a producer that is dead before the device is asked instead: somebody may have
    /// overwritten the words. Nearly all work on a frame is done by then.
    const DOUBT_AFTER: Duration = Duration::from_secs(1);

    /// Lets go of everything when the device is done with it. Returns whether it is.
    fn is_over(&mut self) -> bool {
        let Some(kept) = &self.kept else { return true };
        if self.owed.iter().all(|ticket| self.seat.is_done(*ticket)) {
            self.kept = None;
            return true;
        }
        if is_lost(&*kept.reader.accelerator) {
            self.seat.write_off();
            self.kept = None;
            return true;
        }
        if !self.producer.as_ref().is_some_and(|producer| producer.is_dead()) {
            return false;
        }
        order::force_ready(&self.seat.control.live());
        let doubted = *self.doubted.get_or_insert_with(Instant::now);
        doubted.elapsed() >= Self::DOUBT_AFTER && self.is_handed_over()
    }

    /// Lets a thread of its own wait for everything that the device was given, which can take long.
    #[cold]
    fn is_handed_over(&mut self) -> bool {
        // Dropped by the thread alone: where there is none the device may still read.
        let kept = Arc::new(Mutex::new(self.kept.take()));
        let handed = Arc::clone(&kept);
        let wait = move || {
            let Some(kept) = lock(&handed).take() else { return };
            settle(&*kept.reader.accelerator);
            drop(kept);
        };
        match spawn_quiet("uncopy-settle", wait) {
            Ok(_) => true,
            Err(_) => {
                self.kept = lock(&kept).take();
                self.doubted = None;
                false
            }
        }
    }
}

/// Between two attempts, of a device that can't be asked while somebody captures.
pub(crate) const ASK_AGAIN_EVERY: Duration = Duration::from_millis(20);

/// How a device came to rest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settled {
    Done,
    Lost,
}

/// Waits until the device has done everything that this process gave it, or is lost.
pub(crate) fn settle(accelerator: &dyn Accelerator) -> Settled {
    loop {
        match accelerator.settle() {
            Ok(()) => return Settled::Done,
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Settled::Lost,
            // Nothing tells when it can be asked.
            Err(_) => std::thread::sleep(ASK_AGAIN_EVERY),
        }
    }
}

/// The captures that some of the streams take part in. One that can't be watched, since it is invalid already, is not
/// among them.
pub(crate) fn captures_of(accelerator: &dyn Accelerator, streams: &[Stream]) -> Vec<Box<dyn Capture>> {
    streams.iter().filter_map(|stream| accelerator.capture_of(*stream).ok().flatten()).collect()
}

/// Whether the device is lost to this process for good.
pub(crate) fn is_lost(accelerator: &dyn Accelerator) -> bool {
    let asked = accelerator.is_capturing(Stream::LEGACY_DEFAULT);
    asked.is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
