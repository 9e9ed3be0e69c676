// SPDX-License-Identifier: MIT OR Apache-2.0
//! What an H200 under driver 580 answered about legacy handles, of memory and of events: the stand-in answers the
//! same.

use crate::{
    driver::{Card, Handle, READ_WRITE, Sealed, Words, ok, out, sealed},
    scene::{Line, Other, play},
};
use std::{ptr, sync::atomic::Ordering};

const LEN: usize = 4 << 20;

/// A part that exports memory by legacy handle, frees it when told, says so, and waits for its end.
fn exports_legacy(line: &Line) {
    let card = Card::first();
    let address = card.memory(LEN);
    card.set(address, 0x1111_1111, LEN);
    let handle = sealed(|handle| card.driver.cuIpcGetMemHandle(handle, address));
    // A pointer into the middle names the whole.
    assert_eq!(sealed(|handle| card.driver.cuIpcGetMemHandle(handle, address + (1 << 20))), handle);
    line.say(&handle);
    if line.hear() == b"free" {
        ok(card.driver.cuMemFree_v2(address));
        line.say(b"freed");
    }
    line.stay();
}

fn handle_of(exporter: &Other) -> Sealed {
    exporter.line.hear().try_into().unwrap()
}

fn opened(card: Card, handle: Sealed) -> Handle {
    out(|address| card.driver.cuIpcOpenMemHandle_v2(address, handle, 1))
}

#[test]
fn a_second_open_gives_the_same_pointer_and_the_last_close_ends_it() {
    let first = || {
        let card = Card::first();
        let exporter = Other::called("exporter");
        let handle = handle_of(&exporter);
        let address = opened(card, handle);
        assert_eq!(card.word(address), 0x1111_1111);
        assert_eq!(opened(card, handle), address);
        ok(card.driver.cuIpcCloseMemHandle(address));
        assert_eq!(card.word(address), 0x1111_1111);
        ok(card.driver.cuIpcCloseMemHandle(address));
        let mut word = 0_u32;
        assert_eq!(card.driver.cuMemcpyDtoH_v2(ptr::from_mut(&mut word).cast(), address, 4), 1);
        assert_eq!(card.driver.cuIpcCloseMemHandle(address), 1);
        // Flags of 0 are refused.
        let mut none = 0;
        assert_eq!(card.driver.cuIpcOpenMemHandle_v2(&mut none, handle, 0), 1);
    };
    play(&[], first, &[("exporter", exports_legacy)]);
}

#[test]
fn what_this_process_exported_it_cannot_open() {
    let first = || {
        let card = Card::first();
        let handle = sealed(|handle| card.driver.cuIpcGetMemHandle(handle, card.memory(LEN)));
        let mut none = 0;
        assert_eq!(card.driver.cuIpcOpenMemHandle_v2(&mut none, handle, 1), 201);
        let event = out(|event| card.driver.cuEventCreate(event, 6));
        let handle = sealed(|handle| card.driver.cuIpcGetEventHandle(handle, event));
        assert_eq!(card.driver.cuIpcOpenEventHandle(&mut none, handle), 201);
    };
    play(&[], first, &[]);
}

#[test]
fn only_cumemalloc_has_legacy_handles() {
    let first = || {
        let card = Card::first();
        let mut handle = [0; 64];
        let address = card.mapped(card.shareable(LEN), LEN, READ_WRITE);
        assert_eq!(card.driver.cuIpcGetMemHandle(&mut handle, address), 1);
        let stream = card.stream();
        let address = out(|address| card.driver.cuMemAllocAsync(address, LEN, stream));
        assert_eq!(card.driver.cuIpcGetMemHandle(&mut handle, address), 1);
    };
    play(&[], first, &[]);
}

#[test]
fn a_legacy_mapping_outlives_its_killed_exporter_and_a_late_open_is_refused() {
    let first = || {
        let card = Card::first();
        let mut exporter = Other::called("exporter");
        let handle = handle_of(&exporter);
        let address = opened(card, handle);
        exporter.kill();
        assert_eq!(card.word(address + LEN as u64 - 4), 0x1111_1111);
        card.set(address, 0x5555_5555, LEN);
        assert_eq!(card.word(address), 0x5555_5555);
        ok(card.driver.cuIpcCloseMemHandle(address));
        let mut none = 0;
        assert_eq!(card.driver.cuIpcOpenMemHandle_v2(&mut none, handle, 1), 400);
    };
    play(&[], first, &[("exporter", exports_legacy)]);
}

#[test]
fn memory_that_is_freed_under_an_importer_stays_as_it_was_until_that_closes() {
    let settings = [("UNCOPY_STANDIN_CARD", "freed-under")];
    let first = || {
        let card = Card::first();
        let before = card.free_bytes();
        let exporter = Other::called("exporter");
        let address = opened(card, handle_of(&exporter));
        exporter.line.say(b"free");
        assert_eq!(exporter.line.hear(), b"freed");
        assert_eq!(card.words(address, LEN / 4), vec![0x1111_1111; LEN / 4]);
        assert_eq!(card.free_bytes(), before - LEN);
        ok(card.driver.cuIpcCloseMemHandle(address));
        assert_eq!(card.free_bytes(), before);
    };
    play(&settings, first, &[("exporter", exports_legacy)]);
}

#[test]
fn a_handle_of_memory_that_was_freed_is_refused() {
    let first = || {
        let card = Card::first();
        let exporter = Other::called("exporter");
        let handle = handle_of(&exporter);
        exporter.line.say(b"free");
        assert_eq!(exporter.line.hear(), b"freed");
        let mut none = 0;
        assert_eq!(card.driver.cuIpcOpenMemHandle_v2(&mut none, handle, 1), 1);
    };
    play(&[], first, &[("exporter", exports_legacy)]);
}

#[test]
fn forged_handles_are_refused_and_the_context_survives() {
    let first = || {
        let card = Card::first();
        let exporter = Other::called("exporter");
        let handle = handle_of(&exporter);
        let mut forged =
            vec![[0; 64], [0xFF; 64], std::array::from_fn(|at| u8::try_from(at * 37 % 256).unwrap())];
        forged.extend((0..64).map(|byte| {
            let mut flipped = handle;
            flipped[byte] ^= 1;
            flipped
        }));
        let mut none = 0;
        for handle in forged {
            assert_eq!(card.driver.cuIpcOpenMemHandle_v2(&mut none, handle, 1), 1);
            assert_eq!(card.driver.cuIpcOpenEventHandle(&mut none, handle), 205);
        }
        assert_eq!(card.word(opened(card, handle)), 0x1111_1111);
    };
    play(&[], first, &[("exporter", exports_legacy)]);
}

#[test]
fn an_event_with_timing_cannot_be_shared() {
    let first = || {
        let card = Card::first();
        let mut event = 0;
        assert_eq!(card.driver.cuEventCreate(&mut event, 4), 1);
        ok(card.driver.cuEventCreate(&mut event, 6));
        let mut handle = [0; 64];
        ok(card.driver.cuIpcGetEventHandle(&mut handle, event));
        assert_eq!(card.driver.cuIpcGetEventHandle(&mut handle, card.event()), 400);
    };
    play(&[], first, &[]);
}

#[test]
fn a_process_has_4095_shared_events() {
    let first = || {
        let card = Card::first();
        let events: Vec<Handle> =
            (0..4095).map(|_| out(|event| card.driver.cuEventCreate(event, 6))).collect();
        let mut event = 0;
        assert_eq!(card.driver.cuEventCreate(&mut event, 6), 2);
        ok(card.driver.cuEventDestroy_v2(events[17]));
        ok(card.driver.cuEventCreate(&mut event, 6));
    };
    play(&[], first, &[]);
}

/// A part that shares an event that it has recorded, and waits for its end.
fn exports_event(line: &Line) {
    let card = Card::first();
    let event = out(|event| card.driver.cuEventCreate(event, 6));
    let stream = card.stream();
    ok(card.driver.cuEventRecord(event, stream));
    ok(card.driver.cuStreamSynchronize(stream));
    line.say(&sealed(|handle| card.driver.cuIpcGetEventHandle(handle, event)));
    line.stay();
}

#[test]
fn an_event_that_was_reached_stays_reached_when_its_maker_is_killed_and_its_handle_still_opens() {
    let first = || {
        let card = Card::first();
        let mut exporter = Other::called("exporter");
        let handle = handle_of(&exporter);
        let event = out(|event| card.driver.cuIpcOpenEventHandle(event, handle));
        ok(card.driver.cuEventQuery(event));
        exporter.kill();
        ok(card.driver.cuEventQuery(event));
        ok(card.driver.cuStreamWaitEvent(card.stream(), event, 0));
        ok(card.driver.cuCtxSynchronize());
        out(|event| card.driver.cuIpcOpenEventHandle(event, handle));
    };
    play(&[], first, &[("exporter", exports_event)]);
}

/// A part that records an event of another process in a stream that never gets there.
fn records_and_never_reaches(line: &Line) {
    let card = Card::first();
    let handle: Sealed = line.hear().try_into().unwrap();
    let event = out(|event| card.driver.cuIpcOpenEventHandle(event, handle));
    let words = Words::new(card);
    let stream = card.stream();
    ok(card.driver.cuStreamWaitValue32_v2(stream, words.at(0), 1, 0));
    ok(card.driver.cuEventRecord(event, stream));
    line.say(b"recorded");
    line.stay();
}

#[test]
fn a_peer_that_is_killed_before_its_event_leaves_streams_that_wait_for_it_stuck_and_words_free_others() {
    let first = || {
        let card = Card::first();
        let event = out(|event| card.driver.cuEventCreate(event, 6));
        let mut recorder = Other::called("recorder");
        recorder.line.say(&sealed(|handle| card.driver.cuIpcGetEventHandle(handle, event)));
        assert_eq!(recorder.line.hear(), b"recorded");
        let (stuck, second, third) = (card.stream(), card.stream(), card.stream());
        let words = Words::new(card);
        ok(card.driver.cuStreamWaitEvent(stuck, event, 0));
        ok(card.driver.cuStreamWriteValue32_v2(stuck, words.at(0), 7, 0));
        recorder.kill();
        assert_eq!(card.driver.cuEventQuery(event), 600);
        // Recording it anew doesn't help: that stream is stuck as well.
        ok(card.driver.cuEventRecord(event, second));
        // Another stream goes on, and one that waits for a word is freed by any CPU.
        ok(card.driver.cuStreamWaitValue32_v2(third, words.at(1), 5, 0));
        words.word(1).store(5, Ordering::Release);
        ok(card.driver.cuStreamSynchronize(third));
        assert_eq!(card.driver.cuStreamQuery(stuck), 600);
        assert_eq!(card.driver.cuStreamQuery(second), 600);
        assert_eq!(card.driver.cuEventQuery(event), 600);
        assert_eq!(words.word(0).load(Ordering::Acquire), 0);
        ok(card.driver.cuEventDestroy_v2(event));
    };
    play(&[], first, &[("recorder", records_and_never_reaches)]);
}

#[test]
fn closing_a_legacy_handle_waits_for_the_card() {
    let first = || {
        let card = Card::first();
        let exporter = Other::called("exporter");
        let address = opened(card, handle_of(&exporter));
        let (words, stream) = (Words::new(card), card.stream());
        ok(card.driver.cuStreamWaitValue32_v2(stream, words.at(0), 1, 0));
        ok(card.driver.cuMemsetD32Async(address, 1, LEN / 4, stream));
        std::thread::scope(|scope| {
            let word = words.word(0);
            scope.spawn(|| word.store(1, Ordering::Release));
            // Sooner, and the fill would find its memory gone.
            ok(card.driver.cuIpcCloseMemHandle(address));
        });
        ok(card.driver.cuStreamSynchronize(stream));
    };
    play(&[], first, &[("exporter", exports_legacy)]);
}
