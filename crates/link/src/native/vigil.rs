// SPDX-License-Identifier: MIT OR Apache-2.0
//! Somebody who looks, about once a second, whether a device is lost that owes something to streams of other processes.
//!
//! A call that finds a device lost writes off what it owed. But a process may make no such call for as long as it
//! lives, and whoever waits for it would wait as long. So whatever comes to owe something begins a vigil; it ends when
//! nothing is owed and nothing new has come for a while, and the process then sleeps undisturbed.
//!
//! # Why no debt is missed
//! A debtor stores what it owes and then loads whether somebody looks, with no order between the two: that costs
//! nothing. It may so believe in a watcher who has just gone. Therefore a watcher goes in two steps: it says that it
//! goes, and looks once more a second later, when every store from before has long arrived.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};

use crate::service::ask_now_and_then;

/// Whether somebody looks.
#[derive(Default)]
pub(super) struct Vigil {
    is_kept: AtomicBool,
}

/// What a device owes at the moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Debts {
    /// What it came to owe so far, counted in any way that changes with each.
    pub(super) count: u64,
    /// Some of it is not done yet.
    pub(super) is_owed: bool,
}

/// Who owes work of a device to other processes.
pub(super) trait Debtor: Send + Sync + 'static {
    fn vigil(&self) -> &Vigil;

    fn debts(&self) -> Debts;

    /// Asks the device whether it is lost, and if so does what its streams will not. Returns whether it was.
    fn writes_off(&self) -> bool;
}

/// Called when `debtor` has come to owe something more. Costs a load while somebody looks already.
#[inline]
pub(super) fn keep_vigil<D: Debtor>(debtor: &Arc<D>) {
    if !debtor.vigil().is_kept.load(Relaxed) {
        begin(debtor);
    }
}

#[cold]
fn begin<D: Debtor>(debtor: &Arc<D>) {
    if debtor.vigil().is_kept.swap(true, Relaxed) {
        return;
    }
    let mut watcher = Watcher { debtor: Arc::downgrade(debtor), count: None, is_going: false };
    ask_now_and_then(move || watcher.is_over());
}

struct Watcher<D> {
    debtor: Weak<D>,
    /// What was owed in all when it looked last.
    count: Option<u64>,
    /// It has said that it goes.
    is_going: bool,
}

impl<D: Debtor> Watcher<D> {
    /// Looks once. Returns whether it has gone.
    fn is_over(&mut self) -> bool {
        let Some(debtor) = self.debtor.upgrade() else { return true };
        let is_kept = &debtor.vigil().is_kept;
        let Debts { count, is_owed } = debtor.debts();
        if is_owed && debtor.writes_off() {
            // Every later call finds the device lost: nobody needs to look again.
            is_kept.store(true, Relaxed);
            return true;
        }
        let is_idle = !is_owed && self.count.replace(count) == Some(count);
        match (is_idle, self.is_going) {
            (true, true) => true,
            (true, false) => {
                is_kept.store(false, Relaxed);
                self.is_going = true;
                false
            }
            (false, true) => {
                self.is_going = false;
                // Another one may have begun meanwhile.
                is_kept.swap(true, Relaxed)
            }
            (false, false) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;

    #[derive(Default)]
    struct Device {
        vigil: Vigil,
        owed: AtomicU64,
        done: AtomicU64,
        is_lost: AtomicBool,
        asked: AtomicU64,
    }

    impl Debtor for Device {
        fn vigil(&self) -> &Vigil {
            &self.vigil
        }

        fn debts(&self) -> Debts {
            let (owed, done) = (self.owed.load(Relaxed), self.done.load(Relaxed));
            Debts { count: owed, is_owed: done < owed }
        }

        fn writes_off(&self) -> bool {
            self.asked.fetch_add(1, Relaxed);
            let is_lost = self.is_lost.load(Relaxed);
            if is_lost {
                self.done.store(self.owed.load(Relaxed), Relaxed);
            }
            is_lost
        }
    }

    fn watched() -> (Arc<Device>, Watcher<Device>) {
        let device = Arc::<Device>::default();
        device.vigil.is_kept.store(true, Relaxed);
        let watcher = Watcher { debtor: Arc::downgrade(&device), count: None, is_going: false };
        (device, watcher)
    }

    fn is_kept(device: &Device) -> bool {
        device.vigil.is_kept.load(Relaxed)
    }

    #[test]
    fn the_driver_is_asked_while_something_is_owed_and_what_is_lost_is_written_off() {
        let (device, mut watcher) = watched();
        device.owed.store(1, Relaxed);
        assert!(!watcher.is_over() && !watcher.is_over());
        assert_eq!(device.asked.load(Relaxed), 2);
        device.is_lost.store(true, Relaxed);
        assert!(watcher.is_over());
        assert_eq!(device.done.load(Relaxed), 1);
    }

    #[test]
    fn who_owes_nothing_and_has_done_nothing_new_is_left_alone_after_two_looks_more() {
        let (device, mut watcher) = watched();
        device.owed.store(1, Relaxed);
        device.done.store(1, Relaxed);
        assert!(!watcher.is_over(), "there was something new");
        device.owed.store(2, Relaxed);
        device.done.store(2, Relaxed);
        assert!(!watcher.is_over() && is_kept(&device), "again");
        assert!(!watcher.is_over() && !is_kept(&device));
        assert!(watcher.is_over());
        assert_eq!(device.asked.load(Relaxed), 0);
    }

    #[test]
    fn a_debt_of_who_believed_in_a_watcher_that_goes_keeps_it() {
        let (device, mut watcher) = watched();
        assert!(!watcher.is_over() && !watcher.is_over() && !is_kept(&device));
        device.owed.store(1, Relaxed);
        assert!(!watcher.is_over() && is_kept(&device));
        assert_eq!(device.asked.load(Relaxed), 1);
    }

    #[test]
    fn one_watcher_is_left_when_another_has_begun_meanwhile() {
        let (device, mut watcher) = watched();
        assert!(!watcher.is_over() && !watcher.is_over() && !is_kept(&device));
        device.owed.store(1, Relaxed);
        device.vigil.is_kept.store(true, Relaxed);
        assert!(watcher.is_over() && is_kept(&device));
    }

    #[test]
    fn nobody_watches_over_what_is_gone() {
        let (device, mut watcher) = watched();
        drop(device);
        assert!(watcher.is_over());
    }
}
