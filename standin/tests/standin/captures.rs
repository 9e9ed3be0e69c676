// SPDX-License-Identifier: MIT OR Apache-2.0
//! Streams that are captured: what is recorded, and what disturbs it. Source: `cuda.h`.

use crate::{
    driver::{Card, Handle, Words, ok, out},
    scene::play,
};
use std::{ffi::c_int, thread};

const LEN: usize = 4096;
const GLOBAL: c_int = 0;
const THREAD_LOCAL: c_int = 1;
const RELAXED: c_int = 2;
const NONE: c_int = 0;
const ACTIVE: c_int = 1;
const INVALIDATED: c_int = 2;

fn status(card: Card, stream: Handle) -> c_int {
    out(|status| card.driver.cuStreamIsCapturing(stream, status))
}

fn begun(card: Card, mode: c_int) -> Handle {
    let stream = card.stream();
    ok(card.driver.cuStreamBeginCapture_v2(stream, mode));
    assert_eq!(status(card, stream), ACTIVE);
    stream
}

/// The capture is broken, and ending it says so.
fn assert_broken(card: Card, stream: Handle) {
    assert_eq!(status(card, stream), INVALIDATED);
    assert_eq!(card.driver.cuMemsetD8Async(1 << 40, 0, 0, stream), 0, "nothing to fill is nothing to record");
    let mut graph = 1;
    assert_eq!(card.driver.cuStreamEndCapture(stream, &mut graph), 901);
    assert_eq!((graph, status(card, stream)), (0, NONE));
}

#[test]
fn work_in_a_captured_stream_is_recorded_and_not_done() {
    let first = || {
        let card = Card::first();
        let (address, words) = (card.memory(LEN), Words::new(card));
        card.set(address, 1, LEN);
        let stream = begun(card, GLOBAL);
        ok(card.driver.cuMemsetD32Async(address, 2, LEN / 4, stream));
        ok(card.driver.cuStreamWriteValue32_v2(stream, words.at(0), 1, 0));
        let graph = out(|graph| card.driver.cuStreamEndCapture(stream, graph));
        assert_eq!(out(|count| card.driver.cuGraphGetNodes(graph, std::ptr::null_mut(), count)), 2);
        ok(card.driver.cuGraphDestroy(graph));
        ok(card.driver.cuStreamSynchronize(stream));
        assert_eq!((card.word(address), words.word(0).load(std::sync::atomic::Ordering::Acquire)), (1, 0));
    };
    play(&[], first, &[]);
}

#[test]
fn waiting_for_a_captured_stream_breaks_the_capture() {
    let first = || {
        let card = Card::first();
        let calls: [fn(Card, Handle) -> c_int; 4] = [
            |card, stream| card.driver.cuStreamSynchronize(stream),
            |card, stream| card.driver.cuStreamQuery(stream),
            |card, _| card.driver.cuCtxSynchronize(),
            |card, _| card.driver.cuCtxRecordEvent(card.context, card.event()),
        ];
        for call in calls {
            let stream = begun(card, RELAXED);
            assert_eq!(call(card, stream), 900);
            assert_broken(card, stream);
        }
    };
    play(&[], first, &[]);
}

#[test]
fn unsafe_calls_break_captures_unless_the_threads_mode_lets_them() {
    let first = || {
        let card = Card::first();
        // (the capture's mode, the calling thread is another one, its mode, whether the call is let)
        let cases = [
            (GLOBAL, false, GLOBAL, false),
            (GLOBAL, false, RELAXED, true),
            (GLOBAL, true, GLOBAL, false),
            (GLOBAL, true, THREAD_LOCAL, true),
            (GLOBAL, true, RELAXED, true),
            (THREAD_LOCAL, false, GLOBAL, false),
            (THREAD_LOCAL, false, THREAD_LOCAL, false),
            (THREAD_LOCAL, true, GLOBAL, true),
            (RELAXED, false, GLOBAL, true),
            (RELAXED, true, GLOBAL, true),
        ];
        for (mode, is_other_thread, threads_mode, is_let) in cases {
            let stream = begun(card, mode);
            let call = move || {
                ok(card.driver.cuCtxPushCurrent_v2(card.context));
                let mut exchanged = threads_mode;
                ok(card.driver.cuThreadExchangeStreamCaptureMode(&mut exchanged));
                assert_eq!(exchanged, GLOBAL);
                let code = card.driver.cuMemAlloc_v2(&mut 0, LEN);
                ok(card.driver.cuThreadExchangeStreamCaptureMode(&mut exchanged));
                assert_eq!(exchanged, threads_mode);
                ok(card.driver.cuCtxPopCurrent_v2(&mut 0));
                code
            };
            let code = if is_other_thread { thread::spawn(call).join().unwrap() } else { call() };
            let case = (mode, is_other_thread, threads_mode);
            if is_let {
                assert_eq!((code, status(card, stream)), (0, ACTIVE), "{case:?}");
                ok(card.driver.cuStreamEndCapture(stream, &mut 0));
            } else {
                assert_eq!(code, 900, "{case:?}");
                assert_broken(card, stream);
            }
        }
    };
    play(&[], first, &[]);
}

#[test]
fn asking_about_any_event_breaks_a_global_capture_and_about_a_captured_one_every_capture() {
    let first = || {
        let card = Card::first();
        let (event, other) = (card.event(), card.stream());
        ok(card.driver.cuEventRecord(event, other));
        let stream = begun(card, GLOBAL);
        assert_eq!(card.driver.cuEventQuery(event), 900);
        assert_broken(card, stream);
        let stream = begun(card, RELAXED);
        ok(card.driver.cuEventRecord(event, stream));
        assert_eq!(card.driver.cuEventQuery(event), 907);
        assert_broken(card, stream);
    };
    play(&[], first, &[]);
}

#[test]
fn the_legacy_stream_is_unusable_while_a_blocking_stream_is_captured() {
    let first = || {
        let card = Card::first();
        let address = card.memory(LEN);
        let stream = card.blocking_stream();
        ok(card.driver.cuStreamBeginCapture_v2(stream, RELAXED));
        // Asking disturbs nothing.
        assert_eq!(card.driver.cuStreamIsCapturing(0, &mut 0), 906);
        assert_eq!(status(card, stream), ACTIVE);
        assert_eq!(card.driver.cuMemsetD8Async(address, 1, LEN, 0), 906);
        assert_broken(card, stream);
        // A stream that doesn't block is no concern of the legacy stream.
        let stream = begun(card, RELAXED);
        ok(card.driver.cuMemsetD8Async(address, 1, LEN, 0));
        ok(card.driver.cuStreamEndCapture(stream, &mut 0));
        assert_eq!(card.driver.cuStreamBeginCapture_v2(0, RELAXED), 900);
    };
    play(&[], first, &[]);
}

#[test]
fn streams_join_a_capture_by_its_events_and_must_lead_back() {
    let first = || {
        let card = Card::first();
        let (address, side) = (card.memory(LEN), card.stream());
        let (fork, join) = (card.event(), card.event());
        for leads_back in [true, false] {
            let stream = begun(card, GLOBAL);
            ok(card.driver.cuEventRecord(fork, stream));
            ok(card.driver.cuStreamWaitEvent(side, fork, 0));
            assert_eq!(status(card, side), ACTIVE);
            ok(card.driver.cuMemsetD8Async(address, 1, LEN, side));
            if leads_back {
                ok(card.driver.cuEventRecord(join, side));
                ok(card.driver.cuStreamWaitEvent(stream, join, 0));
            }
            let code = card.driver.cuStreamEndCapture(stream, &mut 0);
            assert_eq!((code, status(card, side)), (if leads_back { 0 } else { 904 }, NONE));
        }
    };
    play(&[], first, &[]);
}

#[test]
fn a_captured_stream_that_waits_for_uncaptured_work_breaks_its_capture() {
    let first = || {
        let card = Card::first();
        let (event, other) = (card.event(), card.stream());
        ok(card.driver.cuEventRecord(event, other));
        let stream = begun(card, GLOBAL);
        assert_eq!(card.driver.cuStreamWaitEvent(stream, event, 0), 905);
        assert_broken(card, stream);
    };
    play(&[], first, &[]);
}

#[test]
fn a_capture_is_ended_where_and_by_whom_it_was_begun() {
    let first = || {
        let card = Card::first();
        let stream = begun(card, GLOBAL);
        assert_eq!(card.driver.cuStreamBeginCapture_v2(stream, GLOBAL), 401);
        let code = thread::spawn(move || {
            ok(card.driver.cuCtxPushCurrent_v2(card.context));
            card.driver.cuStreamEndCapture(stream, &mut 0)
        });
        assert_eq!(code.join().unwrap(), 908);
        let (side, fork) = (card.stream(), card.event());
        ok(card.driver.cuEventRecord(fork, stream));
        ok(card.driver.cuStreamWaitEvent(side, fork, 0));
        assert_eq!(card.driver.cuStreamEndCapture(side, &mut 0), 903);
        assert_broken(card, stream);
        assert_eq!(card.driver.cuStreamEndCapture(stream, &mut 0), 401);
    };
    play(&[], first, &[]);
}
