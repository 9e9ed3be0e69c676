// SPDX-License-Identifier: MIT OR Apache-2.0
//! Streams that were destroyed: read on an H100 under driver 580.159 (CUDA 13.0), each call in a process of its own.

use crate::{
    driver::{Card, Handle, Words, ok, out},
    scene::{play, play_to_abort},
};
use std::ffi::c_int;

/// Work is as late as that in the first stream, which is busy with it when it is destroyed.
const BUSY: &[(&str, &str)] = &[("UNCOPY_STANDIN_LAG_US", "600000000,0")];

/// Makes one call on a stream that was destroyed, idle and busy; the process must end by it.
fn ends_the_process(name: &str, first: fn()) {
    for settings in [&[][..], BUSY] {
        play_to_abort(settings, first, &[name, "0x57ea00000100", "which was destroyed"]);
    }
}

fn destroyed(card: Card) -> Handle {
    let stream = card.stream();
    ok(card.driver.cuMemsetD8Async(card.memory(4096), 1, 4096, stream));
    ok(card.driver.cuStreamDestroy_v2(stream));
    stream
}

macro_rules! calls {
    ($($test:ident: $name:literal, $call:expr;)*) => {
        $(#[test]
        fn $test() {
            ends_the_process($name, || {
                let card = Card::first();
                let call: fn(Card, Handle) -> c_int = $call;
                panic!("it answers {}", call(card, destroyed(card)));
            });
        })*
    };
}

calls! {
    asking_whether_it_is_done_ends_the_process: "cuStreamQuery", |card, stream| card.driver.cuStreamQuery(stream);
    waiting_for_it_ends_the_process: "cuStreamSynchronize", |card, stream| card.driver.cuStreamSynchronize(stream);
    asking_whether_it_is_captured_ends_the_process: "cuStreamIsCapturing",
        |card, stream| card.driver.cuStreamIsCapturing(stream, &mut 0);
    asking_for_its_capture_ends_the_process: "cuStreamGetCaptureInfo_v2", |card, stream| {
        let mut status = 0;
        card.driver.cuStreamGetCaptureInfo_v2(stream, &mut status, 0, 0, 0, 0)
    };
    asking_for_its_number_ends_the_process: "cuStreamGetId",
        |card, stream| card.driver.cuStreamGetId(stream, &mut 0);
    asking_for_its_context_ends_the_process: "cuStreamGetCtx",
        |card, stream| card.driver.cuStreamGetCtx(stream, &mut 0);
    asking_for_its_flags_ends_the_process: "cuStreamGetFlags",
        |card, stream| card.driver.cuStreamGetFlags(stream, &mut 0);
    having_it_write_a_word_ends_the_process: "cuStreamWriteValue32_v2", |card, stream| {
        card.driver.cuStreamWriteValue32_v2(stream, Words::new(card).at(0), 1, 0)
    };
    having_it_wait_ends_the_process: "cuStreamWaitEvent",
        |card, stream| card.driver.cuStreamWaitEvent(stream, card.event(), 0);
    marking_it_ends_the_process: "cuEventRecord", |card, stream| card.driver.cuEventRecord(card.event(), stream);
    putting_work_into_it_ends_the_process: "cuMemsetD8Async",
        |card, stream| card.driver.cuMemsetD8Async(card.memory(4096), 1, 4096, stream);
    destroying_it_again_ends_the_process: "cuStreamDestroy_v2",
        |card, stream| card.driver.cuStreamDestroy_v2(stream);
}

#[test]
fn the_next_stream_has_the_handle_that_was_given_back_last() {
    let first = || {
        let card = Card::first();
        let [one, other] = [card.stream(), card.stream()];
        ok(card.driver.cuStreamDestroy_v2(other));
        ok(card.driver.cuStreamDestroy_v2(one));
        assert_eq!((card.stream(), card.stream()), (one, other));
        assert!(![one, other].contains(&card.stream()));
        // It is another stream.
        assert_eq!(out(|number| card.driver.cuStreamGetId(one, number)), 3);
        ok(card.driver.cuStreamQuery(one));
    };
    play(&[], first, &[]);
}

#[test]
fn a_stream_that_has_the_handle_of_a_captured_one_is_not_captured() {
    let first = || {
        let card = Card::first();
        let stream = card.stream();
        ok(card.driver.cuStreamBeginCapture_v2(stream, 0));
        ok(card.driver.cuStreamDestroy_v2(stream));
        assert_eq!(card.stream(), stream);
        assert_eq!(out(|status| card.driver.cuStreamIsCapturing(stream, status)), 0);
        ok(card.driver.cuCtxSynchronize());
    };
    play(&[], first, &[]);
}
