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
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use uncopy::os::Listener;
use uncopy::{Frame, FrameStream, LinkError, Meta, Read, Subscriber};
use uncopy_tests::stage::eventually;
use uncopy_tests::{Stage, form, kind, pattern};

const PEER: &str = env!("CARGO_BIN_EXE_peer");
const FORM: &str = "64x64x4";

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
    let mut producer = stage.open(&["produce", "cam"]);
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
    let mut producer = stage.open(&["produce", "cam"]);
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

    let producer = stage.open(&["produce", "cam"]);
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
    let mut producer = stage.open(&["produce", "cam"]);
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

/// Waits for an event of the subscriber, as an event loop does.
fn wait_for_event(sub: &mut Subscriber) {
    let events = sub.events().unwrap();
    let mut polled = [PollFd::new(events, PollFlags::IN)];
    let ready = poll(&mut polled, Some(&Timespec { tv_sec: 30, tv_nsec: 0 }));
    assert_eq!(ready, Ok(1), "no event comes");
}

/// The next frame by polling and events alone.
fn poll_for_frame(sub: &mut Subscriber) -> Frame {
    loop {
        match sub.poll_recv().unwrap() {
            Some(frame) => return frame,
            None => wait_for_event(sub),
        }
    }
}

#[test]
fn who_polls_past_frames_that_are_beyond_reach_gets_those_that_are_not() {
    let stage = Stage::new(PEER);
    let mut producer = stage.open(&["produce", "cam", "--slots", "16"]);
    let mut sub = stage.subscribe("cam").read(Read::Every).open().unwrap();
    assert!(sub.poll_recv().unwrap().is_none());
    sub.events().unwrap();
    for side in 1..=12 {
        producer.ask(&format!("frame {}x64x4", 64 * side), "published");
    }
    let mut seq = 0;
    while seq < 12 {
        let frame = poll_for_frame(&mut sub);
        assert_eq!(frame.seq(), seq + 1 + frame.missed());
        seq = frame.seq();
    }
    drop(sub);
    producer.quit();
}

#[test]
fn f03_a_successor_that_came_while_another_was_greeted_is_found() {
    let stage = Stage::new(PEER);
    let dir = stage.runtime_dir();
    let mut sub = stage.subscribe("cam").start().unwrap();
    sub.events().unwrap();
    assert!(sub.poll_recv().unwrap().is_none());
    // Somebody who listens and never answers.
    let mute = Listener::bind(&dir, "cam.sock").unwrap();
    wait_for_event(&mut sub);
    assert!(sub.poll_recv().unwrap().is_none());
    let greeted = eventually("it was greeted", || match mute.accept() {
        Ok(Some(connection)) => Ok(connection),
        other => Err(format!("{:?}", other.map(drop))),
    });
    // Its socket goes with it; the greeting is still without an answer.
    drop(mute);
    let mut out = stage.publish("cam").open().unwrap();
    out.loan(&form(FORM)).unwrap().publish(Meta::default()).unwrap();
    drop(greeted);
    assert_eq!(poll_for_frame(&mut sub).seq(), 1);
    drop((sub, out));
}

#[test]
fn f37_a_runtime_directory_that_was_removed_and_made_again_is_found_by_who_polls() {
    let stage = Stage::new(PEER);
    drop(stage.runtime_dir());
    let mut polling = stage.subscribe("cam").start().unwrap();
    polling.events().unwrap();
    assert!(polling.poll_recv().unwrap().is_none());
    let mut looking = stage.subscribe("cam").start().unwrap();
    assert!(looking.newest().unwrap().is_none());
    std::fs::remove_dir_all(stage.dir()).unwrap();
    let mut out = stage.publish("cam").open().unwrap();
    out.loan(&form(FORM)).unwrap().publish(Meta::default()).unwrap();
    assert_eq!(poll_for_frame(&mut polling).seq(), 1);
    eventually("newest() finds it", || match looking.newest() {
        Ok(Some(frame)) if frame.seq() == 1 => Ok(()),
        other => Err(format!("{:?}", other.map(drop))),
    });
    drop((polling, looking, out));
}

/// The producer's end rings the doorbell, and nothing else comes until there is another.
#[test]
fn the_end_of_a_producer_is_one_event_for_who_polls_and_not_many() {
    let stage = Stage::new(PEER);
    let out = stage.publish("cam").open().unwrap();
    let mut sub = stage.subscribe("cam").timeout(None).open().unwrap();
    sub.events().unwrap();
    assert!(sub.poll_recv().unwrap().is_none());
    drop(out);
    eventually("its end is known", || if sub.connected() { Err("it is not".to_owned()) } else { Ok(()) });
    eventually("nothing more is told", || {
        assert!(sub.poll_recv().unwrap().is_none());
        let mut polled = [PollFd::new(sub.events().unwrap(), PollFlags::IN)];
        match poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 20_000_000 })) {
            Ok(0) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    let mut out = stage.publish("cam").open().unwrap();
    out.loan(&form(FORM)).unwrap().publish(Meta::default()).unwrap();
    assert_eq!(poll_for_frame(&mut sub).seq(), 1);
    drop((sub, out));
}

/// Who goes on polling after the end is woken now and then, and not at once.
#[test]
fn an_absence_that_was_told_is_no_event_at_once_and_is_noted_once() {
    let stage = Stage::new(PEER);
    let mut sub = stage.subscribe("cam").timeout(Some(Duration::from_millis(10))).start().unwrap();
    sub.events().unwrap();
    let error = loop {
        match sub.poll_recv() {
            Ok(_) => wait_for_event(&mut sub),
            Err(error) => break error,
        }
    };
    assert_eq!(kind(&error), "not_found");
    for _ in 0..5 {
        assert!(sub.poll_recv().is_err());
        let mut polled = [PollFd::new(sub.events().unwrap(), PollFlags::IN)];
        assert_eq!(poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })), Ok(0));
    }
    let counts: Vec<u64> = stage.errors("cam").iter().map(|record| record.count).collect();
    assert_eq!(counts, [1]);
    drop(sub);
}
