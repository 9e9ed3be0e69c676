// SPDX-License-Identifier: MIT OR Apache-2.0
//! Panics on threads of the product's own, which nobody would notice otherwise.

use std::sync::{Mutex, MutexGuard, Once, PoisonError};

static NOTED: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn noted() -> MutexGuard<'static, Vec<String>> {
    NOTED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on panics of such threads are noted. libFuzzer's own hook, which ends the process, comes after.
pub fn watch() {
    static WATCHING: Once = Once::new();
    WATCHING.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if std::thread::current().name().is_some_and(|name| name.starts_with("uncopy-")) {
                noted().push(info.to_string());
            }
            before(info);
        }));
    });
}

/// # Panics
/// When one was noted.
pub fn check() {
    let panics = std::mem::take(&mut *noted());
    assert!(panics.is_empty(), "uncopy's own threads panicked: {panics:#?}");
}
