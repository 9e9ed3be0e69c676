// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a forked child sees of shared memory: all of control memory, and nothing of frames.

use std::fs;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use uncopy_core::ErrorKind;
use uncopy_os::fork::MAX_GUARDED;
use uncopy_os::{Mapping, OsError, SharedMemory, SlotMemory, SlotMut, watch_read_only};
use uncopy_tensor::{Access, Region};

use crate::support::{self, Child, Role};

pub const ROLES: &[Role] = &[
    ("inherit::looks_at_everything", looks_at_everything),
    ("inherit::maps_over_and_drops", maps_over_and_drops),
    ("inherit::writes_a_lent_slot", || touches_in_child(|held| support::write_byte(held.view.address() + 9))),
    ("inherit::writes_a_published_slot", || {
        touches_in_child(|held| support::write_byte(held.frames.address()));
    }),
    ("inherit::reads_a_received_frame", || {
        touches_in_child(|held| {
            std::hint::black_box(held.received.as_bytes().unwrap()[9]);
        });
    }),
    ("inherit::touches_in_a_grandchild", || {
        touches_in_child(|held| match support::fork() {
            0 => support::write_byte(held.view.address()),
            pid => support::leave(128 + ended_by(pid).unwrap_or(0)),
        });
    }),
    ("inherit::maps_too_many", maps_too_many),
];

const LEN_BYTES: usize = 64 << 10;

/// One of everything that a process of a link holds.
struct Held {
    frames: Arc<SlotMemory>,
    slot: SlotMut,
    view: Region,
    mapping: Arc<Mapping>,
    received: Region,
    control: SharedMemory,
    their_control: Mapping,
}

impl Held {
    /// Slot 0 is published with sevens, slot 1 claimed, slot 2 lent.
    fn new() -> Held {
        let frames = SlotMemory::create("inherit-frames", 3, LEN_BYTES).unwrap();
        frames.claim(0).unwrap().fill(7);
        let slot = frames.claim(1).unwrap();
        let view = frames.claim(2).unwrap().region(LEN_BYTES, ()).unwrap();
        let handle = frames.share().unwrap();
        let mapping = Arc::new(Mapping::open(&handle, frames.len_bytes(), Access::ReadOnly).unwrap());
        let received = mapping.region(0, LEN_BYTES, ()).unwrap();
        let control = SharedMemory::create("inherit-control", 4096).unwrap();
        let their_control = Mapping::open(&control.share().unwrap(), 4096, Access::ReadWrite).unwrap();
        Held { frames, slot, view, mapping, received, control, their_control }
    }

    /// In the process that made them: everything works and has changed nowhere.
    fn check_intact(&mut self) {
        assert!(self.received.as_bytes().unwrap().iter().all(|byte| *byte == 7));
        assert!(self.view.as_bytes().unwrap().iter().all(|byte| *byte == 0));
        self.slot.bytes_mut().unwrap().fill(1);
        assert_eq!(self.mapping.words().load_u64(LEN_BYTES, Ordering::Relaxed), Some(0x0101_0101_0101_0101));
        self.frames.claim(0).unwrap();
    }
}

/// How often memory with that label is mapped here.
fn mappings_of(label: &str) -> usize {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    maps.lines().filter(|line| line.contains(label)).count()
}

fn refuses(outcome: Result<impl Sized, OsError>) -> bool {
    outcome
        .err()
        .is_some_and(|error| matches!(error, OsError::Forked) && error.kind() == ErrorKind::ForkedProcess)
}

fn has_no_frames(held: &mut Held) {
    assert!(refuses(held.frames.claim(0)));
    assert!(refuses(held.frames.protect(0, Access::ReadOnly)));
    assert!(refuses(held.slot.bytes()));
    assert!(refuses(held.slot.bytes_mut()));
    assert!(refuses(held.slot.region(1, ())));
    held.frames.prefetch_for_write(0, 0);
    assert!(refuses(held.mapping.region(0, 1, ())));
    assert!(refuses(held.mapping.bytes(0, 1)));
    held.mapping.prefetch(0);
    assert_eq!(held.mapping.words().load_u64(0, Ordering::Relaxed), None);
    assert_eq!(held.mapping.words().load_bytes(0, &mut [0; 8]), None);
    held.mapping.words().prefetch(0);
    assert_eq!(mappings_of("inherit-frames"), 0, "neither ours nor a peer's");
}

fn looks_at_everything() {
    let mut held = Held::new();
    assert!(mappings_of("inherit-frames") >= 2);
    support::collect(support::fork_and_play(|| {
        has_no_frames(&mut held);
        let panicked = catch_unwind(AssertUnwindSafe(|| held.slot[0] = 1)).unwrap_err();
        assert!(panicked.downcast_ref::<String>().unwrap().contains("open it again after fork"));
        catch_unwind(AssertUnwindSafe(|| held.slot[0])).unwrap_err();
        held.control.words().store_bytes(0, b"seen").unwrap();
        held.their_control.words().store_bytes(8, b"also").unwrap();
        support::collect(support::fork_and_play(|| has_no_frames(&mut held)));
    }));
    held.check_intact();
    assert_eq!(held.control.words().load_u32(0, Ordering::Relaxed).map(u32::to_le_bytes), Some(*b"seen"));
    assert_eq!(held.control.words().load_u32(8, Ordering::Relaxed).map(u32::to_le_bytes), Some(*b"also"));
}

// F45
#[test]
fn a_forked_child_shares_control_memory_and_has_no_frames() {
    Child::start("inherit::looks_at_everything", "").finish();
}

fn maps_over_and_drops() {
    let mut held = Some(Held::new());
    let before = support::Holdings::now();
    support::collect(support::fork_and_play(|| {
        let held = held.take().unwrap(); // from this process's copy
        let old = held.frames.address()..held.frames.address() + held.frames.len_bytes();
        let received = held.mapping.address()..held.mapping.address() + held.mapping.len_bytes();
        let mut own: Vec<_> = (0..20).map(|_| Held::new()).collect();
        for new in &own {
            for address in [new.frames.address(), new.mapping.address(), new.their_control.address()] {
                assert!(!old.contains(&address) && !received.contains(&address), "the hole is filled");
            }
        }
        drop(held);
        own.iter_mut().for_each(Held::check_intact);
        support::collect(support::fork_and_play(|| own.iter_mut().for_each(has_no_frames)));
        own.iter_mut().for_each(Held::check_intact);
    }));
    assert_eq!(support::Holdings::now(), before);
    held.as_mut().unwrap().check_intact();
    drop(held);
    assert_eq!(mappings_of("inherit-"), 0);
}

// F45
#[test]
fn what_a_forked_child_maps_itself_is_its_own_and_survives_the_end_of_what_it_inherited() {
    Child::start("inherit::maps_over_and_drops", "").finish();
}

/// The signal that a forked child ended by.
fn ended_by(pid: i32) -> Option<i32> {
    use rustix::process::{Pid, WaitOptions, waitpid};
    let (_, status) = waitpid(Pid::from_raw(pid), WaitOptions::empty()).unwrap().unwrap();
    status.terminating_signal().or(status.exit_status().filter(|code| *code > 128).map(|code| code - 128))
}

fn touches_in_child(touch: impl FnOnce(&Held)) {
    let mut held = Held::new();
    let watch = |start: usize, len_bytes| watch_read_only((start, start + len_bytes), "link camera".into());
    let _watches = [
        watch(held.frames.address(), held.frames.len_bytes()),
        watch(held.mapping.address(), held.mapping.len_bytes()),
    ];
    match support::fork() {
        0 => {
            touch(&held);
            support::leave(0);
        }
        pid => assert_eq!(ended_by(pid), Some(libc::SIGSEGV)),
    }
    held.check_intact();
}

// F45
#[test]
fn a_forked_child_that_touches_a_frame_ends_and_says_that_it_was_forked() {
    for role in [
        "inherit::writes_a_lent_slot",
        "inherit::writes_a_published_slot",
        "inherit::reads_a_received_frame",
        "inherit::touches_in_a_grandchild",
    ] {
        let mut child = Child::start_with(role, "", |command| {
            command.stderr(Stdio::piped());
        });
        let mut text = String::new();
        child.process.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        let status = child.wait();
        assert!(status.success() && status.signal().is_none(), "{role}: {status}: {text}");
        assert!(text.contains("uncopy: access to memory of the parent process at 0x"), "{role}: {text}");
        let says = ": this process was forked after the frame was received or lent; \
                    open the link again in the child: link camera\n";
        assert!(text.contains(says), "{role}: {text}");
    }
}

fn maps_too_many() {
    let frames = SlotMemory::create("inherit-many", 1, 4096).unwrap();
    let handle = frames.share().unwrap();
    let open = || Mapping::open(&handle, 4096, Access::ReadOnly);
    let mut mappings: Vec<_> = (1..MAX_GUARDED).map(|_| open().unwrap()).collect();
    let before = mappings_of("inherit-many");
    let error = open().unwrap_err();
    assert!(matches!(error, OsError::TooManyGuarded { max: MAX_GUARDED }), "{error}");
    assert!(matches!(SlotMemory::create("inherit-many", 1, 4096), Err(OsError::TooManyGuarded { .. })));
    assert_eq!(mappings_of("inherit-many"), before);
    support::collect(support::fork_and_play(|| {
        assert_eq!(mappings_of("inherit-many"), 0);
        open().unwrap();
    }));
    mappings.pop();
    open().unwrap();
}

#[test]
fn more_frame_memories_than_can_be_kept_from_children_are_refused() {
    Child::start("inherit::maps_too_many", "").finish();
}
