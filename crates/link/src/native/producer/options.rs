// SPDX-License-Identifier: MIT OR Apache-2.0
//! How to publish, before there is a link.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Release;
use std::time::Duration;

use uncopy_core::LinkName;
use uncopy_os::{ProcessId, RuntimeDir, boot_id, fork_generation, kill_point, monotonic_nanos, random_id};

use super::{Patience, Publisher, SlotState, Target, WhenFull};
use crate::error::LinkError;
use crate::errors::{ErrorLog, Side};
use crate::form::Form;
use crate::native::control::Control;
use crate::native::header::Header;
use crate::native::naming;
use crate::native::ring::Writer;
use crate::native::server::Server;
use crate::native::wire::{MAX_SLOTS, MIN_SLOTS, VERSION_MINOR, when_full};

/// How to publish; made by [`publish`], used up by [`open`](PublishOptions::open).
#[derive(Clone, Debug)]
pub struct PublishOptions {
    name: String,
    slots: usize,
    form: Option<Form>,
    when_full: WhenFull,
    evict_after: Option<Duration>,
    takeover: bool,
    mirror: bool,
    directory: Option<PathBuf>,
}

/// Starts to describe a link that this process will publish. Nothing happens before [`PublishOptions::open`].
///
/// ```
/// use uncopy_link::{Form, Meta, publish};
/// use uncopy_core::PixelFormat;
/// # let dir = std::env::temp_dir().join(format!("uncopy-doc-publish-{}", std::process::id()));
/// let mut out = publish("camera").slots(4)
/// #     .directory(&dir)
///     .open()?;
/// let mut slot = out.loan(&Form::image(2, 3, PixelFormat::RGBA8))?;
/// slot.bytes_mut().fill(255);
/// slot.publish(Meta::default())?;
/// # drop(out); std::fs::remove_dir_all(dir).ok();
/// # Ok::<(), uncopy_link::LinkError>(())
/// ```
#[must_use]
pub fn publish(name: &str) -> PublishOptions {
    PublishOptions {
        name: name.to_owned(),
        slots: 4,
        form: None,
        when_full: WhenFull::Drop,
        evict_after: None,
        takeover: false,
        mirror: false,
        directory: None,
    }
}

impl PublishOptions {
    /// Number of slots, 2 to 64 (4 unless told). Good is 2 + the frames that consumers hold at once.
    #[must_use]
    pub fn slots(self, slots: usize) -> Self {
        Self { slots, ..self }
    }

    /// Fixes the form: a frame of any other form is refused with both named.
    #[must_use]
    pub fn form(self, form: Form) -> Self {
        Self { form: Some(form), ..self }
    }

    /// What happens when every slot is held.
    #[must_use]
    pub fn when_full(self, when_full: WhenFull) -> Self {
        Self { when_full, ..self }
    }

    /// Takes the place of a consumer away that has kept slots from the producer for this long without receiving a frame
    /// (never, unless told). What it holds stays its own until it lets go or dies; its next call fails with
    /// [`LinkError::Evicted`].
    #[must_use]
    pub fn evict_after(self, patience: Option<Duration>) -> Self {
        Self { evict_after: patience, ..self }
    }

    /// Asks the process that holds the name to give it up, instead of failing with [`LinkError::NameTaken`].
    #[must_use]
    pub fn takeover(self, takeover: bool) -> Self {
        Self { takeover, ..self }
    }

    /// Keeps a copy of each frame that lies on a device in host memory, for consumers without the device: one copy for
    /// all of them, made by the device into pinned shared memory and named in [`Frame::copies`](crate::Frame::copies).
    /// Frames in host memory are as ever.
    #[must_use]
    pub fn mirror(self, mirror: bool) -> Self {
        Self { mirror, ..self }
    }

    /// Another runtime directory than the user's own, for tests and containers.
    #[must_use]
    pub fn directory(self, directory: impl Into<PathBuf>) -> Self {
        Self { directory: Some(directory.into()), ..self }
    }

    /// Takes the name and starts to serve consumers. Frame memory is made with the first frame, or now for a fixed
    /// form.
    ///
    /// # Errors
    /// A bad name or slot count, [`LinkError::NameTaken`], no memory, or a runtime directory that isn't private.
    pub fn open(self) -> Result<Publisher, LinkError> {
        let name = crate::native_name(&self.name)?;
        if !(MIN_SLOTS..=MAX_SLOTS).contains(&self.slots) {
            return Err(LinkError::SlotCount { asked: self.slots });
        }
        let dir = crate::runtime_dir(self.directory.as_ref())?;
        let log = Arc::new(ErrorLog::new(&dir, name.as_str(), Side::Producer));
        let opened = self.open_in(&dir, name, Arc::clone(&log));
        log.noting(opened)
    }

    fn open_in(self, dir: &RuntimeDir, name: LinkName, log: Arc<ErrorLog>) -> Result<Publisher, LinkError> {
        let lock = naming::take_name(dir, &name, self.takeover)?;
        kill_point("producer.named");
        let header = Header {
            slots: self.slots,
            link_id: random_id(),
            boot_id: boot_id(),
            producer: ProcessId::current(),
            created_nanos: monotonic_nanos(),
            minor: VERSION_MINOR,
        };
        let control = Control::create(&name, &header)?;
        let when_full = match self.when_full {
            WhenFull::Drop => when_full::DROP,
            WhenFull::Block(_) => when_full::BLOCK,
        };
        control.live().when_full().store(when_full, Release);
        kill_point("producer.control");
        let mut publisher = Publisher {
            server: Server::open(dir, log, name, lock, control.clone())?,
            control,
            generation: fork_generation(),
            writer: Writer::new(self.slots),
            when_full: self.when_full,
            fixed: None,
            epoch: None,
            is_mirrored: self.mirror,
            own_stream: None,
            timeline: None,
            mirror_stream: None,
            readers_at_close: None,
            form: None,
            slots: (0..self.slots).map(|_| SlotState::default()).collect(),
            patience: self.evict_after.map(Patience::new),
            seq: 0,
            dropped: 0,
            blocked: Duration::ZERO,
            small_frames: 0,
        };
        if let Some(form) = self.form {
            publisher.prepare(&form, &Target::Host)?;
            publisher.fixed = Some(form);
        }
        kill_point("producer.open");
        Ok(publisher)
    }
}
