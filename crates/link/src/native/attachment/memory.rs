// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a producer sends after the welcome: frame memory of new epochs, and its goodbye.

use std::sync::Arc;
use std::time::{Duration, Instant};

use uncopy_core::ErrorKind;
use uncopy_os::{OsError, Received, kill_point};
use uncopy_tensor::ShareHandle;

use super::{Attachment, CLOSED, LOST, SlotMap};
use crate::error::LinkError;
use crate::native::wire::{MAX_MESSAGE_BYTES, Message, MessageError, is_newer_epoch};
use crate::service::lock;

/// Frame memory that has arrived and may still be needed.
#[derive(Default)]
pub(super) struct Inbox {
    pub(super) epochs: Vec<Arc<SlotMap>>,
    pub(super) newest: u32,
    /// The newest epoch has not been confirmed, because too many older ones wait here.
    pub(super) owes_answer: bool,
    /// Why an epoch could not be mapped; told to whoever meets a frame in it.
    pub(super) failed: Option<(u32, LinkError)>,
    /// Why a message, of whatever epoch, could not be read: no descriptor was left for the memory in it.
    pub(super) unread: Option<LinkError>,
    pub(super) asked: Option<Instant>,
}

/// Epochs that may wait for their first frame to be held, before a consumer asks for no more.
const MAX_WAITING_EPOCHS: usize = 2;

/// How often a consumer asks for an epoch that it lacks.
pub(crate) const ASK_EVERY: Duration = Duration::from_millis(10);

/// Messages that are read in one go; what is more is read the next time, and others get their turn.
const MESSAGES_AT_ONCE: usize = 16;

impl Attachment {
    /// Reads what the producer has sent. Any thread may call it.
    pub(super) fn pump(&self) {
        let mut inbox = lock(&self.inbox);
        let mut buffer = [0; MAX_MESSAGE_BYTES];
        for _ in 0..MESSAGES_AT_ONCE {
            match self.conversation.connection().recv(&mut buffer) {
                Ok(Received::WouldBlock) => return,
                Ok(Received::Message { len, handles, .. }) => {
                    let message = Message::decode(buffer.get(..len).unwrap_or_default());
                    if self.take(&mut inbox, message.as_ref().ok(), &handles).is_none() {
                        self.refuse(message.err());
                        return self.end(LOST);
                    }
                }
                Ok(Received::Closed) | Err(OsError::Closed) => return self.end(LOST),
                Err(error) => {
                    // The message is gone, and with it perhaps the memory of an epoch: asking again brings it back.
                    tracing::warn!(link = %self.name, %error, "a message of the producer could not be read");
                    inbox.unread = Some(error.into());
                    return;
                }
            }
        }
    }

    /// Tells a producer that says what it may not why it is not listened to any more. The connection stays for our
    /// goodbye.
    #[cold]
    fn refuse(&self, error: Option<MessageError>) {
        let detail =
            error.map_or_else(|| "a producer does not say this".to_owned(), |error| error.to_string());
        let connection = self.conversation.connection();
        let _ = connection.send(&Message::refusal(ErrorKind::VersionMismatch, &detail).encode(), &[]);
    }

    /// Takes in one message; `None` where it is none that a producer may send.
    fn take(&self, inbox: &mut Inbox, message: Option<&Message>, handles: &[ShareHandle]) -> Option<()> {
        match message?.clone() {
            Message::Epoch { epoch, memory } => {
                match self.maps.open(epoch, memory, handles) {
                    Ok(map) => {
                        inbox.epochs.push(Arc::new(map));
                        inbox.unread = None;
                    }
                    Err(error) => inbox.failed = Some((epoch, error)),
                }
                if is_newer_epoch(epoch, inbox.newest) {
                    inbox.newest = epoch;
                }
                inbox.owes_answer = true;
                self.answer_epoch(inbox);
                // A frame may have waited for this memory.
                self.ring();
                kill_point("consumer.epoch_taken");
            }
            // A producer that says goodbye has closed, whatever its reason.
            Message::Bye { .. } => self.end(CLOSED),
            // It could not obey us and hangs up.
            Message::Refuse { detail, .. } => {
                tracing::warn!(link = %self.name, %detail, "the producer hangs up");
                self.end(LOST);
            }
            Message::Newer { .. } => {}
            _ => return None,
        }
        Some(())
    }

    /// Confirms the newest epoch, which lets the producer send the next. A consumer that looks at no frames keeps few.
    fn answer_epoch(&self, inbox: &mut Inbox) {
        if inbox.owes_answer && inbox.epochs.len() <= MAX_WAITING_EPOCHS {
            inbox.owes_answer = false;
            self.say_taken(inbox.newest);
        }
    }

    fn say_taken(&self, epoch: u32) {
        // A producer that can't be told sends nothing newer until it is asked again.
        let _ = self.conversation.connection().send(&Message::EpochTaken { epoch }.encode(), &[]);
    }

    /// The memory of `epoch`, in which a frame was just met.
    pub(super) fn memory_of(&self, epoch: u32) -> Result<Memory, LinkError> {
        if let Some(map) = self.known(epoch) {
            return Ok(Memory::Here(map));
        }
        self.pump();
        if let Some(map) = self.known(epoch) {
            return Ok(Memory::Here(map));
        }
        let mut inbox = lock(&self.inbox);
        let failed = inbox.failed.take_if(|(failed, _)| *failed == epoch).map(|(_, error)| error);
        let failed = failed.or_else(|| inbox.unread.take());
        if self.ended().is_some() || is_newer_epoch(inbox.newest, epoch) {
            return Ok(Memory::Never);
        }
        // Ask again: the producer may have been unable to send, or we to map.
        if inbox.asked.is_none_or(|asked| asked.elapsed() >= ASK_EVERY) {
            inbox.asked = Some(Instant::now());
            inbox.owes_answer = false;
            // What has arrived and could not be mapped is not here either.
            let older = if inbox.newest == epoch { epoch.wrapping_sub(1) } else { inbox.newest };
            self.say_taken(older);
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(Memory::Later),
        }
    }

    fn known(&self, epoch: u32) -> Option<Arc<SlotMap>> {
        let mut inbox = lock(&self.inbox);
        // Frames come in order: what is older than a frame that was held is not needed by a later one.
        inbox.epochs.retain(|map| !is_newer_epoch(epoch, map.epoch));
        self.answer_epoch(&mut inbox);
        inbox.epochs.iter().find(|map| map.epoch == epoch).cloned()
    }

    /// Waits until the producer may have sent something, at most `timeout` and not for long.
    pub(crate) fn wait_for_message(&self, timeout: Duration) -> Result<(), LinkError> {
        self.conversation.wait(timeout.min(ASK_EVERY))
    }
}

/// Where the memory of an epoch is.
pub(super) enum Memory {
    Here(Arc<SlotMap>),
    /// On its way, or asked for again.
    Later,
    /// A newer epoch has come, or the producer is gone.
    Never,
}
