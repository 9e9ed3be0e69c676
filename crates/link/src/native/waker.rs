// SPDX-License-Identifier: MIT OR Apache-2.0
//! Making a wait look up, from another thread.

use std::sync::{Arc, Mutex, Weak};

use super::attachment::Attachment;
use super::server::Server;
use crate::service::lock;

/// Makes a wait of one end of a link ask its [`Waiting`](crate::Waiting) now whether to go on, and not at its next
/// look, from any thread. It keeps nothing alive, and does nothing where nobody waits. A wait for a *producer to
/// appear* asks at its own pace, and so does one that is just falling asleep.
///
/// ```
/// use std::sync::atomic::{AtomicBool, Ordering};
/// use uncopy_link::{LinkError, Waiting, publish, subscribe};
/// # let dir = std::env::temp_dir().join(format!("uncopy-doc-waker-{}", std::process::id()));
/// struct Unless<'a>(&'a AtomicBool);
/// impl Waiting for Unless<'_> {
///     fn keep_waiting(&mut self) -> bool {
///         !self.0.load(Ordering::SeqCst)
///     }
/// }
/// # let out = publish("camera").directory(&dir).open()?;
/// let mut sub = subscribe("camera")
/// #     .directory(&dir)
///     .open()?;
/// let (waker, stop) = (sub.waker(), AtomicBool::new(false));
/// std::thread::scope(|threads| {
///     threads.spawn(|| {
///         stop.store(true, Ordering::SeqCst);
///         waker.wake();
///     });
///     assert!(matches!(sub.recv_with(None, &mut Unless(&stop)), Err(LinkError::Interrupted)));
/// });
/// # drop((sub, out)); std::fs::remove_dir_all(dir).ok();
/// # Ok::<(), LinkError>(())
/// ```
#[derive(Clone)]
pub struct Waker(Waits);

#[derive(Clone)]
enum Waits {
    ForFrames(Arc<Mutex<Weak<Attachment>>>),
    ForRoom(Weak<Server>),
}

impl Waker {
    pub(crate) fn for_frames(attachment: &Arc<Mutex<Weak<Attachment>>>) -> Self {
        Self(Waits::ForFrames(Arc::clone(attachment)))
    }

    pub(crate) fn for_room(server: &Arc<Server>) -> Self {
        Self(Waits::ForRoom(Arc::downgrade(server)))
    }

    /// Wakes the end's wait, if there is one.
    pub fn wake(&self) {
        match &self.0 {
            Waits::ForFrames(attachment) => {
                let attachment = lock(attachment).upgrade();
                if let Some(attachment) = attachment {
                    attachment.control.live().kick();
                }
            }
            Waits::ForRoom(server) => {
                if let Some(server) = server.upgrade() {
                    server.wake_for_room();
                }
            }
        }
    }
}

impl std::fmt::Debug for Waker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Waker")
    }
}
