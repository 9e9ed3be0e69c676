// SPDX-License-Identifier: MIT OR Apache-2.0
//! The control memory of a live link, scribbled over while a producer, two consumers and an observer use it. Nobody
//! panics or reads beyond its mappings, and whatever a consumer is given lies in the frame memory. (The link itself
//! may be lost: a peer with a bug can do that.)
//!
//! Input: u8 bits of how (bit 0: from a thread of its own, all the time; bit 1: the producer blocks, for a
//! millisecond at most; bit 2: the first consumer uses an event loop), u8 slots, then scribbles: u8 kind of value,
//! u16 word, u64 value. Without the thread, one scribble comes between two calls, so that a run can be repeated
//! exactly.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use uncopy::os::{RuntimeDir, Words};
use uncopy::{DType, Form, Frame, LinkError, Meta, Publisher, Read, Subscriber, WhenFull};
use uncopy_tests::wire::{Guest, HEADER_BYTES, OBSERVER};

use crate::place::{NAME, Place};
use crate::{Input, Seed, Target};

/// See the [module](self).
pub const TARGET: Target = Target {
    name: "control_page",
    begin: || {
        let place = Place::new();
        let dir = place.dir();
        Box::new(move |input| run(&place, &dir, input))
    },
    seeds,
};

const THREADED: u8 = 1;
const BLOCKS: u8 = 2;
const IN_LOOP: u8 = 4;
const MOST_SCRIBBLES: usize = 64;
/// Rounds of calls; a scribbler on a thread of its own has all of them to meet one.
const ROUNDS: usize = 6;
const PATIENCE: Duration = Duration::from_millis(1);

/// One word to write.
#[derive(Clone, Copy, Debug)]
struct Scribble {
    kind: u8,
    word: u16,
    value: u64,
}

impl Scribble {
    /// What was there with one bit changed gets furthest past a check.
    fn apply(self, words: &Words) {
        let at = usize::from(self.word) * 8 % words.len_bytes();
        let word = words.u64_at(at).expect("inside the control memory");
        match self.kind % 5 {
            0 => word.store(0, Relaxed),
            1 => word.store(u64::MAX, Relaxed),
            2 => word.store(self.value, Relaxed),
            3 => drop(word.fetch_xor(1 << (self.value % 64), Relaxed)),
            _ => drop(word.fetch_add(self.value, Relaxed)),
        }
    }
}

fn run(place: &Place, dir: &RuntimeDir, input: &[u8]) {
    let mut input = Input::new(input);
    let (how, slots) = (input.number::<u8>(), 2 + usize::from(input.number::<u8>()) % 7);
    let mut scribbles = Vec::new();
    while !input.is_empty() && scribbles.len() < MOST_SCRIBBLES {
        scribbles.push(Scribble { kind: input.number(), word: input.number(), value: input.number() });
    }
    let policy = if how & BLOCKS == 0 { WhenFull::Drop } else { WhenFull::Block(Some(PATIENCE)) };
    let mut out = place.publish().slots(slots).when_full(policy).open().expect("the name is free");
    publish(&mut out, 0).expect("a slot is free");
    let mut link = Link {
        latest: place.subscribe().open().expect("its producer is there"),
        every: place.subscribe().read(Read::Every).open().expect("its producer is there"),
        out,
        in_loop: how & IN_LOOP != 0,
        held: None,
    };
    let guest = Guest::join(dir, NAME, OBSERVER);
    if how & THREADED == 0 {
        let mut left = scribbles.iter();
        link.use_it(dir, || {
            if let Some(scribble) = left.next() {
                scribble.apply(guest.control.words());
            }
        });
    } else {
        let done = AtomicBool::new(false);
        std::thread::scope(|threads| {
            threads.spawn(|| {
                while !done.load(Relaxed) {
                    scribbles.iter().for_each(|scribble| scribble.apply(guest.control.words()));
                }
            });
            link.use_it(dir, || {});
            done.store(true, Relaxed);
        });
    }
    // Joining a link whose words are nonsense.
    drop(place.subscribe().timeout(Some(Duration::ZERO)).open().map(|mut sub| sub.newest().map(drop)));
}

/// Both sides of one link, in one process.
struct Link {
    latest: Subscriber,
    every: Subscriber,
    out: Publisher,
    in_loop: bool,
    held: Option<Frame>,
}

impl Link {
    /// Every call that looks at the control memory, `between` any two of them.
    fn use_it(&mut self, dir: &RuntimeDir, mut between: impl FnMut()) {
        for round in 0..ROUNDS {
            between();
            check(publish(&mut self.out, round));
            between();
            let received = if self.in_loop {
                self.latest.events().map(drop).and_then(|()| self.latest.poll_recv())
            } else {
                self.latest.newest()
            };
            // Held until the next round, so that there is something to release under the scribbler.
            self.held = check(received).flatten().inspect(look);
            between();
            check(self.every.recv(Duration::ZERO)).iter().for_each(look);
            between();
            check(self.latest.recv(Duration::ZERO)).iter().for_each(look);
            between();
            check(self.every.newest()).flatten().iter().for_each(look);
            self.out.waker().wake();
            self.latest.waker().wake();
        }
        let _ = (self.out.stats(), self.latest.stats(), self.every.stats());
        for info in uncopy::list_in(dir).expect("our own directory can be read") {
            assert!(info.consumers.len() <= 16 && !format!("{info:?}").is_empty());
        }
    }
}

fn publish(out: &mut Publisher, size: usize) -> Result<u64, LinkError> {
    let form = Form::new(DType::U8, &[[64, 5000, 64, 9000][size % 4]])?;
    let mut loan = out.loan(&form)?;
    loan.bytes_mut().fill(7);
    loan.publish(Meta::default().raw(*b"meta"))
}

/// Whatever a refusal is about, it says so in one line.
fn check<T>(result: Result<T, LinkError>) -> Option<T> {
    if let Err(error) = &result {
        let shown = error.to_string();
        assert!(!shown.is_empty() && shown.len() < 4000, "{shown}");
    }
    result.ok()
}

/// Reads everything of a frame: what is not mapped ends the process.
fn look(frame: &Frame) {
    let bytes = frame.bytes();
    assert!(bytes.len() <= 1 << 20, "{frame:?}");
    // Other frames of this link may shine through, other memory may not.
    assert!(bytes.iter().all(|byte| matches!(byte, 0 | 7)), "{frame:?}");
    assert!(frame.meta().bytes.len() <= 4096 && frame.copies().len() <= 8);
    let _ = (frame.captured(), frame.age(), frame.missed());
    assert!(frame.tensor().is_ok() && !format!("{frame:?}").is_empty());
}

fn seeds() -> Vec<Seed> {
    let scribble = |kind: u8, at: usize, value: u64| {
        [&[kind][..], &(at as u16 / 8).to_le_bytes(), &value.to_le_bytes()].concat()
    };
    // Where each part of the memory begins, and a few words of each.
    let parts: &[(&str, usize)] = &[
        ("header", 0),
        ("latest", HEADER_BYTES),
        ("sleepers", 384),
        ("state", 512),
        ("stride", 528),
        ("room", 640),
        ("trail", 1024),
        ("places", 2048),
        ("cursors", 2048 + 80),
        ("blocks", 4096),
        ("second-block", 4096 + 384),
        ("metadata", 8192),
    ];
    let mut seeds = Vec::new();
    for (name, at) in parts {
        for (kind, value) in [(0, 0), (1, 0), (3, 1), (4, 1 << 12)] {
            let scribbles: Vec<u8> =
                (0..16).flat_map(|index| scribble(kind, at + index % 8 * 8, value + index as u64)).collect();
            let how = if kind == 3 { THREADED } else { u8::from(kind == 4) * (BLOCKS | IN_LOOP) };
            seeds.push((format!("{name}-{kind}"), [&[how, 2][..], &scribbles].concat()));
        }
    }
    let evicted = [&[0, 2][..], &scribble(2, 2048, 3), &scribble(2, 2048 + 128, 3)].concat();
    seeds.push(("evicted".into(), evicted));
    seeds.push(("nothing".into(), vec![IN_LOOP, 2]));
    seeds.push(("nothing-blocking".into(), vec![BLOCKS, 0]));
    seeds
}
