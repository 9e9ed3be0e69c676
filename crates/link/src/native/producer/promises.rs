// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a producer's device has promised to write, watched over: readers' streams wait for it.

use std::io;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};

use uncopy_tensor::Accelerator;

use crate::native::attachment::is_lost;
use crate::native::order::{self, DeviceCells, DeviceWord, Part};
use crate::native::server::Server;
use crate::native::vigil::{Debtor, Debts, Vigil};

/// The promises of one link, kept by streams of one device.
pub(super) struct Promises {
    server: Weak<Server>,
    accelerator: Weak<dyn Accelerator>,
    is_mirrored: bool,
    vigil: Vigil,
}

impl Promises {
    pub(super) fn new(server: &Arc<Server>, accelerator: &Arc<dyn Accelerator>, is_mirrored: bool) -> Self {
        let (server, accelerator) = (Arc::downgrade(server), Arc::downgrade(accelerator));
        Self { server, accelerator, is_mirrored, vigil: Vigil::default() }
    }

    /// Why they are not kept, if the device is known to be lost.
    pub(super) fn loss(&self) -> Option<io::Error> {
        self.accelerator.upgrade()?.loss()
    }
}

impl Debtor for Promises {
    fn vigil(&self) -> &Vigil {
        &self.vigil
    }

    fn debts(&self) -> Debts {
        let Some(server) = self.server.upgrade() else { return Debts { count: 0, is_owed: false } };
        let live = server.control();
        // Somebody else may have written them. The driver is then asked in vain, or later.
        let promised = |slot| DeviceWord::load(live.promised(slot), Relaxed);
        let count = (0..live.slots()).fold(0, |sum: u64, slot| sum.wrapping_add(promised(slot).into()));
        let is_kept = |slot| {
            order::is_at_least(&live, slot, Part::Device, promised(slot))
                && (!self.is_mirrored || order::is_at_least(&live, slot, Part::Mirror, promised(slot)))
        };
        Debts { count, is_owed: !(0..live.slots()).all(is_kept) }
    }

    fn writes_off(&self) -> bool {
        let (Some(server), Some(accelerator)) = (self.server.upgrade(), self.accelerator.upgrade()) else {
            return false;
        };
        let is_lost = is_lost(&*accelerator);
        if is_lost {
            tracing::warn!(link = server.name(), "the link ends: its device is lost");
            server.end_with_device();
        }
        is_lost
    }
}
