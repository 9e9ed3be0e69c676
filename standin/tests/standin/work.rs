// SPDX-License-Identifier: MIT OR Apache-2.0
//! What streams do, and in which order.

use crate::{
    driver::{Access, BatchOp, Card, Copy2d, GRANULE, Handle, READ, READ_WRITE, Words, ok, out},
    scene::play,
};
use std::{
    ffi::c_void,
    ptr,
    sync::atomic::{AtomicU32, Ordering},
};

const LEN: usize = GRANULE;
/// The streams of these tests are made in this order: one that is late, and others that are not.
const LATE_FIRST: &[(&str, &str)] = &[("UNCOPY_STANDIN_LAG_US", "300000,0,0,0")];

#[test]
fn the_legacy_stream_waits_for_blocking_streams_and_they_for_it() {
    let first = || {
        let card = Card::first();
        let (late, prompt) = (card.blocking_stream(), card.blocking_stream());
        let (one, two, three) = (card.memory(LEN), card.memory(LEN), card.memory(LEN));
        card.set(one, 0, LEN);
        ok(card.driver.cuMemsetD32Async(one, 7, LEN / 4, late));
        ok(card.driver.cuMemcpyDtoDAsync_v2(two, one, LEN, 0));
        ok(card.driver.cuMemcpyDtoDAsync_v2(three, two, LEN, prompt));
        ok(card.driver.cuStreamSynchronize(prompt));
        assert_eq!(card.word(three), 7);
    };
    play(LATE_FIRST, first, &[]);
}

#[test]
fn a_synchronous_copy_does_not_wait_for_a_stream_that_does_not_block() {
    let first = || {
        let card = Card::first();
        let late = card.stream();
        let address = card.memory(LEN);
        card.set(address, 1, LEN);
        ok(card.driver.cuMemsetD32Async(address, 2, LEN / 4, late));
        assert_eq!(card.word(address), 1);
        ok(card.driver.cuStreamSynchronize(late));
        assert_eq!(card.word(address), 2);
    };
    play(LATE_FIRST, first, &[]);
}

#[test]
fn a_context_is_waited_for_as_a_whole_and_an_event_stands_for_all_of_it() {
    let first = || {
        let card = Card::first();
        let (late, event) = (card.stream(), card.event());
        let words = Words::new(card);
        ok(card.driver.cuStreamWriteValue32_v2(late, words.at(0), 1, 0));
        ok(card.driver.cuCtxRecordEvent(card.context, event));
        assert_eq!(card.driver.cuEventQuery(event), 600);
        ok(card.driver.cuEventSynchronize(event));
        assert_eq!(words.word(0).load(Ordering::Acquire), 1);
        ok(card.driver.cuStreamWriteValue32_v2(late, words.at(0), 2, 0));
        ok(card.driver.cuCtxSynchronize());
        assert_eq!(words.word(0).load(Ordering::Acquire), 2);
    };
    play(LATE_FIRST, first, &[]);
}

#[test]
fn a_stream_that_is_destroyed_still_does_its_work() {
    let first = || {
        let card = Card::first();
        let (late, event) = (card.stream(), card.event());
        let words = Words::new(card);
        ok(card.driver.cuStreamWriteValue32_v2(late, words.at(0), 1, 0));
        ok(card.driver.cuEventRecord(event, late));
        ok(card.driver.cuStreamDestroy_v2(late));
        ok(card.driver.cuEventSynchronize(event));
        assert_eq!(words.word(0).load(Ordering::Acquire), 1);
    };
    play(LATE_FIRST, first, &[]);
}

#[test]
fn an_event_measures_the_time_between_two_records() {
    let first = || {
        let card = Card::first();
        let stream = card.stream();
        let [start, end] = [0, 0].map(|flags| out(|event| card.driver.cuEventCreate(event, flags)));
        ok(card.driver.cuEventRecord(start, stream));
        ok(card.launch(card.kernel("uncopy_spin"), stream, &mut [3_000_000]));
        ok(card.driver.cuEventRecord(end, stream));
        ok(card.driver.cuEventSynchronize(end));
        assert!(out(|time| card.driver.cuEventElapsedTime(time, start, end)) >= 3.0);
        assert_eq!(card.driver.cuEventElapsedTime(&mut 0.0, start, card.event()), 400);
    };
    play(&[], first, &[]);
}

#[test]
fn a_word_is_reached_by_its_value_and_the_two_billion_after_it() {
    let first = || {
        let card = Card::first();
        let words = Words::new(card);
        for (now, value, is_reached) in [
            (5, 5, true),
            (6, 5, true),
            (4, 5, false),
            (0, u32::MAX, true),
            (0x7FFF_FFFE, u32::MAX, true),
            (0x7FFF_FFFF, u32::MAX, false),
            (u32::MAX - 1, u32::MAX, false),
        ] {
            let stream = card.stream();
            words.word(0).store(now, Ordering::Release);
            words.word(1).store(0, Ordering::Release);
            ok(card.driver.cuStreamWaitValue32_v2(stream, words.at(0), value, 0));
            ok(card.driver.cuStreamWriteValue32_v2(stream, words.at(1), 1, 0));
            if !is_reached {
                // Another stream gets through before it.
                let other = card.stream();
                ok(card.launch(card.kernel("uncopy_spin"), other, &mut [2_000_000]));
                ok(card.driver.cuStreamSynchronize(other));
                assert_eq!(words.word(1).load(Ordering::Acquire), 0, "{now:#x} {value:#x}");
                words.word(0).store(value, Ordering::Release);
            }
            ok(card.driver.cuStreamSynchronize(stream));
            assert_eq!(words.word(1).load(Ordering::Acquire), 1, "{now:#x} {value:#x}");
        }
    };
    play(&[], first, &[]);
}

#[test]
fn a_batch_is_put_in_whole_or_not_at_all() {
    let first = || {
        let card = Card::first();
        let (words, stream) = (Words::new(card), card.stream());
        let mut ops =
            [BatchOp::wait(words.at(0), 1), BatchOp::wait(words.at(1), 1), BatchOp::write(words.at(2), 1)];
        ok(card.driver.cuStreamBatchMemOp_v2(stream, 3, ops.as_mut_ptr(), 0));
        words.word(1).store(1, Ordering::Release);
        assert_eq!(card.driver.cuStreamQuery(stream), 600);
        words.word(0).store(1, Ordering::Release);
        ok(card.driver.cuStreamSynchronize(stream));
        assert_eq!(words.word(2).load(Ordering::Acquire), 1);
        let mut ops = [BatchOp::write(words.at(2), 2), BatchOp::wait(words.at(0) + 1, 1)];
        assert_eq!(card.driver.cuStreamBatchMemOp_v2(stream, 2, ops.as_mut_ptr(), 0), 1);
        assert_eq!(card.driver.cuStreamBatchMemOp_v2(stream, 257, ops.as_mut_ptr(), 0), 1);
        ok(card.driver.cuStreamSynchronize(stream));
        assert_eq!(words.word(2).load(Ordering::Acquire), 1);
    };
    play(&[], first, &[]);
}

extern "C" fn adds_one(argument: *mut c_void) {
    // SAFETY: the test passes an atomic that outlives the stream's work.
    let word = unsafe { AtomicU32::from_ptr(argument.cast()) };
    word.fetch_add(1, Ordering::AcqRel);
}

#[test]
fn a_host_function_runs_in_its_turn() {
    let first = || {
        let card = Card::first();
        let (stream, words) = (card.stream(), Words::new(card));
        let called = AtomicU32::new(0);
        ok(card.driver.cuStreamWaitValue32_v2(stream, words.at(0), 1, 0));
        ok(card.driver.cuLaunchHostFunc(stream, adds_one, called.as_ptr().cast()));
        assert_eq!(called.load(Ordering::Acquire), 0);
        words.word(0).store(1, Ordering::Release);
        ok(card.driver.cuStreamSynchronize(stream));
        assert_eq!(called.load(Ordering::Acquire), 1);
    };
    play(&[], first, &[]);
}

#[test]
fn rectangles_are_copied_with_their_pitches() {
    let first = || {
        let card = Card::first();
        let stream = card.stream();
        let (from, to) = (card.memory(LEN), card.memory(LEN));
        card.set(to, 0, LEN);
        let numbers: Vec<u32> = (0..1024).collect();
        ok(card.driver.cuMemcpyHtoD_v2(from, numbers.as_ptr().cast(), 4096));
        // 3 rows of 5 words, from column 2 of row 1 of a picture of 64 words, to rows of 8 words.
        let copy = Copy2d {
            src_x: 8,
            src_y: 1,
            src_kind: 2,
            src_device: from,
            src_pitch: 256,
            dst_kind: 2,
            dst_device: to,
            dst_pitch: 32,
            width: 20,
            height: 3,
            ..Copy2d::default()
        };
        ok(card.driver.cuMemcpy2DAsync_v2(&copy, stream));
        ok(card.driver.cuStreamSynchronize(stream));
        let row = |first: u32| [first, first + 1, first + 2, first + 3, first + 4, 0, 0, 0];
        assert_eq!(card.words(to, 24), [row(66), row(130), row(194)].concat());
        // To ordinary memory of the host, where rows follow each other.
        let mut host = [0_u32; 15];
        let dst_host = host.as_mut_ptr().expose_provenance() as u64;
        let copy = Copy2d { dst_kind: 1, dst_host, dst_pitch: 20, ..copy };
        ok(card.driver.cuMemcpy2DAsync_v2(&copy, stream));
        assert_eq!(host.as_slice(), [&row(66)[..5], &row(130)[..5], &row(194)[..5]].concat());
        let copy = Copy2d { src_y: 1 << 20, ..copy };
        assert_eq!(card.driver.cuMemcpy2DAsync_v2(&copy, stream), 1);
    };
    play(&[], first, &[]);
}

#[test]
fn the_driver_tells_host_and_device_apart_by_address() {
    let first = || {
        let card = Card::first();
        let (stream, address) = (card.stream(), card.memory(LEN));
        let pinned = out(|host| card.driver.cuMemHostAlloc(host, LEN, 0));
        let mut ordinary = 0_u32;
        let at_ordinary = ptr::from_mut(&mut ordinary).expose_provenance() as u64;
        card.set(address, 3, LEN);
        ok(card.driver.cuMemcpyAsync(pinned, address, LEN, stream));
        ok(card.driver.cuMemcpyAsync(address + 8, pinned, 8, stream));
        ok(card.driver.cuMemcpyAsync(at_ordinary, address + 8, 4, stream));
        assert_eq!(ordinary, 3);
        let mut kind = 0_i32;
        for (address, expected) in [(pinned, 1), (address + 100, 2)] {
            ok(card.driver.cuPointerGetAttribute(ptr::from_mut(&mut kind).cast(), 2, address));
            assert_eq!(kind, expected);
        }
        assert_eq!(card.driver.cuPointerGetAttribute(ptr::from_mut(&mut kind).cast(), 2, at_ordinary), 1);
        assert_eq!(card.driver.cuMemcpyAsync(address, address + LEN as u64, 4, stream), 1);
        ok(card.driver.cuMemFreeHost(pinned));
        assert_eq!(card.driver.cuMemFreeHost(pinned), 1);
    };
    play(&[], first, &[]);
}

#[test]
fn two_mappings_that_meet_are_copied_as_one() {
    let first = || {
        let card = Card::first();
        let whole = out(|address| card.driver.cuMemAddressReserve(address, 2 * LEN, 0, 0, 0));
        for (half, word) in [(0, 1_u32), (1, 2)] {
            let (address, handle) = (whole + half * LEN as u64, card.shareable(LEN));
            ok(card.driver.cuMemMap(address, LEN, 0, handle, 0));
            let access = Access { location_kind: 1, location: 0, flags: READ_WRITE };
            ok(card.driver.cuMemSetAccess(address, LEN, &access, 1));
            card.set(address, word, LEN);
        }
        let copy = card.memory(2 * LEN);
        let stream = card.stream();
        ok(card.driver.cuMemcpyDtoDAsync_v2(copy, whole, 2 * LEN, stream));
        ok(card.driver.cuStreamSynchronize(stream));
        assert_eq!(card.words(copy + LEN as u64 - 4, 2), [1, 2]);
        ok(card.driver.cuMemUnmap(whole, 2 * LEN));
    };
    play(&[], first, &[]);
}

#[test]
fn registered_memory_is_registered_once_and_no_longer_than_that() {
    let first = || {
        let card = Card::first();
        let words = Words::new(card);
        assert_eq!(card.driver.cuMemHostRegister_v2(words.host, 4096, 2), 712);
        ok(card.driver.cuMemHostUnregister(words.host));
        assert_eq!(card.driver.cuMemHostUnregister(words.host), 713);
        let stream = card.stream();
        assert_eq!(card.driver.cuStreamWriteValue32_v2(stream, words.at(0), 1, 0), 1);
        assert_eq!(card.driver.cuMemHostGetDevicePointer_v2(&mut 0, words.host, 0), 1);
        let nowhere = ptr::without_provenance_mut(4096);
        assert_eq!(card.driver.cuMemHostRegister_v2(nowhere, 4096, 2), 1);
    };
    play(&[], first, &[]);
}

/// Counts wrong words, and finds the first, by the kernel of the tests.
fn checked(card: Card, frame: Handle, n_words: u64, seed: u64) -> (u64, u64) {
    let out = card.memory(16);
    let mut answer = [0, u64::MAX];
    ok(card.driver.cuMemcpyHtoD_v2(out, answer.as_ptr().cast(), 16));
    let stream = card.stream();
    ok(card.launch(card.kernel("uncopy_check"), stream, &mut [frame, n_words, seed, out]));
    ok(card.driver.cuStreamSynchronize(stream));
    ok(card.driver.cuMemcpyDtoH_v2(answer.as_mut_ptr().cast(), out, 16));
    (answer[0], answer[1])
}

#[test]
fn frames_are_filled_and_checked_by_kernels() {
    let first = || {
        let card = Card::first();
        let (frame, n_words, seed) = (card.memory(LEN), 1000, 42);
        let stream = card.stream();
        assert_eq!(checked(card, frame, n_words, seed), (n_words, 0));
        ok(card.launch(card.kernel("uncopy_fill"), stream, &mut [frame, n_words, seed]));
        ok(card.driver.cuStreamSynchronize(stream));
        assert_eq!(checked(card, frame, n_words, seed), (0, u64::MAX));
        // A word's value is that of splitmix64(seed + i), and nothing behind the last is touched.
        assert_eq!(checked(card, frame + 8, n_words - 1, seed + 1), (0, u64::MAX));
        assert_eq!(card.words(frame + 8 * n_words, 2), [0xCDCD_CDCD; 2]);
        ok(card.driver.cuMemsetD32_v2(frame + 8 * 700, 1, 1));
        assert_eq!(checked(card, frame, n_words, seed), (1, 700));
        assert_eq!(checked(card, frame, n_words, seed + 1), (n_words, 0));
    };
    play(&[], first, &[]);
}

#[test]
fn saxpy_multiplies_and_adds_along_strides() {
    let first = || {
        let card = Card::first();
        let saxpy = card.kernel_of(".version 6.0\n.entry uncopy_saxpy() { ret; }", "uncopy_saxpy");
        let (memory, stream) = (card.memory(LEN), card.stream());
        let floats = |values: [f32; 8]| values.map(f32::to_bits);
        ok(card.driver.cuMemcpyHtoD_v2(memory, floats([1., 9., 2., 9., 3., 9., 4., 9.]).as_ptr().cast(), 32));
        let (s, x, y) = (memory + 64, memory, memory + 24);
        let mut arguments = [s, x, y, u64::from(10.0_f32.to_bits()), 3, 1, 2, (-2_i64).cast_unsigned()];
        ok(card.launch(saxpy, stream, &mut arguments));
        ok(card.driver.cuStreamSynchronize(stream));
        assert_eq!(card.words(s, 3), [14.0_f32, 23.0, 32.0].map(f32::to_bits));
        // From the first float downwards there is nothing, and a card faults.
        arguments[7] = (-1_000_000_i64).cast_unsigned();
        ok(card.launch(saxpy, stream, &mut arguments));
        assert_eq!(card.driver.cuStreamSynchronize(stream), 700);
    };
    play(&[], first, &[]);
}

#[test]
fn a_kernel_that_writes_where_it_may_not_breaks_its_context() {
    let first = || {
        let card = Card::first();
        let frame = card.mapped(card.shareable(LEN), LEN, READ);
        let stream = card.stream();
        assert_eq!(checked(card, frame, 8, 1), (8, 0));
        ok(card.launch(card.kernel("uncopy_fill"), stream, &mut [frame, 8, 1]));
        assert_eq!(card.driver.cuStreamSynchronize(stream), 700);
        assert_eq!(card.driver.cuMemAlloc_v2(&mut 0, LEN), 700);
    };
    play(&[], first, &[]);
}

#[test]
fn a_kernel_that_is_given_a_wrong_address_breaks_its_context_and_nothing_behind_it_is_done() {
    let first = || {
        let card = Card::first();
        let late = card.stream();
        let (frame, words) = (card.memory(LEN), Words::new(card));
        ok(card.launch(card.kernel("uncopy_fill"), late, &mut [frame, LEN as u64 / 8 + 1, 1]));
        ok(card.driver.cuStreamWriteValue32_v2(late, words.at(0), 1, 0));
        assert_eq!(card.driver.cuStreamSynchronize(late), 700);
        assert_eq!(words.word(0).load(Ordering::Acquire), 0);
        assert_eq!(card.driver.cuStreamQuery(late), 700);
    };
    play(LATE_FIRST, first, &[]);
}

/// What several threads do at once: each has streams that wait for each other's events, for the legacy stream and
/// for words.
fn ring(card: Card, streams: usize, turns: u32) {
    ok(card.driver.cuCtxPushCurrent_v2(card.context));
    let words = Words::new(card);
    let ring: Vec<Handle> =
        (0..streams).map(|at| if at % 2 == 0 { card.stream() } else { card.blocking_stream() }).collect();
    let event = card.event();
    for turn in 1..=turns {
        for (at, stream) in ring.iter().enumerate() {
            let before = ring[(at + streams - 1) % streams];
            ok(card.driver.cuEventRecord(event, before));
            ok(card.driver.cuStreamWaitEvent(*stream, event, 0));
            ok(card.driver.cuStreamWriteValue32_v2(*stream, words.at(at), turn, 0));
            ok(card.driver.cuStreamWaitValue32_v2(
                *stream,
                words.at((at + streams - 1) % streams),
                turn - u32::from(at == 0),
                0,
            ));
        }
        ok(card.driver.cuStreamWriteValue32_v2(0, words.at(streams), turn, 0));
        if turn % 16 == 0 {
            ok(card.driver.cuStreamSynchronize(ring[0]));
        }
    }
    ok(card.driver.cuCtxSynchronize());
    for at in 0..=streams {
        assert_eq!(words.word(at).load(Ordering::Acquire), turns);
    }
    ring.iter().for_each(|stream| ok(card.driver.cuStreamDestroy_v2(*stream)));
    ok(card.driver.cuMemHostUnregister(words.host));
}

fn rings_of_three_threads() {
    let card = Card::first();
    std::thread::scope(|scope| {
        (0..3).for_each(|_| drop(scope.spawn(move || ring(card, 3, 64))));
    });
}

#[test]
fn streams_of_several_threads_that_wait_for_each_other_all_get_there() {
    play(&[], rings_of_three_threads, &[]);
}

#[test]
fn lazy_streams_of_several_threads_that_wait_for_each_other_all_get_there() {
    play(&[("UNCOPY_STANDIN_LAZY_US", "1000")], rings_of_three_threads, &[]);
}

#[test]
fn a_kernel_needs_peer_access_and_a_copy_does_not() {
    let first = || {
        let card = Card::first();
        let frame = card.memory(LEN);
        card.set(frame, 5, LEN);
        let second = Card::of(card.driver, 1);
        let (own, stream) = (second.memory(LEN), second.stream());
        ok(card.driver.cuMemcpyPeerAsync(own, second.context, frame, card.context, LEN, stream));
        ok(card.driver.cuStreamSynchronize(stream));
        assert_eq!(second.word(own), 5);
        ok(card.driver.cuCtxEnablePeerAccess(card.context, 0));
        assert_eq!(card.driver.cuCtxEnablePeerAccess(card.context, 0), 704);
        assert_eq!(checked(second, frame, 8, 1), (8, 0));
    };
    play(&[("UNCOPY_STANDIN_DEVICES", "2")], first, &[]);
}

#[test]
fn a_kernel_without_peer_access_breaks_its_context() {
    let first = || {
        let card = Card::first();
        let frame = card.memory(LEN);
        let second = Card::of(card.driver, 1);
        let stream = second.stream();
        ok(second.launch(second.kernel("uncopy_fill"), stream, &mut [frame, 8, 1]));
        assert_eq!(second.driver.cuStreamSynchronize(stream), 700);
        // The other card's context works on.
        ok(card.driver.cuCtxSetCurrent(card.context));
        card.set(frame, 1, LEN);
    };
    play(&[("UNCOPY_STANDIN_DEVICES", "2")], first, &[]);
}

/// `cuda.h`: `cuMemSetAccess` lets a card in by itself. Not read on a card.
#[test]
fn a_kernel_uses_mapped_memory_of_another_card_once_that_gives_access() {
    let first = || {
        let card = Card::first();
        let frame = card.mapped(card.shareable(2 << 20), 2 << 20, READ_WRITE);
        let second = Card::of(card.driver, 1);
        let access = Access { location_kind: 1, location: 1, flags: READ_WRITE };
        ok(card.driver.cuMemSetAccess(frame, 2 << 20, &access, 1));
        let stream = second.stream();
        ok(second.launch(second.kernel("uncopy_fill"), stream, &mut [frame, 8, 1]));
        ok(second.driver.cuStreamSynchronize(stream));
        assert_eq!(checked(second, frame, 8, 1), (0, u64::MAX));
        assert_eq!(card.driver.cuMemSetAccess(frame, 2 << 20, &Access { flags: 0, ..access }, 1), 0);
        ok(second.launch(second.kernel("uncopy_fill"), stream, &mut [frame, 8, 1]));
        assert_eq!(second.driver.cuStreamSynchronize(stream), 700);
    };
    play(&[("UNCOPY_STANDIN_DEVICES", "2")], first, &[]);
}

#[test]
fn cards_apart_copy_by_their_contexts_alone() {
    let first = || {
        let card = Card::first();
        let frame = card.mapped(card.shareable(2 << 20), 2 << 20, READ_WRITE);
        card.set(frame, 5, 2 << 20);
        let second = Card::of(card.driver, 1);
        let access = Access { location_kind: 1, location: 1, flags: READ_WRITE };
        assert_eq!(card.driver.cuMemSetAccess(frame, 2 << 20, &access, 1), 101);
        let (own, stream) = (second.memory(2 << 20), second.stream());
        assert_eq!(card.driver.cuMemcpyDtoDAsync_v2(own, frame, 2 << 20, stream), 1);
        ok(card.driver.cuMemcpyPeerAsync(own, second.context, frame, card.context, 2 << 20, stream));
        ok(card.driver.cuStreamSynchronize(stream));
        assert_eq!(second.word(own), 5);
    };
    play(&[("UNCOPY_STANDIN_DEVICES", "2"), ("UNCOPY_STANDIN_PEER", "0")], first, &[]);
}

#[test]
fn what_is_no_ptx_is_no_module() {
    let first = || {
        let card = Card::first();
        for (image, code) in [(c"\x7fELF", 209), (c"hello", 218), (c".version 7.0", 218)] {
            assert_eq!(card.driver.cuModuleLoadData(&mut 0, image.as_ptr()), code);
        }
        let module = out(|module| {
            card.driver.cuModuleLoadData(module, c".version 7.0\n.entry mine() { ret; }".as_ptr())
        });
        assert_eq!(card.driver.cuModuleGetFunction(&mut 0, module, c"yours".as_ptr()), 500);
        let function = out(|function| card.driver.cuModuleGetFunction(function, module, c"mine".as_ptr()));
        assert_eq!(card.launch(function, card.stream(), &mut []), 801);
    };
    play(&[], first, &[]);
}

#[test]
fn errors_have_names() {
    let first = || {
        let driver = Card::first().driver;
        let mut name = ptr::null();
        ok(driver.cuGetErrorName(700, &mut name));
        // SAFETY: the driver's own text, for ever.
        assert_eq!(unsafe { std::ffi::CStr::from_ptr(name) }, c"CUDA_ERROR_ILLEGAL_ADDRESS");
        assert_eq!(driver.cuGetErrorName(31_337, &mut name), 1);
    };
    play(&[], first, &[]);
}
