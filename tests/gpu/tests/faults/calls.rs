// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every call of the driver fails, or ends its process, in turn: once in the producer, once in a reader.
//!
//! One pair of processes passes a few frames with the stand-in's log on, which says what calls there are. Then a fresh
//! pair does so once for each of them, with that call failing. No end of it may hang or panic, no frame that is given
//! out may be wrong, and the other side passes frames with a new partner afterwards.
//!
//! A run in all detail takes minutes: `UNCOPY_TEST_ALL_CALLS=1` has every call fail, with every code. Without it a few
//! calls of each function do, which are told by their place: the first ones set things up, the last one is of a frame.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use uncopy_tests::{Event, Peer, Stage};

use crate::standin_stage;

/// Frames, one after the other. Those of the second size begin an epoch.
const FRAMES: [&str; 6] =
    ["64x64x4 send", "64x64x4 loan", "128x128x4 send", "128x128x4 loan", "64x64x4 send", "64x64x4 loan"];
/// Pairs that run at the same time.
const AT_ONCE: usize = 3;

/// Who of a pair meets the fault.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Side {
    Producer,
    Reader,
}

/// What a call is made to answer.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Outcome {
    OutOfMemory,
    Unknown,
    /// The device is lost.
    Sticky,
    /// The process is killed.
    Kill,
}

impl Outcome {
    fn as_fault(self) -> &'static str {
        match self {
            Self::OutOfMemory => "2",
            Self::Unknown => "999",
            Self::Sticky => "700!",
            Self::Kill => "kill",
        }
    }
}

/// Where frames are read.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Place {
    Card,
    Mirror,
    /// On a second card, which reaches the first.
    Beside,
    /// On a second card, by a copy.
    Apart,
}

impl Place {
    fn settings(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Card | Self::Mirror => &[],
            Self::Beside => &[("DEVICES", "2")],
            Self::Apart => &[("DEVICES", "2"), ("PEER", "0")],
        }
    }
}

/// One pair with one fault.
struct Run<'s> {
    stage: &'s Stage,
    /// A link of its own.
    name: String,
    side: Side,
    settings: Vec<(&'static str, String)>,
    place: Place,
}

/// What came of a run.
#[derive(Default, PartialEq, Debug)]
struct Outcomes {
    /// What went wrong.
    complaints: Vec<String>,
    /// The one with the fault said so, or was killed by it. A call that tidies up may fail in silence.
    was_met: bool,
}

impl Run<'_> {
    fn peer(&self, role: &str, has_fault: bool) -> Peer {
        let mut words = vec![role, &self.name];
        match (role, self.place) {
            ("steady-produce", Place::Mirror) => words.push("--mirror"),
            ("steady-consume", Place::Mirror) => words.push("--host"),
            ("steady-consume", Place::Beside | Place::Apart) => words.extend(["--on", "1"]),
            _ => {}
        }
        self.stage.peer_in(&words, |command| {
            for (name, value) in self.settings.iter().filter(|_| has_fault) {
                command.env(format!("UNCOPY_STANDIN_{name}"), value);
            }
            for (name, value) in self.place.settings() {
                command.env(format!("UNCOPY_STANDIN_{name}"), value);
            }
        })
    }

    /// Passes frames with the fault, then with a new partner for whoever had none.
    fn play(&self) -> Outcomes {
        let Outcomes { mut complaints, mut was_met } = Outcomes::default();
        let mut producer = self.peer("steady-produce", self.side == Side::Producer);
        if !opened(&mut producer) {
            complaints.extend(self.end_of(producer, self.side == Side::Producer));
            return Outcomes { complaints, was_met: true };
        }
        let mut reader = self.peer("steady-consume", self.side == Side::Reader);
        let joined = opened(&mut reader);
        for frame in FRAMES {
            let published = answer(&mut producer, &format!("publish {frame}"));
            let has_failed =
                |event: &Option<Event>| event.as_ref().is_none_or(|event| event.name() == "failed");
            if has_failed(&published) {
                was_met |= self.side == Side::Producer;
            } else if joined {
                let took = answer(&mut reader, "take 1000");
                was_met |= self.side == Side::Reader && has_failed(&took);
                complaints.extend(wrong(took.as_ref()));
            }
        }
        let (faulty, mut whole) = match self.side {
            Side::Producer => (producer, reader),
            Side::Reader => (reader, producer),
        };
        complaints.extend(self.end_of(faulty, true));
        complaints.extend(self.goes_on(&mut whole));
        complaints.extend(self.end_of(whole, false));
        Outcomes { complaints, was_met: was_met || !joined }
    }

    /// Whether the one without a fault passes frames with a new partner.
    fn goes_on(&self, whole: &mut Peer) -> Option<String> {
        let role = if self.side == Side::Producer { "steady-produce" } else { "steady-consume" };
        let mut partner = self.peer(role, false);
        if !opened(&mut partner) {
            return Some(format!("nobody can take the place of the one that failed{}", partner.said()));
        }
        let (producer, reader) = match self.side {
            Side::Producer => (&mut partner, whole),
            Side::Reader => (whole, &mut partner),
        };
        let mut said = Vec::new();
        // What became of the one that failed may be told first.
        for _ in 0..3 {
            for (end, line) in [(&mut *producer, "publish 64x64x4 send"), (&mut *reader, "take 5000")] {
                let answered = answer(end, line);
                if let Some(wrong) = wrong(answered.as_ref()) {
                    return Some(wrong);
                }
                said.push(answered.map_or_else(|| "nothing".to_owned(), |event| event.to_string()));
            }
            if said.last().is_some_and(|said| said.contains("\"took\"")) {
                return answer(producer, "idle")
                    .filter(|event| event.name() == "idle")
                    .is_none()
                    .then(|| "the producer's stream fails afterwards".to_owned());
            }
        }
        Some(format!("no frame passes afterwards: {said:?}"))
    }

    /// How a peer ends: well, or killed where that was its fault.
    fn end_of(&self, peer: Peer, has_fault: bool) -> Option<String> {
        let is_killed = has_fault && self.settings.iter().any(|(_, value)| value.ends_with("=kill"));
        let ending = peer.end();
        let ended_well = match (ending.code, ending.signal) {
            (Some(0), _) => true,
            (_, Some(9)) => is_killed,
            _ => false,
        };
        let has_panicked = ending.errors.contains("panicked") || ending.errors.contains("stand-in driver:");
        (!ended_well || has_panicked).then(|| format!("a peer ended badly: {ending:?}"))
    }
}

fn opened(peer: &mut Peer) -> bool {
    peer.next_event().is_some_and(|event| event.name() == "open")
}

/// What a peer answers; `None` when it has ended. One that hangs ends the test.
fn answer(peer: &mut Peer, line: &str) -> Option<Event> {
    peer.tell(line);
    peer.next_event()
}

/// A frame that was given out as right and is not.
fn wrong(event: Option<&Event>) -> Option<String> {
    let event = event.filter(|event| event.name() == "took")?;
    let is_wrong = event.value("right") != true && event.value("torn") != true;
    is_wrong.then(|| format!("a wrong frame: {event}"))
}

/// How often each function is called by one side of a pair that meets no fault.
fn calls_of(stage: &Stage, side: Side, place: Place) -> BTreeMap<String, usize> {
    let log = stage.path(&format!("calls-{side:?}-{place:?}"));
    let settings = vec![("LOG", log.to_str().unwrap().to_owned())];
    let run = Run { stage, name: format!("log-{side:?}-{place:?}"), side, settings, place };
    assert_eq!(run.play(), Outcomes::default(), "nothing fails in this one");
    count(&log)
}

fn count(log: &Path) -> BTreeMap<String, usize> {
    let mut calls = BTreeMap::new();
    for line in std::fs::read_to_string(log).unwrap().lines() {
        let name = line.split(' ').next().unwrap_or_default();
        *calls.entry(name.to_owned()).or_default() += 1;
    }
    calls
}

/// The calls of a function that are made to fail, and how.
fn faults_of(calls: usize, all: bool) -> Vec<(usize, Outcome)> {
    use Outcome::{Kill, OutOfMemory, Sticky, Unknown};
    if all {
        let outcomes = [OutOfMemory, Unknown, Sticky, Kill];
        return (1..=calls).flat_map(|nth| outcomes.map(|outcome| (nth, outcome))).collect();
    }
    let mut faults = vec![(1, OutOfMemory), (calls, Sticky), (calls.div_ceil(2), Kill)];
    if calls > 1 {
        faults.push((calls, Unknown));
    }
    faults
}

/// Has every call of one side fail in turn.
fn sweep(side: Side, place: Place) {
    let Some(stage) = standin_stage() else { return };
    let all = std::env::var_os("UNCOPY_TEST_ALL_CALLS").is_some();
    let mut faults = Vec::new();
    for (function, calls) in calls_of(&stage, side, place) {
        faults
            .extend(faults_of(calls, all).into_iter().map(|(nth, outcome)| (function.clone(), nth, outcome)));
    }
    assert!(faults.len() > 40, "the log says what calls there are: {faults:?}");
    let (next, met) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let complaints = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((function, nth, outcome)) = faults.get(next.fetch_add(1, Relaxed)) {
                    let fault = format!("{function}:{nth}={}", outcome.as_fault());
                    let name = format!("{function}-{nth}-{outcome:?}");
                    let settings = vec![("FAULTS", fault.clone())];
                    let run = Run { stage: &stage, name, side, settings, place };
                    // A peer that hangs ends this thread, and is one more complaint.
                    let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run.play()));
                    let hangs = |_| Outcomes { complaints: vec!["a peer hangs".to_owned()], was_met: true };
                    let played = played.unwrap_or_else(hangs);
                    met.fetch_add(usize::from(played.was_met), Relaxed);
                    let heard = played.complaints;
                    complaints
                        .lock()
                        .unwrap()
                        .extend(heard.into_iter().map(|heard| format!("{fault}: {heard}")));
                }
            });
        }
    });
    let (complaints, met) = (complaints.into_inner().unwrap(), met.into_inner());
    println!("{met} of {} faults in the {side:?} were told by it", faults.len());
    assert!(complaints.is_empty(), "of {} faults in the {side:?}:\n{}", faults.len(), complaints.join("\n"));
    assert!(met > faults.len() / 2, "only {met} of {} faults were met", faults.len());
}

#[test]
fn f29_every_call_of_a_producer_may_fail() {
    sweep(Side::Producer, Place::Card);
}

#[test]
fn f29_every_call_of_a_reader_may_fail() {
    sweep(Side::Reader, Place::Card);
}

#[test]
fn f29_every_call_of_a_producer_with_a_mirror_may_fail() {
    sweep(Side::Producer, Place::Mirror);
}

#[test]
fn f29_every_call_of_a_reader_on_another_card_may_fail() {
    sweep(Side::Reader, Place::Beside);
}

#[test]
fn f29_every_call_of_a_reader_that_copies_to_another_card_may_fail() {
    sweep(Side::Reader, Place::Apart);
}
