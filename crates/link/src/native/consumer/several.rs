// SPDX-License-Identifier: MIT OR Apache-2.0
//! Waiting for frames of several links at once.
//!
//! While every link has a producer, this is one sleep on all their words: a frame costs its producer what it costs for
//! [`Subscriber::recv`]. While one has none, or where the kernel can't sleep on several words, the subscribers'
//! [events](Subscriber::events) are polled.

use std::sync::Arc;
use std::sync::atomic::Ordering::Acquire;
use std::time::{Duration, Instant};

use uncopy_os::{Interest, Poller, Woken, fork_generation, futex_wait_any};

use super::device::Unready;
use super::events::Sought;
use super::pace::LOOK_EVERY;
use super::receive::spin_until;
use super::{JustWait, Subscriber, Waiting, slice_after};
use crate::error::LinkError;
use crate::native::attachment::{ASK_EVERY, Attachment, Next};
use crate::native::ring::{self, Cells};

/// Waits until some of these subscribers have something to receive, at most `timeout` (`None`: without limit).
/// Returns which, by their index, in ascending order; none when the time is over.
///
/// A subscriber that is named gives a frame, or an error that is to be seen (it was evicted, there is no producer and
/// its own time is over), with its next [`Subscriber::poll_recv`]. Nothing is received here.
///
/// ```
/// use std::time::Duration;
/// use uncopy_core::PixelFormat;
/// use uncopy_link::{Form, LinkError, Meta, publish, subscribe, wait};
/// # let dir = std::env::temp_dir().join(format!("uncopy-doc-wait-{}", std::process::id()));
/// # let mut color_out = publish("color").directory(&dir).open()?;
/// # let depth_out = publish("depth").directory(&dir).open()?;
/// # color_out.loan(&Form::image(2, 3, PixelFormat::RGBA8))?.publish(Meta::default())?;
/// let mut color = subscribe("color")
/// #     .directory(&dir)
///     .open()?;
/// let mut depth = subscribe("depth")
/// #     .directory(&dir)
///     .open()?;
/// let ready = wait(&mut [&mut color, &mut depth], Some(Duration::from_secs(1)))?;
/// assert_eq!(ready, [0]);
/// let frame = color.poll_recv()?.expect("it has one");
/// # drop((frame, color, depth, color_out, depth_out)); std::fs::remove_dir_all(dir).ok();
/// # Ok::<(), LinkError>(())
/// ```
///
/// # Errors
/// [`LinkError::Forked`]; no descriptor is left for what is polled.
pub fn wait(subscribers: &mut [&mut Subscriber], timeout: Option<Duration>) -> Result<Vec<usize>, LinkError> {
    wait_with(subscribers, timeout, &mut JustWait)
}

/// Like [`wait`], telling `waiting` about the wait.
///
/// # Errors
/// As for [`wait`], and [`LinkError::Interrupted`].
pub fn wait_with(
    subscribers: &mut [&mut Subscriber],
    timeout: Option<Duration>,
    waiting: &mut dyn Waiting,
) -> Result<Vec<usize>, LinkError> {
    let begun = Instant::now();
    let mut several = Several { can_sleep: true, is_first: true };
    let mut is_owed_a_question = false;
    loop {
        let outlooks = look(subscribers)?;
        let ready: Vec<usize> = indices_of(&outlooks, Outlook::Ready).collect();
        if !ready.is_empty() {
            return Ok(ready);
        }
        if is_owed_a_question && !waiting.keep_waiting() {
            return Err(LinkError::Interrupted);
        }
        let gone = begun.elapsed();
        let slice = match timeout.map(|timeout| timeout.checked_sub(gone)) {
            Some(None) => return Ok(ready),
            Some(Some(left)) => left.min(slice_after(gone)),
            None => slice_after(gone),
        };
        let all_quiet = outlooks.iter().all(|outlook| *outlook == Outlook::Quiet);
        let woken = match all_quiet {
            true => several.sleep(subscribers, slice)?,
            false => poll(subscribers, &outlooks, slice)?,
        };
        // After a wake-up only if it brought nothing: it may be a `Waker`'s.
        is_owed_a_question = woken == Woken::Woken;
        if matches!(woken, Woken::TimedOut | Woken::Interrupted) && !waiting.keep_waiting() {
            return Err(LinkError::Interrupted);
        }
    }
}

/// What the next call of a subscriber would meet.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outlook {
    /// A frame, or an error.
    Ready,
    /// A producer without news.
    Quiet,
    /// A frame whose memory is on its way.
    Coming,
    /// No producer.
    Absent,
}

fn look(subscribers: &mut [&mut Subscriber]) -> Result<Vec<Outlook>, LinkError> {
    subscribers.iter_mut().map(|subscriber| subscriber.outlook()).collect()
}

fn indices_of(outlooks: &[Outlook], wanted: Outlook) -> impl Iterator<Item = usize> {
    outlooks.iter().enumerate().filter(move |(_, outlook)| **outlook == wanted).map(|(index, _)| index)
}

impl Subscriber {
    fn outlook(&mut self) -> Result<Outlook, LinkError> {
        if self.generation != fork_generation() {
            return Err(LinkError::Forked { name: self.name.clone() });
        }
        loop {
            if self.attachment.as_ref().is_some_and(|attachment| attachment.is_evicted()) {
                return Ok(Outlook::Ready);
            }
            // Asked before the look, as in `recv`: the last frame of a producer that has just gone is one.
            let ended = !self.connected();
            match self.glimpse() {
                Ok(Next::Frame(lease, _)) if lease.is_far() || !lease.is_there() => {
                    return Ok(Outlook::Coming);
                }
                Ok(Next::Frame(..)) | Err(_) => return Ok(Outlook::Ready),
                Ok(Next::Later) if !ended => return Ok(Outlook::Coming),
                // Looked again, until what is beyond reach has been passed over.
                Ok(Next::Unreachable { .. }) => {}
                Ok(_) if !ended => return Ok(Outlook::Quiet),
                Ok(_) => {
                    // Before the step, so that what it waits for is polled.
                    self.make_events()?;
                    match self.poll_producer(false) {
                        Ok(Sought::Joined) => {}
                        Ok(Sought::Coming) => return Ok(Outlook::Absent),
                        // Told by the call that receives.
                        Ok(Sought::Absent { .. }) | Err(_) => return Ok(Outlook::Ready),
                    }
                }
            }
        }
    }

    /// Holds the next frame for a moment, and receives nothing.
    fn glimpse(&mut self) -> Result<Next, LinkError> {
        let Some(attachment) = &self.attachment else { return Ok(Next::Nothing) };
        if let Some(unready) = &self.cursor.unready {
            return Ok(Next::Frame(unready.lease.clone(), unready.description));
        }
        let next = attachment.hold(self.cursor.after(), attachment.every, &mut self.cursor.context)?;
        match next {
            Next::Unreachable { seq } => self.pass_over(seq),
            Next::Frame(lease, description) => {
                let (lease, description) = lease.brought(description)?;
                if lease.is_brought() {
                    // The copy that is being made is the one to receive.
                    self.cursor.unready = Some(Unready::new(lease.clone(), description));
                }
                return Ok(Next::Frame(lease, description));
            }
            Next::Nothing | Next::Later => {}
        }
        Ok(next)
    }

    /// Whether there is something to look at, without looking.
    fn has_news(&self) -> bool {
        self.attachment.as_ref().is_none_or(|attachment| has_news(attachment, self.cursor.after()))
    }
}

fn has_news(attachment: &Attachment, after: u64) -> bool {
    let latest = attachment.control.live().newest_seq();
    latest > after || attachment.ended().is_some() || attachment.is_evicted()
}

/// How a wait for several sleeps.
struct Several {
    /// As far as is known the kernel can sleep on several words.
    can_sleep: bool,
    is_first: bool,
}

impl Several {
    /// Spins if that has paid, then sleeps until one of the links has news. All of them have a producer.
    fn sleep(&mut self, subscribers: &mut [&mut Subscriber], slice: Duration) -> Result<Woken, LinkError> {
        let spins = subscribers.iter().filter(|subscriber| subscriber.spin_pays);
        let spin = spins.map(|subscriber| subscriber.spin).min().unwrap_or_default();
        if std::mem::take(&mut self.is_first) && spin_until(spin.min(slice), || any_news(subscribers)) {
            return Ok(Woken::ValueChanged);
        }
        let begun = Instant::now();
        let woken = if self.can_sleep { sleep_on_words(subscribers, slice) } else { None };
        for subscriber in subscribers.iter_mut() {
            subscriber.spin_pays = begun.elapsed() < subscriber.spin;
        }
        match woken {
            Some(woken) => Ok(woken),
            None => {
                self.can_sleep = false;
                let outlooks = vec![Outlook::Quiet; subscribers.len()];
                poll(subscribers, &outlooks, slice)
            }
        }
    }
}

fn any_news(subscribers: &[&mut Subscriber]) -> bool {
    subscribers.iter().any(|subscriber| subscriber.has_news())
}

/// Sleeps on the words of all links; `None` where the kernel can't.
fn sleep_on_words(subscribers: &[&mut Subscriber], slice: Duration) -> Option<Woken> {
    let links: Vec<(&Arc<Attachment>, u64)> = subscribers
        .iter()
        .filter_map(|subscriber| Some((subscriber.attachment.as_ref()?, subscriber.cursor.after())))
        .collect();
    // Announced to each before any is looked at: as for one, a frame in between is seen or wakes.
    let announced: Vec<_> = links
        .iter()
        .map(|(attachment, _)| {
            let control = attachment.control.live();
            (control, ring::announce_sleep(&control, attachment.place))
        })
        .collect();
    let words: Vec<_> =
        announced.iter().map(|(control, value)| (control.latest_futex(), *value as u32)).collect();
    let woken = match any_news(subscribers) {
        true => Some(Woken::ValueChanged),
        false => futex_wait_any(&words, Some(slice)),
    };
    for ((attachment, after), (control, _)) in links.iter().zip(&announced) {
        if ring::seq_of(control.latest().load(Acquire)) > *after {
            // The wake-up may have been ours alone, of any of the links.
            control.pass_wake_on(attachment.place);
        }
        ring::end_sleep(control, attachment.place);
    }
    woken
}

/// Sleeps until one of the subscribers' events comes.
fn poll(
    subscribers: &mut [&mut Subscriber],
    outlooks: &[Outlook],
    timeout: Duration,
) -> Result<Woken, LinkError> {
    let poller = Poller::new()?;
    for (subscriber, outlook) in subscribers.iter_mut().zip(outlooks) {
        poller.add(&*subscriber.make_events()?.poller, 0, Interest::READ)?;
        let has_come = match outlook {
            Outlook::Quiet => subscriber.ask_for_ring() && subscriber.has_news(),
            // It rings by itself; the frame that is named already is no news.
            Outlook::Coming => subscriber.ask_for_ring() && subscriber.outlook()? != Outlook::Coming,
            Outlook::Absent | Outlook::Ready => false,
        };
        if has_come {
            // Before the ring was asked for, so that it rings no more.
            return Ok(Woken::ValueChanged);
        }
    }
    // What is on its way may have to be asked for again.
    let is_coming = outlooks.contains(&Outlook::Coming);
    let is_written = subscribers.iter().any(|subscriber| subscriber.is_written());
    let timeout = match (is_coming, is_written) {
        // Nothing tells when a device is done.
        (true, true) => timeout.min(LOOK_EVERY),
        (true, false) => timeout.min(ASK_EVERY),
        (false, _) => timeout,
    };
    let mut events = Vec::new();
    poller.wait(&mut events, Some(timeout))?;
    Ok(if events.is_empty() { Woken::TimedOut } else { Woken::Woken })
}
