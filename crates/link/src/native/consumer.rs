// SPDX-License-Identifier: MIT OR Apache-2.0
//! The consuming end of a link: finds the producer, receives frames, finds the next producer when one is gone.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use uncopy_core::{Device, Stream};
use uncopy_os::{RuntimeDir, fork_generation};
use uncopy_tensor::Accelerator;

use self::cadence::Cadence;
use self::device::Unready;
use self::events::Events;
use self::pace::DevicePace;
use self::patience::RestartTimeout;
use self::receive::Taken;
use self::search::ProducerWatch;
use super::attachment::wanted::{Release, Wanted};
use super::attachment::{self, Attachment, Ended, FrameContext, Lease, Where};
use super::conversation::Conversation;
use super::description::Description;
use super::frame::Frame;
use super::waker::Waker;
use super::wire;
use crate::error::LinkError;
use crate::errors::{ErrorLog, Side};

mod cadence;
mod device;
mod events;
mod pace;
mod patience;
mod receive;
mod search;
mod several;
mod sleep;
mod staging;
#[cfg(feature = "futures")]
mod stream;

pub(super) use pace::{LOOK_EVERY, SPIN};
pub(super) use receive::spin_until;
pub use several::{wait, wait_with};
pub use staging::{HostCopy, Staging};
#[cfg(feature = "futures")]
pub use stream::FrameStream;

/// Which frames a subscriber wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Read {
    /// Always the newest; what was published in between shows as [`Frame::missed`].
    #[default]
    Latest,
    /// Each one, in order, from the newest at the time of joining on. With a producer that blocks none is missed;
    /// with one that drops, [`Frame::missed`] says how many were overwritten before they were received.
    Every,
}

impl Read {
    /// The number on the wire. (link-v1.md, "Messages", HELLO)
    fn code(self) -> u32 {
        match self {
            Self::Latest => wire::read::LATEST,
            Self::Every => wire::read::EVERY,
        }
    }
}

/// What a caller does while a subscriber waits: looks for signals, shows a message.
pub trait Waiting {
    /// Called whenever a signal handler has run in the waiting thread, and besides every 80 ms, after the first second
    /// every 320 ms. `false` ends the wait with [`LinkError::Interrupted`].
    fn keep_waiting(&mut self) -> bool {
        true
    }

    /// Called once, 2 s into a wait for a producer: what is waited for, which links are live, the nearest name.
    fn notice(&mut self, text: &str) {
        tracing::warn!("{text}");
    }
}

/// Waits without looking at anything else.
struct JustWait;

impl Waiting for JustWait {}

/// The longest wait between two calls of [`Waiting::keep_waiting`], at first.
const SLICE: Duration = Duration::from_millis(80);
/// Who has waited for this long looks up more rarely: what wakes a processor costs far more than what it then does.
const LONG_WAIT: Duration = Duration::from_secs(1);
pub(crate) const LONG_SLICE: Duration = Duration::from_millis(320);

/// How long to wait before [`Waiting::keep_waiting`] is asked again, `gone` after the wait began.
pub(crate) fn slice_after(gone: Duration) -> Duration {
    if gone < LONG_WAIT { SLICE } else { LONG_SLICE }
}

/// How to subscribe; made by [`subscribe`], used up by [`open`](SubscribeOptions::open).
#[derive(Clone, Debug)]
pub struct SubscribeOptions {
    name: String,
    read: Read,
    timeout: Option<Duration>,
    restart_timeout: RestartTimeout,
    spin: Duration,
    wanted: Wanted,
    directory: Option<PathBuf>,
}

/// Starts to describe a subscription. Nothing happens before [`SubscribeOptions::open`].
///
/// ```
/// use std::time::Duration;
/// use uncopy_link::{Form, Meta, publish, subscribe};
/// use uncopy_core::PixelFormat;
/// # let dir = std::env::temp_dir().join(format!("uncopy-doc-subscribe-{}", std::process::id()));
/// # let mut out = publish("camera").directory(&dir).open()?;
/// # out.loan(&Form::image(2, 3, PixelFormat::RGBA8))?.publish(Meta::default())?;
/// let mut sub = subscribe("camera")
/// #     .directory(&dir)
///     .open()?;
/// let frame = sub.recv(Duration::from_secs(1))?;
/// let pixels = frame.view::<u8, 3>()?;
/// assert_eq!(pixels.shape(), [2, 3, 4]);
/// # drop((frame, sub, out)); std::fs::remove_dir_all(dir).ok();
/// # Ok::<(), uncopy_link::LinkError>(())
/// ```
#[must_use]
pub fn subscribe(name: &str) -> SubscribeOptions {
    SubscribeOptions {
        name: name.to_owned(),
        read: Read::Latest,
        timeout: Some(Duration::from_secs(5)),
        restart_timeout: RestartTimeout::LikeFirst,
        spin: Duration::from_micros(20),
        wanted: Wanted::default(),
        directory: None,
    }
}

impl SubscribeOptions {
    /// Which frames to receive.
    #[must_use]
    pub fn read(self, read: Read) -> Self {
        Self { read, ..self }
    }

    /// How long to be without a producer, at [`open`](Self::open) and, unless [`restart_timeout`](Self::restart_timeout)
    /// is told, whenever one goes away: 5 s unless told, `None` for ever.
    #[must_use]
    pub fn timeout(self, timeout: Option<Duration>) -> Self {
        Self { timeout, ..self }
    }

    /// How long a producer that has gone is waited for to come again, in every call: [`Subscriber::recv`] with a longer
    /// time ends then too. From the producer's end on; no time: what became of it is told at once, unless its successor
    /// is there already (in a takeover it comes a moment later). `None`: as long as the call lasts.
    ///
    /// Unless told, it is waited for as long as a first one ([`timeout`](Self::timeout)), and in a call with a time of
    /// its own for that time.
    ///
    /// An end is told so once. Calls after that wait for the next producer as for a first one.
    ///
    /// ```
    /// use std::time::Duration;
    /// use uncopy_link::{LinkError, publish, subscribe};
    /// # let dir = std::env::temp_dir().join(format!("uncopy-doc-restart-{}", std::process::id()));
    /// # let out = publish("camera").directory(&dir).open()?;
    /// let mut sub = subscribe("camera")
    /// #     .directory(&dir)
    ///     .timeout(Some(Duration::from_secs(60))) // a minute for the producer to start
    ///     .restart_timeout(Some(Duration::ZERO))
    ///     .open()?;
    /// out.close();
    /// let ended = sub.recv(Duration::from_secs(60)); // waits no minute
    /// assert!(matches!(ended, Err(LinkError::ProducerClosed { .. })));
    /// # drop(sub); std::fs::remove_dir_all(dir).ok();
    /// # Ok::<(), LinkError>(())
    /// ```
    #[must_use]
    pub fn restart_timeout(self, restart_timeout: Option<Duration>) -> Self {
        Self { restart_timeout: RestartTimeout::Within(restart_timeout), ..self }
    }

    /// How long a wait for a frame spins before it sleeps, while frames come that fast: 20 µs unless told. Spinning
    /// costs a core and saves the time that a wake-up takes. A sleeper is awake when a frame is due that comes as evenly as
    /// those before it; a spin of no time turns that off.
    #[must_use]
    pub fn spin(self, spin: Duration) -> Self {
        Self { spin, ..self }
    }

    /// Where frames that are on a device are received: there, in the producer's mirror in host memory, or on a device of
    /// your choice.
    #[must_use]
    pub fn place(self, place: Where) -> Self {
        let place = match place {
            Where::Device(Device::CPU) | Where::Copied(Device::CPU) => Where::Host,
            place => place,
        };
        Self { wanted: Wanted { place, ..self.wanted }, ..self }
    }

    /// When frames on a device go back: after the streams that were named for them, unless told.
    #[must_use]
    pub fn release(self, release: Release) -> Self {
        Self { wanted: Wanted { release, ..self.wanted }, ..self }
    }

    /// Maps frames on a device so that this process can't write to them (off, unless told): a kernel that does costs the
    /// process its context, with every allocation in it, instead of changing the frame for everybody. Frames in host
    /// memory are read-only in any case.
    #[must_use]
    pub fn read_only(self, read_only: bool) -> Self {
        Self { wanted: Wanted { is_read_only: read_only, ..self.wanted }, ..self }
    }

    /// Another runtime directory than the user's own, for tests and containers.
    #[must_use]
    pub fn directory(self, directory: impl Into<PathBuf>) -> Self {
        Self { directory: Some(directory.into()), ..self }
    }

    /// Takes a place at the producer, waiting for it to appear.
    ///
    /// # Errors
    /// [`LinkError::NotFound`] when nobody publishes under the name in time; [`LinkError::TooManyConsumers`];
    /// a refusal, another version, or a corrupt link.
    pub fn open(self) -> Result<Subscriber, LinkError> {
        self.open_with(&mut JustWait)
    }

    /// A subscriber that takes its place when it is first asked for a frame; waits for no producer.
    ///
    /// # Errors
    /// A bad name, a runtime directory that isn't private, or no such device where one was
    /// [asked for](Self::place): [`LinkError::NoSuchDevice`].
    pub fn start(self) -> Result<Subscriber, LinkError> {
        let name = crate::native_name(&self.name)?;
        let dir = crate::runtime_dir(self.directory.as_ref())?;
        let device = match self.wanted.place {
            // Told now, and not by the first frame that is on a device.
            Where::Device(device) | Where::Copied(device) => {
                Some(attachment::find_device(name.as_str(), device)?)
            }
            Where::Nearest | Where::Host => None,
        };
        Ok(Subscriber {
            _device: device,
            log: ErrorLog::new(&dir, name.as_str(), Side::Consumer),
            name: name.as_str().to_owned(),
            dir,
            generation: fork_generation(),
            read: self.read,
            timeout: self.timeout,
            restart_timeout: self.restart_timeout,
            spin: self.spin,
            wanted: self.wanted,
            for_stream: None,
            device_pace: DevicePace::default(),
            spin_pays: true,
            cadence: Cadence::default(),
            asleep_since_nanos: None,
            attachment: None,
            for_wakers: Arc::default(),
            joining: None,
            events: None,
            watch: None,
            absent_since: Instant::now(),
            last: Last::default(),
            cursor: Cursor::default(),
            joins: 0,
            end_told: false,
            absence_told: false,
        })
    }

    /// Like [`open`](Self::open), telling `waiting` about the wait.
    ///
    /// # Errors
    /// As for [`open`](Self::open), and [`LinkError::Interrupted`].
    pub fn open_with(self, waiting: &mut dyn Waiting) -> Result<Subscriber, LinkError> {
        let mut subscriber = self.start()?;
        let found = subscriber.find_producer(None, waiting);
        subscriber.log.noting(found)?;
        Ok(subscriber)
    }
}

/// How the last producer went.
#[derive(Clone, Copy, Default)]
struct Last {
    pid: i32,
    ended: Option<Ended>,
}

/// Where a subscriber is in the frames of its current producer.
#[derive(Default)]
struct Cursor {
    seq: u64,
    /// The newest frame when the producer was joined: later ones count as missed when they are.
    joined_at: u64,
    /// The number of the last frame that went by beyond reach.
    passed: u64,
    /// The next frame, held, which a device is still writing.
    unready: Option<Box<Unready>>,
    /// A frame that was the newest when a reader of every frame looked ahead, and whose copy is being made.
    ahead: Option<Box<(Lease, Description)>>,
    received: u64,
    missed: u64,
    context: Option<Arc<FrameContext>>,
}

impl Cursor {
    /// Frames up to this number are not received any more.
    fn after(&self) -> u64 {
        self.seq.max(self.passed)
    }
}

/// The consuming end of a link. It can move between threads; one thread at a time uses it.
///
/// When the producer goes away, waiting calls look for the next producer of the same name by themselves.
pub struct Subscriber {
    name: String,
    log: ErrorLog,
    dir: RuntimeDir,
    generation: u32,
    read: Read,
    timeout: Option<Duration>,
    restart_timeout: RestartTimeout,
    spin: Duration,
    wanted: Wanted,
    /// The device that frames are wanted on, found once for all producers.
    _device: Option<Arc<dyn Accelerator>>,
    /// The stream that frames are received for, in such a call.
    for_stream: Option<Stream>,
    /// How long devices took of late, from the publication of a frame until it was there.
    device_pace: DevicePace,
    /// The last frame came within the time of a spin.
    spin_pays: bool,
    /// When the next frame is due, where that can be foreseen.
    cadence: Cadence,
    /// Since when this place is marked as a sleeper.
    asleep_since_nanos: Option<u64>,
    attachment: Option<Arc<Attachment>>,
    /// The same, for those who wake this end.
    for_wakers: Arc<Mutex<Weak<Attachment>>>,
    /// A producer was greeted and has not answered yet.
    joining: Option<Conversation>,
    /// What an event loop polls, once it has asked for it.
    events: Option<Events>,
    /// Kept while there is no producer.
    watch: Option<ProducerWatch>,
    absent_since: Instant,
    last: Last,
    cursor: Cursor,
    /// How many producers were joined.
    joins: u64,
    /// The time for a restart is over, and the end of the last producer was told for that.
    end_told: bool,
    /// The absence of a producer was told since there was none.
    absence_told: bool,
}

/// Counters of a [`Subscriber`], over all producers that it was attached to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SubscriberStats {
    /// Frames received.
    pub received: u64,
    /// Frames that were published since it joined, and not received.
    pub missed: u64,
}

impl Subscriber {
    /// Waits up to `timeout` for the next frame that was not received yet, through restarts of the producer.
    ///
    /// # Errors
    /// [`LinkError::TimedOut`] when the producer published nothing new; [`LinkError::ProducerLost`] or
    /// [`LinkError::ProducerClosed`] when there is no producer at the end of the wait, or for the
    /// [time of a restart](SubscribeOptions::restart_timeout); [`LinkError::Corrupt`].
    pub fn recv(&mut self, timeout: Duration) -> Result<Frame, LinkError> {
        let received = self.recv_until(Some(timeout), None);
        self.log.noting(received)
    }

    /// Like [`recv`](Self::recv), telling `waiting` about the wait. Without a timeout it waits for as long as there is
    /// a producer, and for the time given to [`SubscribeOptions::timeout`] or
    /// [`restart_timeout`](SubscribeOptions::restart_timeout) when there is none.
    ///
    /// # Errors
    /// As for [`recv`](Self::recv), and [`LinkError::Interrupted`].
    pub fn recv_with(
        &mut self,
        timeout: Option<Duration>,
        waiting: &mut dyn Waiting,
    ) -> Result<Frame, LinkError> {
        let received = self.recv_until(timeout, Some(waiting));
        self.log.noting(received)
    }

    /// The newest frame that there is, also one that was received before; `None` when there is none. Never waits: a
    /// producer that has just come is joined by one call and read by a later one, and a frame that must be copied to
    /// another device ([`Where::Device`]) is on its way after one call and given by a later one. For a reader of every
    /// frame it is a look ahead: the next one to receive stays the same.
    ///
    /// # Errors
    /// [`LinkError::Corrupt`]; [`LinkError::Forked`]; those of joining, as for [`SubscribeOptions::open`].
    pub fn newest(&mut self) -> Result<Option<Frame>, LinkError> {
        let newest = self.look_for_newest();
        self.log.noting(newest)
    }

    fn look_for_newest(&mut self) -> Result<Option<Frame>, LinkError> {
        self.check_usable()?;
        self.look_anew();
        if self.connected() {
            return self.take_newest().map(Taken::frame);
        }
        // First what the producer that is gone has left unseen, then its successor, then what was seen.
        if let Taken::Frame(frame) = self.take(self.cursor.after())? {
            return Ok(Some(frame));
        }
        self.note_end();
        self.look_for_producer()?;
        self.take_newest().map(Taken::frame)
    }

    /// The name of the link.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether a producer is there now.
    #[must_use]
    pub fn connected(&self) -> bool {
        self.attachment.as_ref().is_some_and(|attachment| attachment.ended().is_none())
    }

    /// How often another producer took the place of one that was gone.
    #[must_use]
    pub fn restarts(&self) -> u64 {
        self.joins.saturating_sub(1)
    }

    /// The counters of this subscriber.
    #[must_use]
    pub fn stats(&self) -> SubscriberStats {
        SubscriberStats { received: self.cursor.received, missed: self.cursor.missed }
    }

    /// What ends or hurries a wait of this end, from any thread.
    #[must_use]
    pub fn waker(&self) -> Waker {
        Waker::for_frames(&self.for_wakers)
    }

    /// Leaves the link. Frames that are still held stay valid. Same as dropping the subscriber.
    pub fn close(self) {}

    fn check_usable(&mut self) -> Result<(), LinkError> {
        if self.generation != fork_generation() {
            return Err(LinkError::Forked { name: self.name.clone() });
        }
        match &self.attachment {
            Some(attachment) if attachment.is_evicted() => Err(self.leave_evicted()),
            _ => Ok(()),
        }
    }

    /// Gives the place up that the producer took away; the next call takes a new one.
    #[cold]
    fn leave_evicted(&mut self) -> LinkError {
        self.end_sleep(None);
        self.attachment = None;
        self.cursor.context = None;
        self.cursor.unready = None;
        self.cursor.ahead = None;
        self.absent_since = Instant::now();
        LinkError::Evicted { name: self.name.clone() }
    }
}
