// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a producer says to a live consumer: its answer, what it says later, and the memory that it sends. The
//! consumer refuses it or stays inside what was sent; either way it gives everything back.
//!
//! Input: u8 bits of how it reads (bit 0: every frame, bit 1: from an event loop), u8 pages that are patched, and for
//! each u16 offset and u64 value; then the messages. Each is a byte that says what, what that takes, and a byte of
//! handles:
//!
//! | byte modulo 6 | message |
//! |---|---|
//! | 0 | a right WELCOME |
//! | 1 | WELCOME: u32 place, u32 slots, u64 control length, u64 stride, u64 frame memory length, u32 epoch |
//! | 2 | EPOCH: u32 epoch, u64 stride, u64 frame memory length |
//! | 3 | u16 kind, counted body |
//! | 4 | counted bytes as they are |
//! | 5 | a description in slot 1: u8 axes, u32 epoch, 2 lengths and strides of 64 bits, u64 named bytes |
//!
//! Handles: two bits for how many, then three for each of two, from control memory, frame memory, memory without
//! pages, unsealed memory, an eventfd, a pipe.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use uncopy::{LinkError, Read, ShareHandle, Subscriber};
use uncopy_tests::footprint::Footprint;
use uncopy_tests::hostile::{Props, SLOTS, STRIDE, Server};
use uncopy_tests::wire::{self, Description, Welcome, kind};

use crate::input::counted;
use crate::place::{NAME, Place};
use crate::{Input, Seed, Target, handles};

/// See the [module](self).
pub const TARGET: Target = Target {
    name: "from_producer",
    begin: || {
        let mut scene = Scene::new();
        Box::new(move |input| scene.run(input))
    },
    seeds,
};

const MOST_MESSAGES: usize = 12;
const INPUTS_PER_COUNT: usize = 64;

/// Messages, each with what is sent along.
type Script = Vec<(Vec<u8>, Vec<ShareHandle>)>;

/// What the producer says when it is greeted, and whether it has.
#[derive(Default)]
struct Lines {
    script: Mutex<(Script, bool)>,
    said: Condvar,
}

struct Scene {
    lines: Arc<Lines>,
    _server: Server,
    place: Place,
    inputs: usize,
    before: Option<Footprint>,
}

impl Scene {
    fn new() -> Self {
        let place = Place::new();
        let lines: Arc<Lines> = Arc::default();
        let spoken = Arc::clone(&lines);
        let server = Server::start(&place.dir(), NAME, move |guest, message| {
            if message.get(4..6) != Some(&kind::HELLO.to_le_bytes()) {
                return;
            }
            let mut script = spoken.script.lock().unwrap_or_else(PoisonError::into_inner);
            for (message, handles) in std::mem::take(&mut script.0) {
                let handles: Vec<&ShareHandle> = handles.iter().collect();
                // A consumer that has hung up hears no more.
                let _ = guest.send(&message, &handles);
            }
            script.1 = true;
            spoken.said.notify_all();
        });
        Self { lines, _server: server, place, inputs: 0, before: None }
    }

    fn run(&mut self, input: &[u8]) {
        let mut input = Input::new(input);
        let how = input.number::<u8>();
        let props = Props::new(NAME);
        wire::publish(props.control.words(), 0, &Description::of_bytes(&[64, 64]));
        patch(&mut input, &props);
        let script = script(&mut input, &props);
        *self.lines.script.lock().unwrap_or_else(PoisonError::into_inner) = (script, false);
        let read = if how & 1 == 0 { Read::Latest } else { Read::Every };
        let mut sub = self.place.subscribe().read(read).start().expect("our own directory");
        look(&mut sub, how & 2 != 0, &props);
        self.wait_until_said();
        // Joins, settles, reads what came later, and reads frames.
        for _ in 0..4 {
            look(&mut sub, how & 2 != 0, &props);
        }
        drop((sub, props));
        self.inputs += 1;
        if self.inputs.is_multiple_of(INPUTS_PER_COUNT) {
            self.check_nothing_is_left();
        }
    }

    fn wait_until_said(&self) {
        let script = self.lines.script.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.lines.said.wait_while(script, |script| !script.1).unwrap_or_else(PoisonError::into_inner));
    }

    fn check_nothing_is_left(&mut self) {
        let before = self.before.get_or_insert_with(Footprint::now);
        uncopy_tests::stage::eventually("every descriptor and mapping is given back", || {
            let grown = Footprint::now().grown_since(before);
            if grown.is_empty() { Ok(()) } else { Err(format!("{grown:#?}")) }
        });
    }
}

/// Changes words of the control memory before anybody reads them.
fn patch(input: &mut Input<'_>, props: &Props) {
    for _ in 0..input.number::<u8>() % 16 {
        let (at, value) = (input.number::<u16>(), input.number::<u64>());
        let words = props.control.words();
        let at = usize::from(at) * 8 % words.len_bytes();
        wire::store_u64(words, at, value);
    }
}

fn script(input: &mut Input<'_>, props: &Props) -> Script {
    let mut script = Vec::new();
    for _ in 0..MOST_MESSAGES {
        if input.is_empty() {
            break;
        }
        let message = match input.number::<u8>() % 6 {
            0 => props.welcome.encode(),
            1 => welcome(input).encode(),
            2 => {
                let epoch = input.number();
                let [stride, len] = input.number();
                wire::message(kind::EPOCH, &wire::epoch_of_host_memory(epoch, stride, len))
            }
            3 => {
                let kind = input.number();
                wire::message(kind, input.counted())
            }
            4 => input.counted().to_vec(),
            _ => {
                wire::publish(props.control.words(), 1, &description(input));
                continue;
            }
        };
        script.push((message, handles(input, props)));
    }
    script
}

fn welcome(input: &mut Input<'_>) -> Welcome {
    Welcome {
        place: input.number(),
        slots: input.number(),
        control_len: input.number(),
        stride: input.number(),
        frames_len: input.number(),
        epoch: input.number(),
    }
}

fn description(input: &mut Input<'_>) -> Description {
    let mut description =
        Description { ndim: input.number(), epoch: input.number(), ..Description::of_bytes(&[]) };
    for axis in &mut description.dims[..2] {
        *axis = (input.number(), input.number());
    }
    Description { len_bytes: input.number(), seq: 2, form_number: 2, ..description }
}

fn handles(input: &mut Input<'_>, props: &Props) -> Vec<ShareHandle> {
    let byte = input.number::<u8>();
    let handle = |what: u8| {
        let [control, frames] = props.handles();
        match what {
            0 => control,
            1 => frames,
            2 => handles::hollow(),
            3 => handles::unsealed(),
            4 => handles::bell(),
            _ => handles::pipe(),
        }
    };
    (0..(byte & 3).min(2)).map(|at| handle(byte >> (2 + 3 * at) & 7)).collect()
}

/// One call of a consumer. What it gives lies in a slot; what it refuses it names.
fn look(sub: &mut Subscriber, in_loop: bool, props: &Props) {
    let seen = if in_loop { sub.events().map(drop).and_then(|()| sub.poll_recv()) } else { sub.newest() };
    match seen {
        Ok(None) => {}
        Ok(Some(frame)) => {
            let bytes = frame.bytes();
            assert!(bytes.len() <= props.frames.len_bytes(), "{frame:?}");
            // Reads each byte: what is not mapped ends the process.
            assert_eq!(bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>(), 0, "frames are zeros here");
            let _ = (frame.copies().len(), frame.meta().bytes.len(), frame.captured(), frame.age());
            assert!(frame.tensor().is_ok());
        }
        Err(error) => check_error(&error),
    }
}

fn check_error(error: &LinkError) {
    let shown = error.to_string();
    assert!(!shown.is_empty() && shown.len() < 4000, "{shown}");
}

fn seeds() -> Vec<Seed> {
    let start = |how: u8| vec![how, 0];
    let control_and_frames: u8 = 2 | 1 << 5;
    let welcome = vec![0, control_and_frames];
    let saying = |change: fn(&mut Welcome)| {
        let mut welcome = Welcome {
            place: 0,
            slots: SLOTS as u32,
            control_len: wire::control_len(SLOTS) as u64,
            stride: STRIDE as u64,
            frames_len: (SLOTS * STRIDE) as u64,
            epoch: 1,
        };
        change(&mut welcome);
        let mut bytes = vec![1];
        bytes.extend([welcome.place, welcome.slots].map(u32::to_le_bytes).concat());
        bytes
            .extend([welcome.control_len, welcome.stride, welcome.frames_len].map(u64::to_le_bytes).concat());
        bytes.extend(welcome.epoch.to_le_bytes());
        bytes.push(control_and_frames);
        bytes
    };
    let epoch = |number: u32, stride: u64, len: u64, handles: u8| {
        [&[2][..], &number.to_le_bytes(), &stride.to_le_bytes(), &len.to_le_bytes(), &[handles]].concat()
    };
    let (stride, len) = (STRIDE as u64, (SLOTS * STRIDE) as u64);
    let kind = |kind: u16, body: &[u8]| [&[3][..], &kind.to_le_bytes(), &counted(body), &[0]].concat();
    let describe = |ndim: u8, epoch: u32, dims: [(u64, i64); 2], named: u64| {
        let mut bytes = vec![5, ndim];
        bytes.extend(epoch.to_le_bytes());
        for (len, stride) in dims {
            bytes.extend(len.to_le_bytes());
            bytes.extend(stride.to_le_bytes());
        }
        bytes.extend(named.to_le_bytes());
        bytes
    };
    let patched = |how: u8, at: u16, value: u64| {
        [&[how, 1][..], &(at / 8).to_le_bytes(), &value.to_le_bytes()].concat()
    };
    let frames_alone = 1 | 1 << 2;
    let cases: Vec<(&str, Vec<Vec<u8>>)> = vec![
        ("right", vec![start(0), welcome.clone()]),
        ("right-every", vec![start(1), welcome.clone()]),
        ("right-in-a-loop", vec![start(2), welcome.clone()]),
        ("memory-the-other-way-round", vec![start(0), vec![0, 2 | 1 << 2]]),
        ("no-memory", vec![start(0), vec![0, 0]]),
        ("hollow-frames", vec![start(0), vec![0, 2 | 2 << 5]]),
        ("unsealed-control", vec![start(0), vec![0, 2 | 3 << 2 | 1 << 5]]),
        ("a-bell-for-memory", vec![start(0), vec![0, 2 | 4 << 2 | 4 << 5]]),
        ("huge-control", vec![start(0), saying(|w| w.control_len = u64::MAX)]),
        ("huge-stride", vec![start(0), saying(|w| w.stride = u64::MAX - 4095)]),
        ("no-stride", vec![start(0), saying(|w| w.stride = 0)]),
        ("more-slots", vec![start(0), saying(|w| w.slots = 5)]),
        ("place-16", vec![start(0), saying(|w| w.place = 16)]),
        ("no-frame-yet", vec![start(0), saying(|w| w.epoch = 0)]),
        (
            "next-epoch",
            vec![
                start(0),
                welcome.clone(),
                epoch(2, stride, len, frames_alone),
                describe(2, 2, [(8, 8), (8, 1)], 64),
            ],
        ),
        (
            "epoch-without-memory",
            vec![start(0), welcome.clone(), epoch(2, stride, len, 0), describe(2, 2, [(8, 8), (8, 1)], 64)],
        ),
        (
            "epoch-of-hollow-memory",
            vec![
                start(0),
                welcome.clone(),
                epoch(2, 1 << 28, 1 << 30, 1 | 2 << 2),
                describe(1, 2, [(8, 1), (0, 0)], 8),
            ],
        ),
        (
            "many-epochs",
            vec![
                start(0),
                welcome.clone(),
                epoch(2, stride, len, frames_alone),
                epoch(3, stride, len, frames_alone),
                epoch(4, stride, len, frames_alone),
                describe(1, 4, [(8, 1), (0, 0)], 8),
            ],
        ),
        (
            "an-older-epoch",
            vec![
                start(0),
                welcome.clone(),
                epoch(u32::MAX, stride, len, frames_alone),
                describe(1, u32::MAX, [(8, 1), (0, 0)], 8),
            ],
        ),
        (
            "a-frame-beyond-its-slot",
            vec![start(0), welcome.clone(), describe(1, 1, [(9000, 1), (0, 0)], 9000)],
        ),
        ("a-backward-frame", vec![start(0), welcome.clone(), describe(1, 1, [(8, -1), (0, 0)], 8)]),
        ("bye", vec![start(0), welcome.clone(), kind(kind::BYE, &[1, 0, 0, 0])]),
        ("bye-at-once", vec![start(0), kind(kind::BYE, &[1, 0, 0, 0])]),
        ("refused", vec![start(0), kind(kind::REFUSE, &[&[4, 0, 0, 0, 5, 0, 0, 0][..], b"never"].concat())]),
        (
            "a-newer-message",
            vec![start(0), [&[4][..], &counted(&wire::newer_message()), &[0]].concat(), welcome.clone()],
        ),
        ("nonsense", vec![start(0), [&[4][..], &counted(b"nonsense"), &[0]].concat()]),
        ("nonsense-later", vec![start(2), welcome.clone(), [&[4][..], &counted(&[0xFF; 40]), &[0]].concat()]),
        ("two-welcomes", vec![start(0), welcome.clone(), welcome.clone()]),
        ("a-clients-hello", vec![start(0), kind(kind::HELLO, &[1; 32])]),
        ("a-bad-header", vec![patched(0, 96, u64::MAX), welcome.clone()]),
        ("held-by-nobody", vec![patched(0, 4096, 1 << 36 | 2 << 32 | 1), welcome.clone()]),
        ("evicted", vec![patched(0, 2048, 3), welcome.clone()]),
        ("every-from-the-highest-number", vec![patched(1, 256, u64::MAX), welcome]),
    ];
    cases.into_iter().map(|(name, parts)| (name.into(), parts.concat())).collect()
}
