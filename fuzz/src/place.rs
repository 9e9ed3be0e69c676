// SPDX-License-Identifier: MIT OR Apache-2.0
//! A runtime directory of a target's own, gone with it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use uncopy::os::RuntimeDir;
use uncopy::{PublishOptions, SubscribeOptions};

/// The name of the one link in a [`Place`].
pub const NAME: &str = "cam";

/// Where a target's links live.
pub struct Place {
    root: PathBuf,
}

impl Place {
    pub fn new() -> Self {
        static PLACES: AtomicUsize = AtomicUsize::new(0);
        let number = PLACES.fetch_add(1, Relaxed);
        let root = std::env::temp_dir().join(format!("uncopy-fuzz-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&root).expect("the temporary directory can be written");
        Self { root: root.canonicalize().expect("it was just made") }
    }

    /// A file in the runtime directory, which is there from the first [`Place::dir`] on.
    pub fn file(&self, name: &str) -> PathBuf {
        self.root.join("run").join(name)
    }

    pub fn dir(&self) -> RuntimeDir {
        RuntimeDir::open_at(self.root.join("run")).expect("a directory of our own")
    }

    pub fn publish(&self) -> PublishOptions {
        uncopy::publish(NAME).directory(self.root.join("run"))
    }

    pub fn subscribe(&self) -> SubscribeOptions {
        uncopy::subscribe(NAME).directory(self.root.join("run")).timeout(None)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // What could not be removed lies in the temporary directory.
        let _ = std::fs::remove_dir_all(&self.root);
    }
}
