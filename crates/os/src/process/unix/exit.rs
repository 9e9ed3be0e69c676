// SPDX-License-Identifier: MIT OR Apache-2.0
//! What is to happen when the process begins to end.
#![expect(unsafe_code, reason = "fence: registers a handler with the C library")]

/// Has the C library call `handler` when the process ends by `exit` or by returning from `main`, on the thread that
/// does so, before handlers that were registered earlier and before libraries are torn down. Other threads still run
/// then. Says whether there was room for it.
pub fn at_exit(handler: extern "C" fn()) -> bool {
    // SAFETY: the handler is a function that is there for as long as this library, which registers it for itself:
    // unloading a library runs its handlers first.
    unsafe { libc::atexit(handler) == 0 }
}
