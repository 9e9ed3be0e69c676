// SPDX-License-Identifier: MIT OR Apache-2.0
//! How long a producer that has gone is waited for to come again, in every way to wait. None of these waits would be
//! over so soon, or at all, by the other times that are given: [`LONG`], or no limit.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests fail by panicking")]

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake};
use std::thread::Thread;
use std::time::{Duration, Instant};

use futures_core::Stream;
use rustix::event::{PollFd, PollFlags, poll};
use uncopy::{Frame, LinkError, Meta, Publisher, Subscriber, Waiting};
use uncopy_tests::stage::eventually;
use uncopy_tests::{Stage, form, kind};

const PEER: &str = env!("CARGO_BIN_EXE_peer");
const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(30);
/// A producer that was greeted and is silent for less than that is about to answer.
const SILENCE: Duration = Duration::from_millis(250);

fn publish_one(out: &mut Publisher) {
    out.loan(&form("64x64x4")).unwrap().publish(Meta::default()).unwrap();
}

/// Closes the link, and returns when its subscriber knows.
fn end(out: Publisher, sub: &Subscriber) {
    out.close();
    eventually("its end is known", || if sub.connected() { Err("it is not".to_owned()) } else { Ok(()) });
}

/// A subscriber whose producer has closed the link, and that waits `restart` for the next one.
fn bereft(stage: &Stage, timeout: Option<Duration>, restart: Option<Duration>) -> Subscriber {
    let out = stage.publish("cam").open().unwrap();
    let sub = stage.subscribe("cam").timeout(timeout).restart_timeout(restart).open().unwrap();
    end(out, &sub);
    sub
}

/// Nobody published for `least`, which was told before [`LONG`] was over.
#[track_caller]
fn assert_told<T>(received: Result<T, LinkError>, least: Duration) {
    match received.map(drop).unwrap_err() {
        LinkError::ProducerClosed { since, .. } | LinkError::ProducerLost { since, .. } => {
            assert!((least..LONG).contains(&since), "gone for {since:?}");
        }
        error => panic!("{error}"),
    }
}

/// A wait in which nothing happens.
struct Patient;

impl Waiting for Patient {}

/// No wait at all.
struct AtOnce;

impl Waiting for AtOnce {
    fn keep_waiting(&mut self) -> bool {
        panic!("it waits")
    }
}

/// A wait in which the next producer comes.
struct UntilNext<'s> {
    stage: &'s Stage,
    out: Option<Publisher>,
}

impl Waiting for UntilNext<'_> {
    fn keep_waiting(&mut self) -> bool {
        self.out.get_or_insert_with(|| {
            let mut out = self.stage.publish("cam").open().unwrap();
            publish_one(&mut out);
            out
        });
        true
    }
}

fn wait_for_event(sub: &mut Subscriber) {
    let mut polled = [PollFd::new(sub.events().unwrap(), PollFlags::IN)];
    assert_eq!(poll(&mut polled, None), Ok(1));
}

/// What polling and events alone bring, in the end.
fn poll_until_told(sub: &mut Subscriber) -> Result<Frame, LinkError> {
    loop {
        match sub.poll_recv() {
            Ok(Some(frame)) => return Ok(frame),
            Ok(None) => wait_for_event(sub),
            Err(error) => return Err(error),
        }
    }
}

#[test]
fn an_end_is_told_when_the_time_for_a_restart_is_over_whatever_the_time_of_the_call() {
    let stage = Stage::new(PEER);
    for own in [None, Some(LONG)] {
        let mut sub = bereft(&stage, Some(LONG), Some(SHORT));
        assert_told(sub.recv_with(own, &mut Patient), SHORT);
    }
    let mut producer = stage.open(&["produce", "cam"]);
    let mut sub = stage.subscribe("cam").restart_timeout(Some(SHORT)).open().unwrap();
    producer.kill();
    drop(producer.collect());
    let lost = sub.recv(LONG);
    assert!(matches!(lost, Err(LinkError::ProducerLost { .. })));
    assert_told(lost, SHORT);
    drop(sub);
}

#[test]
fn without_time_for_a_restart_an_end_is_told_at_once_after_the_last_frame() {
    let stage = Stage::new(PEER);
    let mut out = stage.publish("cam").open().unwrap();
    let mut sub = stage.subscribe("cam").restart_timeout(Some(Duration::ZERO)).open().unwrap();
    publish_one(&mut out);
    end(out, &sub);
    assert_eq!(sub.recv_with(Some(LONG), &mut AtOnce).unwrap().seq(), 1);
    assert_told(sub.recv_with(Some(LONG), &mut AtOnce), Duration::ZERO);
    drop(sub);

    // One that is there already, and only has to answer, is followed.
    let mut sub = bereft(&stage, Some(LONG), Some(Duration::ZERO));
    let mut next = stage.publish("cam").open().unwrap();
    publish_one(&mut next);
    let begun = Instant::now();
    let received = sub.recv(LONG).or_else(|told| {
        // The machine is so busy that it was silent for long.
        assert!(begun.elapsed() >= SILENCE, "{told}");
        sub.recv(LONG)
    });
    assert_eq!(received.unwrap().seq(), 1);
    drop((sub, next));
}

#[test]
fn the_time_for_the_first_producer_is_not_that_for_a_restart() {
    let stage = Stage::new(PEER);
    let options = stage.subscribe("cam").restart_timeout(Some(Duration::ZERO));
    let mut next = UntilNext { stage: &stage, out: None };
    let mut sub = options.clone().timeout(Some(LONG)).open_with(&mut next).unwrap();
    assert_eq!(sub.recv(LONG).unwrap().seq(), 1);
    drop((sub, next));

    let mut sub = options.timeout(Some(LONG)).start().unwrap();
    let begun = Instant::now();
    assert_eq!(kind(&sub.recv(SHORT).map(drop).unwrap_err()), "not_found");
    assert!(begun.elapsed() >= SHORT);
    assert!(sub.poll_recv().unwrap().is_none());
    drop(sub);
}

#[test]
fn a_producer_that_comes_within_the_time_for_a_restart_is_followed() {
    let stage = Stage::new(PEER);
    for restart in [None, Some(LONG)] {
        let mut sub = bereft(&stage, Some(Duration::ZERO), restart);
        let mut next = UntilNext { stage: &stage, out: None };
        assert_eq!(sub.recv_with(None, &mut next).unwrap().seq(), 1);
        assert_eq!(sub.restarts(), 1);
        drop((sub, next));
    }
    // The call's own time is the shorter one, and says nothing of the other.
    let mut sub = bereft(&stage, Some(Duration::ZERO), Some(LONG));
    assert_told(sub.recv(SHORT), SHORT);
    let mut next = UntilNext { stage: &stage, out: None };
    assert_eq!(sub.recv_with(None, &mut next).unwrap().seq(), 1);
    drop((sub, next));
}

#[test]
fn an_end_is_told_once_and_then_the_next_producer_is_waited_for_like_a_first() {
    let stage = Stage::new(PEER);
    let timeout = 10 * SHORT;
    let mut sub = bereft(&stage, Some(timeout), Some(Duration::ZERO));
    assert_told(sub.recv_with(Some(LONG), &mut AtOnce), Duration::ZERO);
    // A call with a time of its own: for that time.
    let begun = Instant::now();
    assert_told(sub.recv(SHORT), SHORT);
    assert!(begun.elapsed() >= SHORT);
    // One without: until there has been none for the subscriber's time.
    assert_told(sub.recv_with(None, &mut Patient), timeout);
    assert_told(sub.recv_with(None, &mut AtOnce), timeout);
    // The next one is followed, and its end told anew.
    let mut next = UntilNext { stage: &stage, out: None };
    assert_eq!(sub.recv_with(Some(LONG), &mut next).unwrap().seq(), 1);
    end(next.out.unwrap(), &sub);
    assert_told(sub.recv_with(Some(LONG), &mut AtOnce), Duration::ZERO);
    drop(sub);
}

#[test]
fn who_polls_is_told_an_end_by_an_event_when_the_time_for_a_restart_is_over() {
    let stage = Stage::new(PEER);
    let out = stage.publish("cam").open().unwrap();
    let options = stage.subscribe("cam").timeout(Some(LONG)).restart_timeout(Some(SHORT));
    let mut sub = options.open().unwrap();
    sub.events().unwrap();
    assert!(sub.poll_recv().unwrap().is_none());
    end(out, &sub);
    assert_told(poll_until_told(&mut sub), SHORT);
    assert!(sub.poll_recv().unwrap().is_none(), "it is told once");
    let mut out = stage.publish("cam").open().unwrap();
    publish_one(&mut out);
    assert_eq!(poll_until_told(&mut sub).unwrap().seq(), 1);
    end(out, &sub);
    assert_told(poll_until_told(&mut sub), SHORT);
    drop(sub);
}

#[test]
fn polling_in_a_wait_with_a_time_of_its_own_tells_an_end_for_a_restart_only() {
    let stage = Stage::new(PEER);
    let mut sub = bereft(&stage, Some(Duration::ZERO), Some(Duration::ZERO));
    assert_told(sub.poll_recv_timed(), Duration::ZERO);
    assert!(sub.poll_recv_timed().unwrap().is_none());
    assert_told(sub.poll_recv(), Duration::ZERO);
    drop(sub);
    let mut sub = stage.subscribe("cam").timeout(Some(Duration::ZERO)).start().unwrap();
    assert!(sub.poll_recv_timed().unwrap().is_none());
    assert_eq!(kind(&sub.poll_recv().map(drop).unwrap_err()), "not_found");
    drop(sub);
}

/// The smallest executor: sleeps until it is woken.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

#[test]
fn a_stream_of_frames_ends_when_the_time_for_a_restart_is_over() {
    let stage = Stage::new(PEER);
    let begun = Instant::now();
    let mut frames = bereft(&stage, Some(LONG), Some(SHORT)).into_stream().unwrap();
    let waker = Arc::new(Unpark(std::thread::current())).into();
    let mut context = Context::from_waker(&waker);
    let ended = loop {
        match Pin::new(&mut frames).poll_next(&mut context) {
            Poll::Ready(next) => break next,
            Poll::Pending => std::thread::park(),
        }
    };
    assert!(ended.is_none());
    assert!((SHORT..LONG).contains(&begun.elapsed()));
    drop(frames);
}

#[test]
fn a_wait_for_several_names_whose_time_for_a_restart_is_over_until_that_is_told() {
    let stage = Stage::new(PEER);
    let _depth_out = stage.publish("depth").open().unwrap();
    let mut depth = stage.subscribe("depth").open().unwrap();
    let mut cam = bereft(&stage, Some(LONG), Some(SHORT));
    assert_eq!(uncopy::wait(&mut [&mut depth, &mut cam], Some(LONG)).unwrap(), [1]);
    // Named again, since nothing has told it yet; by a receive with a time too.
    assert_eq!(uncopy::wait(&mut [&mut depth, &mut cam], Some(LONG)).unwrap(), [1]);
    assert_told(cam.recv_with(Some(LONG), &mut AtOnce), SHORT);
    assert_eq!(uncopy::wait(&mut [&mut depth, &mut cam], Some(SHORT)).unwrap(), [0; 0]);
    let mut out = stage.publish("cam").open().unwrap();
    publish_one(&mut out);
    assert_eq!(uncopy::wait(&mut [&mut depth, &mut cam], Some(LONG)).unwrap(), [1]);
    assert_eq!(cam.poll_recv().unwrap().unwrap().seq(), 1);
    drop((depth, cam, out));
}
