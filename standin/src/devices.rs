// SPDX-License-Identifier: MIT OR Apache-2.0
//! The cards of the machine, and which of them this process sees in which order.

#![expect(unsafe_code, reason = "exports C entries")]

use crate::{
    abi::{In, Out},
    code::{Answer, Code},
    contexts,
    entry::entries,
    settings::{refuse, settings},
    space, usage,
};
use std::{
    ffi::{c_char, c_int, c_uint},
    process,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

/// More cards than a test needs.
pub const MOST_CARDS: usize = 8;

/// The process that has called `cuInit`; 0 before that.
static INITIALISED_BY: AtomicU32 = AtomicU32::new(0);

/// A call before `cuInit` is refused, and for ever in a child that was forked after it.
pub fn check_initialised() -> Answer {
    if INITIALISED_BY.load(Ordering::Relaxed) == process::id() { Ok(()) } else { Err(Code::NOT_INITIALIZED) }
}

/// The cards that this process sees: the place of each in the machine, by ordinal.
pub fn visible() -> &'static [usize] {
    static VISIBLE: OnceLock<Vec<usize>> = OnceLock::new();
    VISIBLE.get_or_init(|| {
        let cards = settings().cards;
        if cards > MOST_CARDS {
            refuse(&format!("{cards} cards asked for, at most {MOST_CARDS} can be had"));
        }
        match std::env::var("CUDA_VISIBLE_DEVICES") {
            Err(_) => (0..cards).collect(),
            // Numbers or UUIDs; the first that means no card ends the list.
            Ok(list) => list.split(',').map_while(|item| card_named(item.trim(), cards)).collect(),
        }
    })
}

fn card_named(item: &str, cards: usize) -> Option<usize> {
    match item.strip_prefix("GPU-") {
        Some(uuid) => (0..cards).find(|card| shown_uuid(*card).starts_with(uuid)),
        None => item.parse().ok().filter(|card| *card < cards),
    }
}

/// Which card an ordinal means.
pub fn card(ordinal: c_int) -> Answer<usize> {
    let card = usize::try_from(ordinal).ok().and_then(|ordinal| visible().get(ordinal));
    card.copied().ok_or(Code::INVALID_DEVICE)
}

/// Which ordinal a card of the machine has in this process.
pub fn ordinal_of(card: usize) -> Option<usize> {
    visible().iter().position(|visible| *visible == card)
}

fn uuid(card: usize) -> [u8; 16] {
    let mut uuid = *b"uncopy standin 0";
    // Real ones look random; what must differ is here the last byte, and in the first, so that a prefix tells them
    // apart.
    let number = u8::try_from(card).unwrap_or(u8::MAX);
    let [first, .., last] = &mut uuid;
    (*first, *last) = (0xA0 + number, b'0' + number);
    uuid
}

fn shown_uuid(card: usize) -> String {
    let hex: String = uuid(card).iter().map(|byte| format!("{byte:02x}")).collect();
    let parts =
        [0..8, 8..12, 12..16, 16..20, 20..32].map(|range| hex.get(range).unwrap_or_default().to_string());
    parts.join("-")
}

/// What an H200 under driver 580 says, as far as it was read; what the stand-in lacks is 0.
fn attribute(number: c_int, card: usize) -> Answer<c_int> {
    let slot = c_int::try_from(card).unwrap_or_default();
    Ok(match number {
        1 => 1024,              // threads in a block
        2..=4 => 1024,          // block dimensions
        5 => c_int::MAX,        // grid dimension x
        6 | 7 => 65_535,        // grid dimensions y and z
        10 => 32,               // warp
        16 => 132,              // multiprocessors
        15 | 19 | 31 | 41 => 1, // overlap, mapped host memory, concurrent kernels, unified addressing
        33 => 0x17 + slot,      // PCI bus
        40 => 3,                // copy engines
        75 => 9,                // compute capability 9.0
        78 => 1,                // stream priorities
        92..=94 => 0,           // the first version of stream memory operations
        98 => 0,                // flush of remote writes
        99 | 113 => 1,          // registered host memory, read-only too
        102 | 103 => 1,         // virtual memory, POSIX descriptors
        114 | 115 => 1,         // timeline semaphores, pools
        119 => 9,               // pool handles: descriptors and fabric
        122 | 123 => 1,         // 64-bit stream memory operations, NOR
        124 | 125 | 128 => 1,   // dma-buf, IPC events, fabric
        _ if (1..=160).contains(&number) => 0,
        _ => return Err(Code::INVALID_VALUE),
    })
}

entries! {
    #![unsafe(no_mangle)]

    Nothing fn cuInit(flags: c_uint) {
        if flags != 0 {
            return Err(Code::INVALID_VALUE);
        }
        let by = INITIALISED_BY.load(Ordering::Relaxed);
        if by == process::id() {
            return Ok(());
        }
        if by != 0 {
            return Err(Code::NOT_INITIALIZED);
        }
        if visible().is_empty() {
            return Err(Code::NO_DEVICE);
        }
        space::reserve()?;
        INITIALISED_BY.store(process::id(), Ordering::Relaxed);
        Ok(())
    }

    Nothing fn cuDriverGetVersion(version: Out<c_int>) {
        version.put(settings().version)
    }

    Init fn cuDeviceGetCount(count: Out<c_int>) {
        count.put(c_int::try_from(visible().len()).unwrap_or_default())
    }

    Init fn cuDeviceGet(device: Out<c_int>, ordinal: c_int) {
        card(ordinal)?;
        device.put(ordinal)
    }

    Init fn cuDeviceGetName(name: Out<c_char>, len: c_int, device: c_int) {
        text_into(&name, len, &format!("uncopy stand-in {}", card(device)?))
    }

    Init fn cuDeviceGetUuid(out: Out<[u8; 16]>, device: c_int) {
        out.put(uuid(card(device)?))
    }

    Init fn cuDeviceGetUuid_v2(out: Out<[u8; 16]>, device: c_int) {
        out.put(uuid(card(device)?))
    }

    Init fn cuDeviceTotalMem_v2(bytes: Out<usize>, device: c_int) {
        card(device)?;
        bytes.put(settings().memory_bytes)
    }

    Init fn cuDeviceGetAttribute(value: Out<c_int>, number: c_int, device: c_int) {
        value.put(attribute(number, card(device)?)?)
    }

    Init fn cuDeviceGetPCIBusId(id: Out<c_char>, len: c_int, device: c_int) {
        text_into(&id, len, &format!("0000:{:02X}:00.0", 0x17 + card(device)?))
    }

    Init fn cuDeviceGetByPCIBusId(device: Out<c_int>, id: In<c_char>) {
        let id = id.text()?.to_ascii_uppercase();
        let cards = 0..settings().cards;
        let found = cards.filter(|card| id == format!("0000:{:02X}:00.0", 0x17 + card)).find_map(ordinal_of);
        device.put(c_int::try_from(found.ok_or(Code::INVALID_DEVICE)?).unwrap_or_default())
    }

    // Linux has no LUIDs.
    Init fn cuDeviceGetLuid(_luid: Out<[u8; 8]>, _mask: Out<c_uint>, device: c_int) {
        card(device)?;
        Err(Code::NOT_SUPPORTED)
    }

    Init fn cuDeviceCanAccessPeer(can: Out<c_int>, device: c_int, peer: c_int) {
        can.put(c_int::from(can_reach(card(device)?, card(peer)?)))
    }

    Context fn cuMemGetInfo_v2(free: Out<usize>, total: Out<usize>) {
        let card = contexts::current()?.card;
        free.put(settings().memory_bytes.saturating_sub(usage::used_bytes(card)))?;
        total.put(settings().memory_bytes)
    }
}

/// Whether a card can be let into another one's memory.
pub fn can_reach(card: usize, peer: usize) -> bool {
    card != peer && settings().has_peer_access
}

/// Writes as much of a text as there is room for, and a zero byte.
fn text_into(out: &Out<c_char>, len: c_int, text: &str) -> Answer {
    let room = usize::try_from(len).ok().filter(|len| *len > 0).ok_or(Code::INVALID_VALUE)?;
    let bytes = text.bytes().take(room - 1).chain([0]);
    for (index, byte) in bytes.enumerate() {
        out.put_at(index, byte.cast_signed())?;
    }
    Ok(())
}
