// SPDX-License-Identifier: MIT OR Apache-2.0
//! What clients say to a live producer. A bad message costs its sender the connection and nobody else anything: a
//! consumer of the product's own goes on receiving, observers are answered, no descriptor is left.
//!
//! Input: steps. Each is a byte that says what to do, and what that takes:
//!
//! | byte modulo 8 | step |
//! |---|---|
//! | 0 | the next connection (of 3) speaks from now on |
//! | 1 | counted bytes as they are, with handles |
//! | 2 | u16 kind, counted body, with handles |
//! | 3 | HELLO: u8 role, u32 read, with the true process |
//! | 4 | WATCH, with handles |
//! | 5 | the producer publishes: u8 picks the size |
//! | 6 | BYE, and hang up |
//! | 7 | hang up |
//!
//! Handles are one byte: two bits for how many, then two bits for each, from an eventfd, a pipe, memory without
//! pages, unsealed memory.

use uncopy::os::{Connection, RuntimeDir};
use uncopy::{Answer, ErrorKind, Form, Meta, Publisher, ShareHandle, Subscriber};
use uncopy_tests::footprint::Footprint;
use uncopy_tests::peer::HANGS_AFTER;
use uncopy_tests::wire::{self, kind};

use crate::input::counted;
use crate::place::{NAME, Place};
use crate::{Input, Seed, Target, handles};

/// See the [module](self).
pub const TARGET: Target = Target {
    name: "from_client",
    begin: || {
        let mut scene = Scene::new();
        Box::new(move |input| scene.run(input))
    },
    seeds,
};

const CONNECTIONS: usize = 3;
const MOST_STEPS: usize = 24;
/// Descriptors are counted again after so many inputs: it takes longer than one.
const INPUTS_PER_COUNT: usize = 64;

/// A producer, and a consumer that does nothing wrong.
struct Link {
    sub: Subscriber,
    out: Publisher,
}

struct Scene {
    link: Option<Link>,
    dir: RuntimeDir,
    place: Place,
    inputs: usize,
    before: Option<Footprint>,
}

impl Scene {
    fn new() -> Self {
        let place = Place::new();
        Self { link: None, dir: place.dir(), place, inputs: 0, before: None }
    }

    fn run(&mut self, input: &[u8]) {
        let mut link = self.link.take().unwrap_or_else(|| self.open());
        self.play(&mut link.out, Input::new(input));
        let is_whole = self.check(&mut link);
        self.inputs += 1;
        if self.inputs.is_multiple_of(INPUTS_PER_COUNT) {
            drop(link);
            self.check_nothing_is_left();
        } else if is_whole {
            self.link = Some(link);
        }
    }

    fn open(&self) -> Link {
        let mut out = self.place.publish().open().expect("the name is free");
        publish(&mut out, 0).expect("a slot is free");
        let sub = self.place.subscribe().open().expect("its producer is there");
        Link { sub, out }
    }

    fn play(&self, out: &mut Publisher, mut input: Input<'_>) {
        let mut clients: [Option<Connection>; CONNECTIONS] = Default::default();
        let mut speaker = 0;
        for _ in 0..MOST_STEPS {
            if input.is_empty() {
                break;
            }
            let step = input.number::<u8>() % 8;
            let message = match step {
                0 => {
                    speaker = (speaker + 1) % CONNECTIONS;
                    continue;
                }
                1 => input.counted().to_vec(),
                2 => {
                    let kind = input.number();
                    wire::message(kind, input.counted())
                }
                3 => {
                    let mut hello = wire::hello(input.number::<u8>().into());
                    hello[40..44].copy_from_slice(&input.number::<u32>().to_le_bytes());
                    hello
                }
                4 => wire::message(kind::WATCH, &[]),
                5 => {
                    // A link that was taken over is closed.
                    let _ = publish(out, input.number());
                    continue;
                }
                6 => {
                    if let Some(client) = clients[speaker].take() {
                        say_bye(&client);
                    }
                    continue;
                }
                _ => {
                    clients[speaker] = None;
                    continue;
                }
            };
            let handles = if step == 3 { Vec::new() } else { handles(&mut input) };
            let Some(client) = clients[speaker]
                .take()
                .or_else(|| Connection::connect(&self.dir, &format!("{NAME}.sock")).ok())
            else {
                // Nobody listens to a link that was taken over.
                continue;
            };
            let handles: Vec<&ShareHandle> = handles.iter().collect();
            // Who was hung up on can't say more.
            let _ = client.send(&message, &handles);
            clients[speaker] = Some(client);
        }
        clients.iter().flatten().for_each(say_bye);
    }

    /// Whether the link is as it was before, so that it can serve the next input.
    fn check(&self, link: &mut Link) -> bool {
        // Asked over a connection of its own, after all that was said before: the producer is still there.
        let links = uncopy::list_in(&self.dir).expect("our own directory can be read");
        match publish(&mut link.out, 0) {
            Ok(seq) => {
                let frame = link.sub.recv(HANGS_AFTER).expect("a link that nobody may break");
                assert_eq!((frame.seq(), frame.bytes()[0]), (seq, seq as u8));
                let [info] = &links[..] else { panic!("{links:?}") };
                match &info.answer {
                    // Consumers that hung up without a word stay quarantined for as long as their process lives: this
                    // one.
                    Answer::Answering => info.consumers.len() == 1,
                    // On a busy machine.
                    Answer::Silent => false,
                    Answer::Refused(why) => panic!("{why}"),
                }
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Superseded, "{error}");
                false
            }
        }
    }

    fn check_nothing_is_left(&mut self) {
        let before = self.before.get_or_insert_with(Footprint::now);
        uncopy_tests::stage::eventually("every descriptor and mapping is given back", || {
            let grown = Footprint::now().grown_since(before);
            if grown.is_empty() { Ok(()) } else { Err(format!("{grown:#?}")) }
        });
    }
}

/// Publishes one small frame, whose first byte is its number.
fn publish(out: &mut Publisher, size: u8) -> Result<u64, uncopy::LinkError> {
    let len = [64, 4096, 9000, 20_000][usize::from(size) % 4];
    let form = Form::new(uncopy::DType::U8, &[len])?;
    let seq = out.seq() + 1;
    let mut loan = out.loan(&form)?;
    loan.bytes_mut()[0] = seq as u8;
    loan.publish(Meta::default())
}

fn say_bye(client: &Connection) {
    // Who was hung up on can't say it.
    let _ = client.send(&wire::message(kind::BYE, &1u32.to_le_bytes()), &[]);
}

fn handles(input: &mut Input<'_>) -> Vec<ShareHandle> {
    let byte = input.number::<u8>();
    let make = [handles::bell, handles::pipe, handles::hollow, handles::unsealed];
    (0..byte % 4).map(|at| make[usize::from(byte >> (2 + 2 * at) & 3)]()).collect()
}

fn seeds() -> Vec<Seed> {
    let golden = |name: &str| -> Vec<u8> {
        uncopy_tests::golden::read(name).iter().map(|byte| byte.unwrap_or(0)).collect()
    };
    let raw = |name: &str, handles: u8| [&[1][..], &counted(&golden(name)), &[handles]].concat();
    let hello = |role: u8, read: u32| [&[3, role][..], &read.to_le_bytes()].concat();
    let kind = |kind: u16, body: &[u8], handles: u8| {
        [&[2][..], &kind.to_le_bytes(), &counted(body), &[handles]].concat()
    };
    let publish = |size: u8| vec![5, size];
    let watch = |handles: u8| vec![4, handles];
    let (next, bye, hang_up) = (vec![0], vec![6], vec![7]);
    let consumer = hello(1, 0);
    let whole: Vec<(&str, Vec<Vec<u8>>)> = vec![
        ("joins-and-leaves", vec![consumer.clone(), publish(0), bye.clone()]),
        ("reads-every", vec![hello(1, 1), publish(0), publish(1), bye.clone()]),
        ("observes", vec![hello(2, 0), bye.clone()]),
        (
            "an-epoch",
            vec![consumer.clone(), publish(3), kind(kind::EPOCH_TAKEN, &2u32.to_le_bytes(), 0), publish(0)],
        ),
        (
            "asks-again",
            vec![
                consumer.clone(),
                publish(3),
                kind(kind::EPOCH_TAKEN, &[0; 4], 0),
                kind(kind::EPOCH_TAKEN, &[0; 4], 0),
            ],
        ),
        ("a-bell", vec![consumer.clone(), watch(0b0001), publish(0)]),
        ("a-pipe-for-a-bell", vec![consumer.clone(), watch(0b0101)]),
        ("no-bell", vec![consumer.clone(), watch(0)]),
        ("a-bell-without-a-place", vec![watch(0b0001)]),
        ("greets-twice", vec![consumer.clone(), consumer.clone()]),
        ("quarantined", vec![consumer.clone(), hang_up.clone(), publish(0)]),
        ("says-bye-and-stays", vec![consumer.clone(), kind(kind::BYE, &[1, 0, 0, 0], 0), hello(1, 0)]),
        ("takes-over", vec![kind(kind::TAKE_OVER, &[1, 0, 0, 0], 0), publish(0)]),
        ("takes-over-and-is-gone", vec![kind(kind::TAKE_OVER, &[1, 0, 0, 0], 0), hang_up]),
        ("three-at-once", vec![consumer.clone(), next.clone(), hello(1, 1), next, hello(2, 0), publish(2)]),
        (
            "handles-that-nobody-wants",
            vec![raw("hello-observer", 0b1110_0111), kind(kind::BYE, &[1, 0, 0, 0], 0b1111_1111)],
        ),
        ("a-producers-welcome", vec![raw("welcome", 0b0010)]),
        ("a-producers-epoch", vec![consumer, raw("epoch", 0b1001)]),
        ("golden-hello", vec![raw("hello-consumer", 0)]),
        ("golden-watch", vec![raw("watch", 1)]),
    ];
    whole.into_iter().map(|(name, steps)| (name.into(), steps.concat())).collect()
}
