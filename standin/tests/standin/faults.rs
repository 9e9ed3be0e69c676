// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls that are made to fail, functions that are missing, cards that are not there, and the log.

use crate::{
    driver::{Card, Driver, Words, ok, out},
    scene::{Line, Other, play, play_to_abort, play_to_signal},
};
use std::{ffi::CString, fs, os::unix::process::ExitStatusExt, path::PathBuf, ptr};

const LEN: usize = 4096;

#[test]
fn the_nth_call_fails_once_and_does_nothing() {
    let settings = [("UNCOPY_STANDIN_FAULTS", "cuMemAlloc_v2:2=2; cuMemcpyDtoH_v2:1=719")];
    let first = || {
        let card = Card::first();
        card.memory(LEN);
        let before = card.free_bytes();
        let mut address = 0;
        assert_eq!(card.driver.cuMemAlloc_v2(&mut address, LEN), 2);
        assert_eq!((address, card.free_bytes()), (0, before));
        let address = card.memory(LEN);
        let mut word = 0_u32;
        assert_eq!(card.driver.cuMemcpyDtoH_v2(ptr::from_mut(&mut word).cast(), address, 4), 719);
        ok(card.driver.cuMemcpyDtoH_v2(ptr::from_mut(&mut word).cast(), address, 4));
    };
    play(&settings, first, &[]);
}

#[test]
fn a_lasting_fault_fails_every_later_call() {
    let first = || {
        let card = Card::first();
        card.memory(LEN);
        for _ in 0..3 {
            assert_eq!(card.driver.cuMemAlloc_v2(&mut 0, LEN), 2);
        }
        card.stream();
    };
    play(&[("UNCOPY_STANDIN_FAULTS", "cuMemAlloc_v2:2+=2")], first, &[]);
}

#[test]
fn a_sticky_fault_breaks_the_context_for_good() {
    let first = || {
        let card = Card::first();
        let (stream, address) = (card.stream(), card.memory(LEN));
        let words = Words::new(card);
        ok(card.driver.cuStreamWaitValue32_v2(stream, words.at(0), 1, 0));
        ok(card.driver.cuStreamWriteValue32_v2(stream, words.at(1), 1, 0));
        assert_eq!(card.driver.cuMemsetD32Async(address, 1, 1, stream), 700);
        words.word(0).store(1, std::sync::atomic::Ordering::Release);
        assert_eq!(card.driver.cuStreamSynchronize(stream), 700);
        assert_eq!(card.driver.cuMemAlloc_v2(&mut 0, LEN), 700);
        assert_eq!(card.driver.cuMemUnmap(0, LEN), 700);
        assert_eq!(card.driver.cuEventCreate(&mut 0, 2), 700);
        // Not even a new context helps: the process must end.
        ok(card.driver.cuDevicePrimaryCtxRelease_v2(0));
        assert_eq!(card.driver.cuDevicePrimaryCtxRetain(&mut 0, 0), 700);
        // What needs no context still works, and nothing that was pending was done.
        out(|count| card.driver.cuDeviceGetCount(count));
        assert_eq!(words.word(1).load(std::sync::atomic::Ordering::Acquire), 0);
    };
    play(&[("UNCOPY_STANDIN_FAULTS", "cuMemsetD32Async:1=700!")], first, &[]);
}

#[test]
fn a_call_can_kill_its_process() {
    let first = || {
        let card = Card::first();
        let (stream, words) = (card.stream(), Words::new(card));
        for turn in 1.. {
            ok(card.driver.cuStreamWriteValue32_v2(stream, words.at(0), turn, 0));
            assert!(turn < 5, "the fifth call should have killed");
        }
    };
    play_to_signal(&[("UNCOPY_STANDIN_FAULTS", "cuStreamWriteValue32_v2:5=kill")], first, libc::SIGKILL);
}

#[test]
fn a_setting_that_means_nothing_ends_the_process() {
    let first = || {
        Card::first();
    };
    play_to_abort(&[("UNCOPY_STANDIN_FAULTS", "cuMemMalloc:1=2")], first, &["no function cuMemMalloc"]);
}

#[test]
fn a_setting_that_is_misspelt_ends_the_process() {
    let first = || {
        Card::first();
    };
    play_to_abort(&[("UNCOPY_STANDIN_LAGS", "1")], first, &["no setting UNCOPY_STANDIN_LAGS"]);
}

#[test]
fn a_function_that_was_taken_away_is_found_by_no_way() {
    let first = || {
        let driver = Driver::load();
        ok(driver.cuInit(0));
        assert!(driver.find("cuMemCreate").is_none() && driver.find("cuStreamBatchMemOp_v2").is_none());
        assert!(driver.find("cuMemRelease").is_some());
        assert_eq!(looked_up(driver, "cuMemCreate", 13_000), Err(1));
        assert!(looked_up(driver, "cuMemRelease", 13_000).is_ok());
    };
    play(&[("UNCOPY_STANDIN_WITHOUT", "cuMemCreate,cuStreamBatchMemOp_v2")], first, &[]);
}

/// The address of a function, as a program made for this version asks for it; else the driver's status.
fn looked_up(driver: Driver, name: &str, version: i32) -> Result<usize, i32> {
    let name = CString::new(name).unwrap();
    let (mut address, mut status) = (ptr::null_mut(), -1);
    let code = driver.cuGetProcAddress_v2(name.as_ptr(), &mut address, version, 0, &mut status);
    assert_eq!((code, address.is_null()), if status == 0 { (0, false) } else { (500, true) });
    if status == 0 { Ok(address.addr()) } else { Err(status) }
}

#[test]
fn names_without_a_suffix_give_the_newest_form_that_the_caller_knows() {
    let first = || {
        let driver = Driver::load();
        let address = |name: &str| driver.find(name).unwrap().addr();
        assert_eq!(looked_up(driver, "cuMemAlloc", 13_000), Ok(address("cuMemAlloc_v2")));
        assert_eq!(
            looked_up(driver, "cuStreamGetCaptureInfo", 13_000),
            Ok(address("cuStreamGetCaptureInfo_v3"))
        );
        assert_eq!(
            looked_up(driver, "cuStreamGetCaptureInfo", 11_040),
            Ok(address("cuStreamGetCaptureInfo_v2"))
        );
        assert_eq!(looked_up(driver, "cuCtxRecordEvent", 12_000), Err(2));
        assert_eq!(looked_up(driver, "cuNoSuchThing", 13_000), Err(1));
    };
    play(&[], first, &[]);
}

#[test]
fn an_old_driver_lacks_what_came_after_it() {
    let first = || {
        let driver = Driver::load();
        assert_eq!(out(|version| driver.cuDriverGetVersion(version)), 11_040);
        assert!(driver.find("cuCtxRecordEvent").is_none() && driver.find("cuStreamBatchMemOp_v2").is_none());
        assert!(driver.find("cuMemCreate").is_some());
        let mut address = ptr::null_mut();
        assert_eq!(driver.cuGetProcAddress(c"cuCtxRecordEvent".as_ptr(), &mut address, 12_050, 0), 500);
        ok(driver.cuGetProcAddress(c"cuMemCreate".as_ptr(), &mut address, 12_050, 0));
    };
    play(&[("UNCOPY_STANDIN_VERSION", "11040")], first, &[]);
}

fn uuids(driver: Driver) -> Vec<[u8; 16]> {
    let count = out(|count| driver.cuDeviceGetCount(count));
    (0..count).map(|device| out(|uuid| driver.cuDeviceGetUuid_v2(uuid, device))).collect()
}

#[test]
fn visible_devices_are_permuted_and_keep_their_uuids() {
    let settings = [("UNCOPY_STANDIN_DEVICES", "3"), ("UNCOPY_STANDIN_CARD", "permuted")];
    let first = || {
        let card = Card::first();
        let all = uuids(card.driver);
        let other = Other::called("other");
        let theirs: Vec<[u8; 16]> =
            other.line.hear().chunks(16).map(|uuid| uuid.try_into().unwrap()).collect();
        assert_eq!(theirs, [all[2], all[0]]);
        // Memory of card 0 lies on their device 1.
        let before = card.free_bytes();
        other.line.say(b"allocate on device 1");
        other.line.hear();
        assert!(card.free_bytes() < before);
    };
    let other = |line: &Line| {
        let name = CString::new("CUDA_VISIBLE_DEVICES").unwrap();
        let list = CString::new("2,0,7,1").unwrap();
        // SAFETY: nobody else in this process reads the environment yet.
        ok(unsafe { libc::setenv(name.as_ptr(), list.as_ptr(), 1) });
        let driver = Driver::load();
        ok(driver.cuInit(0));
        line.say(&uuids(driver).concat());
        line.hear();
        Card::of(driver, 1).memory(LEN);
        line.say(b"done");
        line.stay();
    };
    play(&settings, first, &[("other", other)]);
}

#[test]
fn without_a_card_there_is_no_device() {
    play(&[("UNCOPY_STANDIN_DEVICES", "0")], || assert_eq!(Driver::load().cuInit(0), 100), &[]);
}

#[test]
fn a_card_that_is_full_refuses_and_goes_on() {
    let first = || {
        let card = Card::first();
        let all = card.free_bytes();
        let mut handle = 0;
        assert_eq!(card.driver.cuMemCreate(&mut handle, all + (2 << 20), &crate::driver::prop(1), 0), 2);
        let address = card.memory(all);
        assert_eq!(card.driver.cuMemAlloc_v2(&mut handle, 1), 2);
        ok(card.driver.cuMemFree_v2(address));
        assert_eq!(card.free_bytes(), all);
    };
    play(&[("UNCOPY_STANDIN_MEMORY_MIB", "8")], first, &[]);
}

#[test]
fn the_log_names_every_call_and_its_result() {
    let path = std::env::temp_dir().join(format!("standin-log-{}", std::process::id()));
    let pattern = format!("{}.%p", path.display());
    let settings =
        [("UNCOPY_STANDIN_LOG", pattern.as_str()), ("UNCOPY_STANDIN_FAULTS", "cuStreamQuery:1=kill")];
    let first = || {
        let driver = Driver::load();
        assert_eq!(driver.cuStreamQuery(0), 3, "a call that may not be made is no call yet");
        let other = Other::called("other");
        let log = PathBuf::from(
            std::env::var("UNCOPY_STANDIN_LOG").unwrap().replace("%p", &other.pid().to_string()),
        );
        let mut other = other;
        assert_eq!(other.ended().signal(), Some(libc::SIGKILL));
        let lines = fs::read_to_string(&log).unwrap();
        fs::remove_file(log).unwrap();
        let own = std::env::var("UNCOPY_STANDIN_LOG").unwrap().replace("%p", &std::process::id().to_string());
        fs::remove_file(own).unwrap();
        let expected = [
            "cuInit 0",
            "cuDevicePrimaryCtxRetain 0",
            "cuCtxSetCurrent 0",
            "cuMemAlloc_v2 1",
            "cuStreamQuery kill",
        ];
        assert_eq!(lines.lines().collect::<Vec<_>>(), expected);
    };
    let other = |_: &Line| {
        let card = Card::first();
        assert_eq!(card.driver.cuMemAlloc_v2(&mut 0, 0), 1);
        card.driver.cuStreamQuery(0);
    };
    play(&settings, first, &[("other", other)]);
}

#[test]
fn a_context_that_nobody_retains_is_destroyed_and_another_begins() {
    let first = || {
        let card = Card::first();
        let before = card.free_bytes();
        let (address, stream) = (card.memory(LEN), card.stream());
        let words = Words::new(card);
        ok(card.driver.cuStreamWaitValue32_v2(stream, words.at(0), 1, 0));
        ok(card.driver.cuDevicePrimaryCtxRelease_v2(0));
        assert_eq!(card.driver.cuMemAlloc_v2(&mut 0, LEN), 709);
        assert_eq!(card.driver.cuDevicePrimaryCtxRelease_v2(0), 201);
        let card = Card::of(card.driver, 0);
        assert_eq!(card.free_bytes(), before);
        assert_eq!(card.driver.cuMemFree_v2(address), 1);
        assert_eq!(card.driver.cuStreamQuery(stream), 400);
        card.set(card.memory(LEN), 1, LEN);
    };
    play(&[], first, &[]);
}

#[test]
fn a_thread_without_a_context_is_told_so() {
    let first = || {
        let card = Card::first();
        let driver = card.driver;
        std::thread::spawn(move || {
            assert_eq!(driver.cuMemAlloc_v2(&mut 0, LEN), 201);
            assert_eq!(driver.cuCtxPopCurrent_v2(&mut 0), 201);
            ok(driver.cuCtxPushCurrent_v2(card.context));
            card.memory(LEN);
            assert_eq!(out(|context| driver.cuCtxPopCurrent_v2(context)), card.context);
            assert_eq!(driver.cuMemAlloc_v2(&mut 0, LEN), 201);
        })
        .join()
        .unwrap();
    };
    play(&[], first, &[]);
}
