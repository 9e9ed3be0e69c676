// SPDX-License-Identifier: MIT OR Apache-2.0
//! Memory of ours: sealed, private, zeroed, and gone when nobody holds it.

use std::fs;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use rustix::fs::{
    FallocateFlags, MemfdFlags, SealFlags, fallocate, fcntl_add_seals, fstat, ftruncate, memfd_create,
};
use rustix::io::Errno;
use rustix::io::{FdFlags, fcntl_getfd, pwrite};
use uncopy_core::{Device, ErrorKind};
use uncopy_os::{Connection, HostMemory, Mapping, OsError, Received, RuntimeDir, Seals, SharedMemory};
use uncopy_tensor::{Access, Export, Import, ShareHandle};

use crate::support::{self, Child, Role, Scratch};

pub const ROLES: &[Role] = &[
    ("memory::gives_memory_and_waits", gives_memory_and_waits),
    ("memory::leaves_nothing", || support::leaves_nothing_behind(make_share_map_and_drop)),
];

fn memfd(len_bytes: u64) -> OwnedFd {
    let file = memfd_create("test", MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC).unwrap();
    ftruncate(&file, len_bytes).unwrap();
    file
}

#[test]
fn memory_starts_zeroed_and_has_the_length_that_was_asked_for() {
    for len_bytes in [1, 7, 8, 4095, 4096, 4097, 3 << 20] {
        let memory = SharedMemory::create("length", len_bytes).unwrap();
        assert_eq!(memory.len_bytes(), len_bytes);
        let mut bytes = vec![0xFF; len_bytes];
        memory.words().load_bytes(0, &mut bytes).unwrap();
        assert!(bytes.iter().all(|byte| *byte == 0), "{len_bytes}");
    }
}

#[test]
fn memory_of_no_length_or_an_impossible_one_is_refused() {
    for len_bytes in [0, usize::MAX, isize::MAX as usize + 1] {
        let error = SharedMemory::create("length", len_bytes).unwrap_err();
        assert!(matches!(error, OsError::BadLength { .. }), "{len_bytes}: {error}");
    }
}

#[test]
fn only_its_owner_may_open_it_and_nobody_may_execute_it() {
    let memory = SharedMemory::create("mode", 4096).unwrap();
    let handle = memory.share().unwrap();
    assert_eq!(fstat(&handle).unwrap().st_mode & 0o7777, 0o600);
    assert!(fcntl_getfd(&handle).unwrap().contains(FdFlags::CLOEXEC));
}

#[test]
fn every_page_is_there_before_it_is_touched() {
    let memory = SharedMemory::create("pages", 1 << 20).unwrap();
    let blocks = fstat(memory.share().unwrap()).unwrap().st_blocks;
    assert!(blocks * 512 >= 1 << 20, "{blocks} blocks");
}

// F19
#[test]
fn a_peer_can_neither_shrink_nor_grow_it() {
    let memory = SharedMemory::create("size", 8192).unwrap();
    let handle = memory.share().unwrap();
    assert_eq!(ftruncate(&handle, 0), Err(Errno::PERM));
    assert_eq!(ftruncate(&handle, 4096), Err(Errno::PERM));
    assert_eq!(ftruncate(&handle, 1 << 20), Err(Errno::PERM));
    assert_eq!(fstat(&handle).unwrap().st_size, 8192);
}

#[test]
fn frozen_memory_is_written_by_the_mapping_that_made_it_and_by_nobody_else() {
    let memory = SharedMemory::create("frozen", 8192).unwrap();
    memory.freeze_writes().unwrap();
    let seals = memory.seals().unwrap();
    assert_eq!(seals, Seals { shrink: true, grow: true, future_write: true, write: false, seal: true });

    let handle = memory.share().unwrap();
    let error = Mapping::open(&handle, 8192, Access::ReadWrite).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
    assert_eq!(pwrite(&handle, b"x", 0), Err(Errno::PERM));
    let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    assert_eq!(fallocate(&handle, punch, 0, 4096), Err(Errno::PERM));

    let seen = Mapping::open(&handle, 8192, Access::ReadOnly).unwrap();
    assert_eq!(seen.seals(), seals);
    memory.words().u64_at(4096).unwrap().store(42, Ordering::Release);
    assert_eq!(seen.words().load_u64(4096, Ordering::Acquire), Some(42));
}

#[test]
fn memory_is_frozen_or_sealed_once() {
    let frozen = SharedMemory::create("once", 4096).unwrap();
    frozen.freeze_writes().unwrap();
    assert_eq!(frozen.freeze_writes().unwrap_err().kind(), ErrorKind::PermissionDenied);

    let sealed = SharedMemory::create("once", 4096).unwrap();
    sealed.seal().unwrap();
    assert_eq!(sealed.freeze_writes().unwrap_err().kind(), ErrorKind::PermissionDenied);
    let seals = sealed.seals().unwrap();
    assert!(seals.seal && !seals.are_frozen());
    Mapping::open(&sealed.share().unwrap(), 4096, Access::ReadWrite).unwrap();
}

#[test]
fn a_peers_mapping_shares_every_byte_both_ways() {
    let memory = SharedMemory::create("both-ways", 4096).unwrap();
    let theirs = Mapping::open(&memory.share().unwrap(), 4096, Access::ReadWrite).unwrap();
    assert_eq!(theirs.access(), Access::ReadWrite);
    theirs.words().store_bytes(8, b"from the peer").unwrap();
    let mut seen = [0; 13];
    memory.words().load_bytes(8, &mut seen).unwrap();
    assert_eq!(&seen, b"from the peer");
    memory.words().u32_at(4092).unwrap().store(7, Ordering::Release);
    assert_eq!(theirs.words().u32_at(4092).unwrap().load(Ordering::Acquire), 7);
}

#[test]
fn a_read_only_mapping_gives_no_way_to_write() {
    let memory = SharedMemory::create("read-only", 4096).unwrap();
    let theirs = Mapping::open(&memory.share().unwrap(), 4096, Access::ReadOnly).unwrap();
    assert!(theirs.words().u64_at(0).is_none());
    assert!(theirs.words().store_bytes(0, b"x").is_none());
    assert_eq!(theirs.words().load_u64(0, Ordering::Acquire), Some(0));
}

#[test]
fn what_is_not_sealed_memory_is_not_mapped() {
    let scratch = Scratch::new();
    let path = scratch.path().join("file");
    fs::write(&path, [0; 8192]).unwrap();
    let (pipe, _other) = rustix::pipe::pipe().unwrap();
    let handles: [(&str, OwnedFd); 5] = [
        ("a file", fs::File::open(&path).unwrap().into()),
        ("a directory", fs::File::open(scratch.path()).unwrap().into()),
        ("a device", fs::File::open("/dev/zero").unwrap().into()),
        ("a pipe", pipe),
        ("unsealed memory", memfd(8192)),
    ];
    for (what, handle) in handles {
        let error = Mapping::open(&ShareHandle::from(handle), 4096, Access::ReadOnly).unwrap_err();
        assert!(matches!(error, OsError::NotSealed { wanted: "shrink+grow", .. }), "{what}: {error}");
        assert_eq!(error.kind(), ErrorKind::CorruptLink);
    }
}

#[test]
fn memory_whose_size_could_still_change_is_not_mapped() {
    for seals in [SealFlags::SHRINK, SealFlags::GROW, SealFlags::FUTURE_WRITE] {
        let file = memfd(4096);
        fallocate(&file, FallocateFlags::empty(), 0, 4096).unwrap();
        fcntl_add_seals(&file, seals).unwrap();
        for access in [Access::ReadOnly, Access::ReadWrite] {
            let handle = ShareHandle::from(file.try_clone().unwrap());
            let error = Mapping::open(&handle, 4096, access).unwrap_err();
            assert!(matches!(error, OsError::NotSealed { wanted: "shrink+grow", .. }), "{seals:?}: {error}");
        }
        fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW).unwrap();
        Mapping::open(&ShareHandle::from(file), 4096, Access::ReadOnly).unwrap();
    }
}

#[test]
fn no_more_is_mapped_than_was_asked_for() {
    let page_bytes = rustix::param::page_size();
    let memory = SharedMemory::create("larger than described", 64 * page_bytes + 5).unwrap();
    let handle = memory.share().unwrap();
    let open = |len_bytes| Mapping::open(&handle, len_bytes, Access::ReadWrite).unwrap();
    for (asked, mapped) in [
        (1, page_bytes),
        (page_bytes, page_bytes),
        (page_bytes + 1, 2 * page_bytes),
        (64 * page_bytes + 1, 64 * page_bytes + 5),
        (64 * page_bytes + 5, 64 * page_bytes + 5),
    ] {
        let mapping = open(asked);
        assert_eq!((mapping.len_bytes(), mapping.words().len_bytes()), (mapped, mapped), "{asked} asked for");
        assert_eq!(kernel_len_bytes(mapping.address()), mapped.next_multiple_of(page_bytes), "{asked}");
        let last = (asked - 1) & !7;
        mapping.words().store_bytes(last, b"x").unwrap();
        assert_eq!(memory.words().load_bytes(last, &mut [0]), Some(()));
        assert!(mapping.words().load_u32(64 * page_bytes + 4, Ordering::Relaxed).is_none());
    }
    let error = Mapping::open(&handle, 0, Access::ReadWrite).unwrap_err();
    assert!(matches!(error, OsError::BadLength { len_bytes: 0, .. }), "{error}");
}

/// How long the kernel's mapping at `address` is.
fn kernel_len_bytes(address: usize) -> usize {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let ends = maps.lines().filter_map(|line| {
        let (start, rest) = line.split_once('-')?;
        let (end, _) = rest.split_once(' ')?;
        Some((usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?))
    });
    ends.filter(|(start, _)| *start == address).map(|(start, end)| end - start).sum()
}

#[test]
fn memory_that_is_smaller_than_described_is_refused_with_both_sizes() {
    let memory = SharedMemory::create("small", 4096).unwrap();
    let error = Mapping::open(&memory.share().unwrap(), 4097, Access::ReadOnly).unwrap_err();
    assert!(matches!(error, OsError::TooSmall { need_bytes: 4097, got_bytes: 4096 }), "{error}");
    let error = Mapping::open(&memory.share().unwrap(), usize::MAX, Access::ReadOnly).unwrap_err();
    assert!(matches!(error, OsError::TooSmall { got_bytes: 4096, .. }), "{error}");
}

#[test]
fn empty_sealed_memory_is_refused() {
    let file = memfd(0);
    fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW).unwrap();
    let error = Mapping::open(&ShareHandle::from(file), 0, Access::ReadOnly).unwrap_err();
    assert!(matches!(error, OsError::BadLength { .. }), "{error}");
}

#[test]
fn the_label_shows_in_the_maps_and_must_be_printable_there() {
    let _memory = SharedMemory::create("a label of mine", 4096).unwrap();
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    assert!(maps.contains("/memfd:uncopy:a label of mine"), "{maps}");
    for label in ["with\0nul", &"x".repeat(201)] {
        let error = SharedMemory::create(label, 4096).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    }
    SharedMemory::create(&"x".repeat(200), 4096).unwrap();
}

#[test]
fn the_export_trait_gives_what_the_type_gives() {
    let memory = SharedMemory::create("export", 8192).unwrap();
    memory.freeze_writes().unwrap();
    let export: &dyn Export = &memory;
    assert_eq!((export.device(), export.len_bytes()), (Device::CPU, 8192));
    memory.words().store_bytes(0, b"exported").unwrap();

    let region = HostMemory.import(export.share().unwrap(), 8192, Access::ReadOnly).unwrap();
    assert_eq!(&region.as_bytes().unwrap()[..8], b"exported");
    let refused = HostMemory.import(export.share().unwrap(), 8192, Access::ReadWrite).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::PermissionDenied, "{refused}");
    HostMemory.import(export.share().unwrap(), 8193, Access::ReadOnly).unwrap_err();
}

fn gives_memory_and_waits() {
    let dir = RuntimeDir::open_at(support::argument()).unwrap();
    let connection = Connection::connect(&dir, "memory.sock").unwrap();
    let memory = SharedMemory::create("of a child", 8192).unwrap();
    memory.freeze_writes().unwrap();
    memory.words().store_bytes(4096, b"last words").unwrap();
    let _ = connection.send(b"memory", &[&memory.share().unwrap()]).unwrap();
    support::hear(); // never told: killed first
}

#[test]
fn memory_outlives_the_process_that_made_it() {
    let scratch = Scratch::new();
    let dir = scratch.runtime_dir();
    let listener = uncopy_os::Listener::bind(&dir, "memory.sock").unwrap();
    let child = Child::start("memory::gives_memory_and_waits", dir.path());
    let connection = support::accept(&listener);
    connection.wait_readable(None).unwrap();
    let Received::Message { handles, .. } = connection.recv(&mut [0; 64]).unwrap() else {
        panic!("no message")
    };
    let mapping = Arc::new(Mapping::open(&handles[0], 8192, Access::ReadOnly).unwrap());
    child.kill();
    drop(handles);
    let region = mapping.region(4096, 10, ()).unwrap();
    drop(mapping);
    assert_eq!(region.as_bytes().unwrap(), b"last words");
}

fn make_share_map_and_drop() {
    let memory = SharedMemory::create("leaks", 8192).unwrap();
    let handle = memory.share().unwrap();
    let mapping = Arc::new(Mapping::open(&handle, 8192, Access::ReadOnly).unwrap());
    Mapping::open(&handle, 9000, Access::ReadOnly).unwrap_err();
    memory.freeze_writes().unwrap();
    mapping.region(0, 10, ()).unwrap_err();
    let frozen = Arc::new(Mapping::open(&handle, 8192, Access::ReadOnly).unwrap());
    let region = frozen.region(0, 10, ()).unwrap();
    drop((memory, handle, mapping, frozen));
    assert_eq!(region.as_bytes().unwrap(), [0; 10]);
}

#[test]
fn memory_leaves_no_descriptor_and_no_mapping_behind() {
    Child::start("memory::leaves_nothing", "").finish();
}

// F37
#[test]
fn memory_has_no_name_that_could_be_removed() {
    let memory = SharedMemory::create("nameless", 4096).unwrap();
    assert_eq!(fstat(memory.share().unwrap()).unwrap().st_nlink, 0);
    for place in ["/dev/shm", "/tmp"] {
        let names = fs::read_dir(place).into_iter().flatten().filter_map(Result::ok);
        assert!(names.into_iter().all(|name| !name.file_name().to_string_lossy().contains("nameless")));
    }
}

#[test]
fn once_sealed_nobody_can_take_write_access_from_those_who_come_later() {
    let memory = SharedMemory::create("control", 4096).unwrap();
    let early = Mapping::open(&memory.share().unwrap(), 4096, Access::ReadWrite).unwrap();
    memory.seal().unwrap();
    let handle = memory.share().unwrap();
    for seals in [SealFlags::FUTURE_WRITE, SealFlags::WRITE, SealFlags::SEAL] {
        assert_eq!(fcntl_add_seals(&handle, seals), Err(Errno::PERM), "{seals:?}");
    }
    let seals = memory.seals().unwrap();
    assert_eq!(seals, Seals { shrink: true, grow: true, seal: true, ..Seals::default() });
    assert_eq!(early.seals(), Seals { seal: false, ..seals }, "as they were when it was mapped");
    let late = Mapping::open(&handle, 4096, Access::ReadWrite).unwrap();
    assert_eq!(late.seals(), seals);
    for (mapping, offset_bytes) in [(&early, 0), (&late, 8)] {
        mapping.words().store_bytes(offset_bytes, b"written").unwrap();
    }
    memory.words().store_bytes(16, b"written").unwrap();
    assert_eq!(late.words().load_u64(16, Ordering::Relaxed), early.words().load_u64(0, Ordering::Relaxed));
}

#[test]
fn what_is_not_sealed_a_peer_can_close_for_those_who_come_later() {
    // Why control memory is sealed before it is shared.
    let memory = SharedMemory::create("control", 4096).unwrap();
    let handle = memory.share().unwrap();
    fcntl_add_seals(&handle, SealFlags::FUTURE_WRITE).unwrap();
    let error = Mapping::open(&handle, 4096, Access::ReadWrite).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
}
