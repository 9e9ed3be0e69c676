// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which process this is, counted along its line of forks, at the price of one load.
//!
//! The driver answers `CUDA_ERROR_NOT_INITIALIZED` in a forked child, from calls that its authors thought of. We do not
//! let a child come so far.

use std::sync::atomic::{AtomicU32, Ordering};

/// One more in each child than in its parent, once [`watch`] was called.
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// The generation as it stands.
#[inline]
pub(crate) fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// Begins to count forks; returns the generation of this process.
#[cfg(unix)]
pub(crate) fn watch() -> u32 {
    use std::sync::Once;

    static INSTALLED: Once = Once::new();

    extern "C" fn in_child() {
        GENERATION.fetch_add(1, Ordering::Relaxed);
    }

    INSTALLED.call_once(|| {
        // SAFETY: the handler is a function of this library, which is never unloaded while the process can fork (it
        // holds the driver), and it only adds to an atomic, which a signal handler may do too.
        let code = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
        if code != 0 {
            // Forks are then told from the driver's own answer only.
            tracing::warn!(code, "pthread_atfork failed: use of CUDA in a forked child is found late");
        }
    });
    generation()
}

/// Nothing forks here.
#[cfg(windows)]
pub(crate) fn watch() -> u32 {
    generation()
}
