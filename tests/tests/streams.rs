// SPDX-License-Identifier: MIT OR Apache-2.0
//! Receiving in event loops: what can be polled, and a stream of futures without an executor's help.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::Thread;
use std::time::Duration;

use futures_core::{FusedStream, Stream};
use uncopy::{Frame, FrameStream, LinkError};
use uncopy_tests::{Peer, Stage, kind, pattern};

const PEER: &str = env!("CARGO_BIN_EXE_peer");
const FORM: &str = "64x64x4";

fn open(stage: &Stage, role: &[&str]) -> Peer {
    let mut peer = stage.peer(role);
    peer.expect("open");
    peer
}

/// The smallest executor: sleeps until it is woken.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<T>(mut future: impl Future<Output = T> + Unpin) -> T {
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = Context::from_waker(&waker);
    loop {
        match Pin::new(&mut future).poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}

fn next(frames: &mut FrameStream) -> Option<Result<Frame, LinkError>> {
    block_on(poll_fn(|context| Pin::new(&mut *frames).poll_next(context)))
}

#[test]
fn a_stream_gives_each_frame_through_a_restart_and_ends_when_the_link_is_closed() {
    let stage = Stage::new(PEER);
    let mut producer = open(&stage, &["produce", "cam"]);
    let timeout = Some(Duration::from_secs(20));
    let mut frames = stage.subscribe("cam").timeout(timeout).open().unwrap().into_stream().unwrap();
    for seq in 1..=200 {
        producer.tell(&format!("frame {FORM}"));
        let frame = next(&mut frames).unwrap().unwrap();
        assert_eq!(frame.seq(), seq);
        pattern::check(frame.bytes(), seq).unwrap();
        producer.expect("published");
    }
    producer.kill();
    drop(producer.collect());
    let mut producer = open(&stage, &["produce", "cam"]);
    producer.tell(&format!("frame {FORM}"));
    assert_eq!(next(&mut frames).unwrap().unwrap().seq(), 1);
    assert_eq!(frames.subscriber().restarts(), 1);
    producer.expect("published");
    producer.quit();
    drop(frames);

    let out = stage.publish("cam").open().unwrap();
    let brief = Some(Duration::from_millis(20));
    let mut frames = stage.subscribe("cam").timeout(brief).open().unwrap().into_stream().unwrap();
    drop(out);
    assert!(!frames.is_terminated());
    assert!(next(&mut frames).is_none());
    assert!(frames.is_terminated());
    drop(frames);
}

/// Nothing happens but that time goes by: whoever only polls the descriptor must be told.
#[test]
fn f13_the_end_of_the_time_without_a_producer_is_an_event() {
    let stage = Stage::new(PEER);
    let brief = Some(Duration::from_millis(30));
    let mut frames = stage.subscribe("cam").timeout(brief).start().unwrap().into_stream().unwrap();
    assert_eq!(kind(&next(&mut frames).unwrap().map(drop).unwrap_err()), "not_found");
    drop(frames);

    let producer = open(&stage, &["produce", "cam"]);
    let mut frames = stage.subscribe("cam").timeout(brief).open().unwrap().into_stream().unwrap();
    let mut producer = producer;
    producer.kill();
    drop(producer.collect());
    assert_eq!(kind(&next(&mut frames).unwrap().map(drop).unwrap_err()), "producer_lost");
    drop(frames);
}

#[test]
fn f05_a_stopped_producer_that_does_not_answer_is_told_to_who_polls() {
    let stage = Stage::new(PEER);
    let mut producer = open(&stage, &["produce", "cam"]);
    producer.stop();
    let brief = Some(Duration::from_millis(30));
    let mut frames = stage.subscribe("cam").timeout(brief).start().unwrap().into_stream().unwrap();
    let error = next(&mut frames).unwrap().map(drop).unwrap_err();
    assert!(error.to_string().contains("does not answer"), "{error}");
    producer.go_on();
    producer.tell(&format!("frame {FORM}"));
    // On a busy machine it may take its time to answer, and is silent until then.
    let frame = loop {
        match next(&mut frames).unwrap() {
            Ok(frame) => break frame,
            Err(error) => assert!(error.to_string().contains("does not answer"), "{error}"),
        }
    };
    assert_eq!(frame.seq(), 1);
    producer.expect("published");
    drop((frame, frames));
    producer.quit();
}
