// SPDX-License-Identifier: MIT OR Apache-2.0
//! Taking the place that a welcome gives: what the welcome says is checked, then mapped, then watched. Where something
//! fails the conversation ends, which gives the place back.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::sync::{Arc, Mutex};

use uncopy_core::ErrorKind;
use uncopy_os::{Mapping, PidFd, fork_generation, kill_point};
use uncopy_tensor::{Access, ShareHandle};

use super::maps::Maps;
use super::memory::Inbox;
use super::wanted::Wanted;
use super::{Attachment, AttachmentHandler, LIVE, PROCESS_KEY, SOCKET_KEY};
use crate::error::LinkError;
use crate::native::control::Control;
use crate::native::conversation::Conversation;
use crate::native::header::Header;
use crate::native::wire::{self, MAX_CONSUMERS, MAX_SLOTS, MemoryInfo, Message, when_full};
use crate::service::{self, Handler, lock};
use crate::stamp::is_of_this_boot;

/// What a producer says to a consumer that it takes in.
struct Welcome<'h> {
    place: u32,
    slots: u32,
    control_len: usize,
    control: &'h ShareHandle,
    /// 0 where there is no frame memory yet.
    epoch: u32,
    memory: MemoryInfo,
    /// What that is mapped by.
    memory_handles: &'h [ShareHandle],
}

impl Attachment {
    /// Maps and checks everything that a welcome describes. On failure the place is given back.
    pub(crate) fn take_place(
        conversation: Conversation,
        message: Message,
        handles: &[ShareHandle],
        every: bool,
        wanted: Wanted,
    ) -> Result<Arc<Self>, LinkError> {
        kill_point("consumer.welcomed");
        let conversation = Arc::new(conversation);
        let name = conversation.name();
        let welcome = Welcome::read(name, message, handles)?;
        let (control, header) = welcome.open_control(name)?;
        let pidfd = process_of(&conversation, &header)?.map(Arc::new);
        let maps = Maps::new(&control, welcome.place, wanted, &conversation, &pidfd);
        let inbox = welcome.open_memory(name, &maps)?;
        let blocks = control.live().when_full().load(Relaxed) == when_full::BLOCK;
        let attachment = Arc::new(Self {
            name: name.to_owned(),
            is_of_this_boot: is_of_this_boot(header.boot_id),
            header,
            control,
            place: welcome.place,
            every,
            blocks,
            generation: fork_generation(),
            conversation: Arc::clone(&conversation),
            maps,
            pidfd,
            inbox: Mutex::new(inbox),
            ended: AtomicU32::new(LIVE),
            ended_nanos: AtomicU64::new(0),
            watches: Mutex::default(),
            bell: Mutex::default(),
            counts: [const { AtomicU32::new(0) }; MAX_SLOTS],
        });
        attachment.watch()?;
        kill_point("consumer.attached");
        Ok(attachment)
    }

    fn watch(self: &Arc<Self>) -> Result<(), LinkError> {
        let handler: Arc<dyn Handler> = Arc::new(AttachmentHandler(Arc::downgrade(self)));
        let mut watches = vec![service::watch(
            Arc::clone(self.conversation.connection()) as _,
            Arc::clone(&handler),
            SOCKET_KEY,
        )?];
        if let Some(pidfd) = &self.pidfd {
            watches.push(service::watch(Arc::clone(pidfd) as _, handler, PROCESS_KEY)?);
        }
        // The end may have been noticed already, between the first watch and here.
        let mut kept = lock(&self.watches);
        if self.ended().is_some() {
            watches.drain(..1);
        }
        *kept = watches;
        Ok(())
    }
}

impl<'h> Welcome<'h> {
    /// The welcome that a message is, with the control memory that belongs to it. Nothing else is checked.
    fn read(name: &str, message: Message, handles: &'h [ShareHandle]) -> Result<Self, LinkError> {
        let Message::Welcome { place, control_len, epoch, slots, memory } = message else {
            return Err(corrupt(name, format!("its producer answered a greeting with {message:?}")));
        };
        let (Some((control, memory_handles)), Ok(control_len)) =
            (handles.split_first(), usize::try_from(control_len))
        else {
            return Err(corrupt(name, "its producer sent no control memory".to_owned()));
        };
        Ok(Self { place, slots, control_len, control, epoch, memory, memory_handles })
    }

    /// Maps the control memory, which must be what the welcome says of it.
    fn open_control(&self, name: &str) -> Result<(Control, Header), LinkError> {
        let &Self { place, slots, control_len, .. } = self;
        // Nobody has checked the number of slots yet.
        let need = wire::control_len_bytes((slots as usize).min(MAX_SLOTS));
        if control_len < need {
            return Err(corrupt(
                name,
                format!(
                    "its producer says that {control_len} bytes of control memory serve {slots} slots; {need} do"
                ),
            ));
        }
        let opened = Mapping::open(self.control, control_len, Access::ReadWrite);
        let mapping = opened.map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied => {
                corrupt(name, format!("its control memory can't be written: {error}"))
            }
            _ => error.into(),
        })?;
        let (control, header) = Control::open(Arc::new(mapping), name)?;
        if header.slots != slots as usize || place as usize >= MAX_CONSUMERS {
            let detail = format!("{slots} slots and place {place}; the header has {} slots", header.slots);
            return Err(corrupt(name, detail));
        }
        Ok((control, header))
    }

    /// Maps the frame memory of the current epoch, if there is one.
    fn open_memory(&self, name: &str, maps: &Maps) -> Result<Inbox, LinkError> {
        let mut inbox = Inbox::default();
        if self.epoch == 0 {
            return Ok(inbox);
        }
        if self.memory_handles.is_empty() {
            return Err(corrupt(name, "its producer sent no frame memory".to_owned()));
        }
        inbox.newest = self.epoch;
        match maps.open(self.epoch, self.memory, self.memory_handles) {
            Ok(map) => inbox.epochs.push(Arc::new(map)),
            // Told with the first frame on it: the next may be elsewhere.
            Err(error @ LinkError::DeviceUnreachable { .. }) => inbox.failed = Some((self.epoch, error)),
            Err(error) => return Err(error),
        }
        Ok(inbox)
    }
}

/// What tells when the producer's process is dead; `None` where nothing does.
fn process_of(conversation: &Conversation, header: &Header) -> Result<Option<PidFd>, LinkError> {
    Ok(match conversation.connection().peer_pidfd()? {
        // Before Linux 6.5 the kernel gives none; the identity in the header tells a reused pid apart.
        None => PidFd::open_same(header.producer)?,
        some => some,
    })
}

#[cold]
fn corrupt(name: &str, detail: String) -> LinkError {
    LinkError::Corrupt { name: name.to_owned(), detail }
}
