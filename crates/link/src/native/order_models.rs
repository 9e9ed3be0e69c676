// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every interleaving of processors and devices on one link, by loom. Run by `cargo xtask test loom`.
//!
//! A *stream* is a thread that does what was put in, in order and late. The content of a frame is one of loom's cells:
//! a write that overlaps a read is reported by loom itself, so these models fail as soon as a slot is written under a
//! reader, wherever it reads. A stream that waits for ever is reported as a deadlock.
//!
//! Each order, store and exchange of `order.rs` and each step of its users is left out in turn, and some model must
//! fail without it.

use loom::thread;

use super::*;
use crate::native::ring;
use crate::native::ring::models::sites::{self, is_there as step};
use crate::native::ring::models::{Model, check};

#[path = "order_streams.rs"]
mod streams;

use streams::{By, LOOKER, Link, Producer, READER, To, Work, event, look, read, unseat};

/// The models that must hold, those that end soonest first.
const MODELS: &[(&str, fn())] = &[
    ("memory_is_let_go_when_all_promises_are_kept", memory_is_let_go_when_all_promises_are_kept),
    ("an_abandoned_claim_is_written_after", an_abandoned_claim_is_written_after),
    (
        "a_torn_frame_of_a_dead_producer_is_given_to_nobody",
        a_torn_frame_of_a_dead_producer_is_given_to_nobody,
    ),
    (
        "a_torn_mirror_of_a_dead_producer_is_given_to_nobody",
        a_torn_mirror_of_a_dead_producer_is_given_to_nobody,
    ),
    (
        "a_stream_that_waits_for_the_dead_goes_on_and_tells",
        a_stream_that_waits_for_the_dead_goes_on_and_tells,
    ),
    (
        "a_promise_that_is_kept_by_hand_is_kept_when_the_stream_is_idle",
        a_promise_that_is_kept_by_hand_is_kept_when_the_stream_is_idle,
    ),
    ("a_slot_is_written_after_its_last_write", a_slot_is_written_after_its_last_write),
    ("a_stream_reads_when_the_frame_is_whole", a_stream_reads_when_the_frame_is_whole),
    ("a_mirror_is_whole_and_made_of_one_frame", a_mirror_is_whole_and_made_of_one_frame),
    (
        "an_abandoned_mirror_is_marked_by_the_stream_of_mirrors",
        an_abandoned_mirror_is_marked_by_the_stream_of_mirrors,
    ),
    (
        "a_mirror_that_begins_early_is_whole_and_made_of_one_frame",
        a_mirror_that_begins_early_is_whole_and_made_of_one_frame,
    ),
    ("a_late_ticket_of_a_dead_reader_stops_nobody", a_late_ticket_of_a_dead_reader_stops_nobody),
    ("a_frame_read_by_two_streams_is_kept_for_both", a_frame_read_by_two_streams_is_kept_for_both),
    ("a_dead_readers_tickets_are_written", a_dead_readers_tickets_are_written),
    ("a_slot_is_written_after_the_stream_that_reads_it", a_slot_is_written_after_the_stream_that_reads_it),
    ("a_frame_is_looked_at_when_it_is_whole", a_frame_is_looked_at_when_it_is_whole),
];

/// A producer that is faster than its stream, and a consumer that looks.
#[test]
fn a_frame_is_looked_at_when_it_is_whole() {
    check(2, || {
        let link = Link::new(1);
        let stream = link.start(0);
        let looker = {
            let link = link.clone();
            thread::spawn(move || {
                let seen = look(&link, LOOKER, 0, Part::Device).unwrap_or(0);
                look(&link, LOOKER, seen, Part::Device);
            })
        };
        let mut producer = Producer::new(&link);
        for _ in 0..3 {
            producer.send(To::Stream(0));
        }
        link.streams[0].put(&[Work::End]);
        looker.join().unwrap();
        stream.join().unwrap();
    });
}

/// Two streams of one producer, the first of which is late: the second writes the same slot after it.
#[test]
fn a_slot_is_written_after_its_last_write() {
    check(2, || {
        let link = Link::new(2);
        let streams = [link.start(0), link.start(1)];
        let mut producer = Producer::new(&link);
        for stream in [0, 1, 1] {
            producer.send(To::Stream(stream));
        }
        look(&link, LOOKER, 0, Part::Device);
        link.streams.iter().for_each(|stream| stream.put(&[Work::End]));
        streams.into_iter().for_each(|stream| stream.join().unwrap());
    });
}

/// The borrower of an abandoned claim has put writes into its stream all the same.
#[test]
fn an_abandoned_claim_is_written_after() {
    check(2, || {
        let link = Link::new(2);
        let mut producer = Producer::new(&link);
        producer.send(To::Now);
        let streams = [link.start(0), link.start(1)];
        let claimed = producer.claim().unwrap();
        producer.abandon(claimed, To::Stream(0), None);
        producer.send(To::Stream(1));
        look(&link, LOOKER, 0, Part::Device);
        link.streams.iter().for_each(|stream| stream.put(&[Work::End]));
        streams.into_iter().for_each(|stream| stream.join().unwrap());
    });
}

/// A consumer whose stream reads for long after its processor has given the frame back.
#[test]
fn a_slot_is_written_after_the_stream_that_reads_it() {
    check(2, || {
        let link = Link::new(2);
        let mut producer = Producer::new(&link);
        producer.send(To::Now);
        let streams = [link.start(0), link.start(1)];
        let reader = {
            let link = link.clone();
            thread::spawn(move || {
                read(&link, 1, 0, By::Look);
                link.streams[1].put(&[Work::End]);
            })
        };
        for _ in 0..2 {
            producer.send(To::Stream(0));
        }
        link.streams[0].put(&[Work::End]);
        reader.join().unwrap();
        streams.into_iter().for_each(|stream| stream.join().unwrap());
    });
}

/// One frame, leased twice, read by a stream each. Either may be the late one: that is why there are tickets.
#[test]
fn a_frame_read_by_two_streams_is_kept_for_both() {
    check(2, || {
        let link = Link::new(3);
        let mut producer = Producer::new(&link);
        producer.send(To::Now);
        let streams = [0, 1, 2].map(|stream| link.start(stream));
        for stream in [1, 2] {
            read(&link, stream, 0, By::Look).unwrap();
        }
        for _ in 0..2 {
            producer.send(To::Stream(0));
        }
        link.streams.iter().for_each(|stream| stream.put(&[Work::End]));
        streams.into_iter().for_each(|stream| stream.join().unwrap());
    });
}

/// A consumer that does not look: its stream waits for the frame, whose slot is written again afterwards.
#[test]
fn a_stream_reads_when_the_frame_is_whole() {
    check(2, || {
        let link = Link::new(2);
        let streams = [link.start(0), link.start(1)];
        let mut producer = Producer::new(&link);
        producer.send(To::Stream(0));
        read(&link, 1, 0, By::Wait).unwrap();
        for _ in 0..2 {
            producer.send(To::Stream(0));
        }
        link.streams.iter().for_each(|stream| stream.put(&[Work::End]));
        streams.into_iter().for_each(|stream| stream.join().unwrap());
    });
}

/// A consumer is killed that has given a frame back and owes the ticket; its stream stops wherever it is.
#[test]
fn a_dead_readers_tickets_are_written() {
    check(2, || {
        let link = Link::with(2, &[1]);
        let mut producer = Producer::new(&link);
        producer.send(To::Now);
        let (writing, reading) = (link.start(0), link.start(1));
        read(&link, 1, 0, By::Look).unwrap();
        let reaper = {
            let link = link.clone();
            thread::spawn(move || {
                link.streams[1].kill();
                if step("dead is whose work has stopped") {
                    reading.join().unwrap();
                }
                unseat(&link);
            })
        };
        for _ in 0..2 {
            producer.send(To::Stream(0));
        }
        link.streams[0].put(&[Work::End]);
        reaper.join().unwrap();
        writing.join().unwrap();
    });
}

/// A consumer died with two tickets owed, and the write of the first comes when they have been forced: `done` goes
/// back. `looks_again` says whether somebody forces it once more.
fn a_late_ticket_comes(looks_again: bool) {
    check(2, move || {
        let link = Link::new(1);
        let mut producer = Producer::new(&link);
        producer.send(To::Now);
        let hold = ring::hold_latest(&link.ring, READER, 0).unwrap();
        let tickets = [0, 1].map(|_| take_ticket(&*link, hold.slot, READER));
        let stream = link.start(0);
        let late = {
            let link = link.clone();
            thread::spawn(move || link.write(tickets[0].point))
        };
        let reaper = {
            let link = link.clone();
            thread::spawn(move || {
                unseat(&link);
                late.join().unwrap();
                if looks_again {
                    force_done(&*link, READER);
                }
            })
        };
        for _ in 0..2 {
            producer.send(To::Stream(0));
        }
        link.streams[0].put(&[Work::End]);
        reaper.join().unwrap();
        stream.join().unwrap();
    });
}

#[test]
fn a_late_ticket_of_a_dead_reader_stops_nobody() {
    a_late_ticket_comes(true);
}

/// Negative model: what is forced once and never again.
#[test]
#[should_panic(expected = "deadlock")]
fn a_late_ticket_that_nobody_looks_for_stops_the_producers_stream() {
    a_late_ticket_comes(false);
}

/// The producer is killed while its stream writes. One consumer learns of it and ends what its own streams wait for;
/// another one, which knows nothing yet, looks.
#[test]
fn a_torn_frame_of_a_dead_producer_is_given_to_nobody() {
    check(2, || {
        let link = Link::with(1, &[0]);
        let writing = link.start(0);
        let mut producer = Producer::new(&link);
        producer.send(To::Stream(0));
        let looker = {
            let link = link.clone();
            thread::spawn(move || look(&link, LOOKER, 0, Part::Device))
        };
        link.streams[0].kill();
        writing.join().unwrap();
        force_ready(&*link);
        look(&link, READER, 0, Part::Device);
        looker.join().unwrap();
        assert!(is_there(&*link, 0, Part::Device), "somebody would wait for ever");
    });
}

/// The same of the mirror, also where the frame on the device is whole.
#[test]
fn a_torn_mirror_of_a_dead_producer_is_given_to_nobody() {
    check(2, || {
        let link = Link::with(2, &[1]);
        let mirroring = link.start(1);
        let mut producer = Producer::new(&link);
        producer.mirror = Some(1);
        producer.send(To::Now);
        let looker = {
            let link = link.clone();
            thread::spawn(move || look(&link, LOOKER, 0, Part::Mirror))
        };
        link.streams[1].kill();
        mirroring.join().unwrap();
        force_ready(&*link);
        assert_eq!(look(&link, READER, 0, Part::Device), Some(1), "the frame on the device is whole");
        looker.join().unwrap();
        assert!(is_there(&*link, 0, Part::Mirror), "somebody would wait for ever");
    });
}

/// Negative model: each reader notes for itself what was not there when it learned of the death, and forces words to
/// what was promised. One that has not learned of it yet takes what another has forced for a frame.
#[test]
#[should_panic(expected = "a torn frame")]
fn a_note_of_ones_own_gives_a_torn_frame_out() {
    check(2, || {
        let link = Link::with(1, &[0]);
        let writing = link.start(0);
        let mut producer = Producer::new(&link);
        producer.send(To::Stream(0));
        link.streams[0].kill();
        writing.join().unwrap();
        force(link.ready(0), 1, 1);
        look(&link, LOOKER, 0, Part::Device);
    });
}

/// A stream waits for a frame whose producer is killed: it goes on, and whoever asks then is told what it has read.
#[test]
fn a_stream_that_waits_for_the_dead_goes_on_and_tells() {
    check(2, || {
        let link = Link::with(2, &[0]);
        let (writing, reading) = (link.start(0), link.start(1));
        let mut producer = Producer::new(&link);
        producer.send(To::Stream(0));
        let hold = ring::hold_latest(&link.ring, READER, 0).unwrap();
        let point = being_there(&*link, hold.slot);
        link.streams[1].put(&[Work::Wait(point), Work::Note(hold.slot), Work::End]);
        link.streams[0].kill();
        if step("dead is whose work has stopped") {
            writing.join().unwrap();
        }
        if step("what the dead owed is written") {
            force_ready(&*link);
        }
        reading.join().unwrap();
        let is_whole = Model::read(&link.streams[1].noted) == 1;
        assert!(is_whole || is_torn(&*link, hold.slot, Part::Device), "a torn frame, and nobody says so");
    });
}

/// A mirror is copied by a stream of its own, later than the frame is there; a consumer looks at it.
fn a_mirror_is_looked_at(begins_early: bool) {
    check(2, move || {
        let link = Link::new(2);
        let mut producer = Producer::new(&link);
        producer.mirror = Some(1);
        producer.begins_early = begins_early;
        let streams = [link.start(0), link.start(1)];
        producer.send(To::Stream(0));
        look(&link, LOOKER, 0, Part::Mirror);
        for _ in 0..2 {
            producer.send(To::Stream(0));
        }
        look(&link, LOOKER, 0, Part::Mirror);
        link.streams.iter().for_each(|stream| stream.put(&[Work::End]));
        streams.into_iter().for_each(|stream| stream.join().unwrap());
        let head = if begins_early { 3 } else { 0 };
        assert_eq!(link.content(0, Part::Mirror), [head, 3], "the mirror of a torn frame");
    });
}

#[test]
fn a_mirror_is_whole_and_made_of_one_frame() {
    a_mirror_is_looked_at(false);
}

#[test]
fn a_mirror_that_begins_early_is_whole_and_made_of_one_frame() {
    a_mirror_is_looked_at(true);
}

/// A claim is abandoned while the mirror of the frame before is being made.
fn an_abandoned_mirror(by_the_stream_of_mirrors: bool) {
    check(2, move || {
        let link = Link::new(2);
        let mut producer = Producer::new(&link);
        producer.mirror = Some(1);
        let streams = [link.start(0), link.start(1)];
        for _ in 0..2 {
            producer.send(To::Stream(0));
        }
        let claimed = producer.claim().unwrap();
        let (promise, mirrors) = (claimed.promise, by_the_stream_of_mirrors.then_some(1));
        producer.abandon(claimed, To::Stream(0), mirrors);
        link.streams.iter().for_each(|stream| stream.put(&[Work::End]));
        streams.into_iter().for_each(|stream| stream.join().unwrap());
        let is_kept = is_at_least(&*link, 0, Part::Mirror, promise.mirrored.value);
        assert!(is_kept, "memory that is never let go");
    });
}

#[test]
fn an_abandoned_mirror_is_marked_by_the_stream_of_mirrors() {
    an_abandoned_mirror(true);
}

/// Negative model: the claim's own stream marks it, and the mirroring before takes that back.
#[test]
#[should_panic(expected = "memory that is never let go")]
fn an_abandoned_mirror_that_another_stream_marks_is_never_there() {
    an_abandoned_mirror(false);
}

/// A slot is mirrored by a stream after another one has: those of two epochs.
fn another_stream_mirrors(waits: bool) {
    check(2, move || {
        let link = Link::new(3);
        let mut producer = Producer::new(&link);
        let streams = [0, 1, 2].map(|stream| link.start(stream));
        for _ in 0..2 {
            producer.send(To::Stream(0));
        }
        let [ready, mirrored] = [device::READY, device::MIRRORED].map(|field| point(0, field, 1));
        link.streams[1].put(&[Work::Wait(ready), Work::Write(mirrored)]);
        producer.mirror = Some(2);
        if waits {
            producer.send_after_mirroring(To::Stream(0));
        } else {
            producer.send(To::Stream(0));
        }
        link.streams.iter().for_each(|stream| stream.put(&[Work::End]));
        streams.into_iter().for_each(|stream| stream.join().unwrap());
        assert!(is_there(&*link, 0, Part::Mirror), "a mirror that is never there");
    });
}

#[test]
fn a_slot_is_mirrored_by_another_stream_after_the_one_before() {
    another_stream_mirrors(true);
}

/// Negative model: the late stream takes back what the later one has written.
#[test]
#[should_panic(expected = "a mirror that is never there")]
fn a_slot_that_another_stream_mirrors_without_a_wait_is_never_there() {
    another_stream_mirrors(false);
}

/// Negative model: a mirror that is made of the source, beside the copy into the slot. Whoever rendered the source has
/// put its copy into the same stream, and renders into it again.
#[test]
#[should_panic(expected = "Causality violation")]
fn a_mirror_that_is_made_of_the_source_tears() {
    check(2, || {
        let link = Link::new(2);
        let streams = [link.start(0), link.start(1)];
        let promised = promise(&*link, 0, 1);
        let (copied, mirrored) = (Work::Write(promised.ready), Work::Write(promised.mirrored));
        link.streams[0].put(&[Work::Render(1), Work::Write(event(1)), Work::Copy(0), copied]);
        link.streams[1].put(&[Work::Wait(event(1)), Work::MirrorSource(0), mirrored, Work::End]);
        link.streams[0].put(&[Work::Render(2), Work::End]);
        streams.into_iter().for_each(|stream| stream.join().unwrap());
    });
}

/// A claim is abandoned whose stream takes no work any more, so that its promise is kept by hand: at once, or when the
/// stream has done what it has.
fn a_promise_is_kept_by_hand(when_idle: bool) {
    check(2, move || {
        let link = Link::new(2);
        let mut producer = Producer::new(&link);
        let streams = [link.start(0), link.start(1)];
        producer.send(To::Stream(0));
        producer.send(To::Now);
        let claimed = producer.claim().unwrap();
        let [first, second] = streams;
        let mut first = Some(first);
        producer.abandon_by_hand(claimed, To::Stream(0), |link| {
            link.streams[0].put(&[Work::End]);
            if when_idle {
                first.take().unwrap().join().unwrap();
            }
        });
        producer.send(To::Stream(1));
        look(&link, LOOKER, 0, Part::Device);
        link.streams[1].put(&[Work::End]);
        first.into_iter().chain([second]).for_each(|stream| stream.join().unwrap());
    });
}

#[test]
fn a_promise_that_is_kept_by_hand_is_kept_when_the_stream_is_idle() {
    a_promise_is_kept_by_hand(true);
}

/// Negative model: the stream's own writing, of content or of the word, comes after it.
#[test]
#[should_panic(expected = "Causality violation")]
fn a_promise_that_is_kept_by_hand_too_early_tears() {
    a_promise_is_kept_by_hand(false);
}

/// A producer lets frame memory go when every write that it has promised is done, whoever has said so.
#[test]
fn memory_is_let_go_when_all_promises_are_kept() {
    check(2, || {
        let link = Link::new(1);
        let stream = link.start(0);
        let letting_go = {
            let link = link.clone();
            thread::spawn(move || {
                if [0, 1].iter().all(|slot| is_at_least(&*link, *slot, Part::Device, 1)) {
                    [0, 1].iter().for_each(|slot| link.let_go(*slot));
                }
            })
        };
        let mut producer = Producer::new(&link);
        producer.send(To::Stream(0));
        let claimed = producer.claim().unwrap();
        producer.abandon_by_hand(claimed, To::Stream(0), |link| {
            link.streams[0].put(&[Work::End]);
            stream.join().unwrap();
        });
        letting_go.join().unwrap();
    });
}

/// Steps that no model needs, and why they are taken all the same.
const NOT_NEEDED: &[(&str, &str)] = &[];

#[test]
fn f27_without_any_one_order_store_or_wait_of_devices_some_model_fails() {
    let sources = [
        ("order.rs", include_str!("order.rs")),
        ("order_models.rs", include_str!("order_models.rs")),
        ("order_streams.rs", include_str!("order_streams.rs")),
    ];
    let sites = sites::each_site_is_needed(&sources, MODELS, NOT_NEEDED);
    assert!(sites > 15, "only {sites} sites");
}
