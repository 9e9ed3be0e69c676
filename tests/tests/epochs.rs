// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames that change size, shape and dtype while readers of every temper look: each frame is whole and described
//! right, memory grows when it must and is given back.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::time::Duration;

use uncopy::{DType, ErrorKind, Form, Layout, LinkError, Meta, Sent, Tensor};
use uncopy_tests::pattern::next_random;
use uncopy_tests::stage::eventually;
use uncopy_tests::{Stage, form, pattern};

const PEER: &str = env!("CARGO_BIN_EXE_peer");
const LONG: Duration = Duration::from_secs(60);
const PAGE: usize = 4096;

/// Sizes of the frame memories that a process has mapped.
fn frame_memories(pid: i32) -> Vec<usize> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let mut sizes: Vec<(String, usize)> = Vec::new();
    for line in maps.lines().filter(|line| line.contains("memfd:uncopy:uncopy-slots")) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (from, to) = words[0].split_once('-').unwrap();
        let len = usize::from_str_radix(to, 16).unwrap() - usize::from_str_radix(from, 16).unwrap();
        // Pages with different protection are lines of their own; the inode tells one memory from another.
        match sizes.iter_mut().find(|(inode, _)| inode == words[4]) {
            Some((_, size)) => *size += len,
            None => sizes.push((words[4].to_owned(), len)),
        }
    }
    sizes.into_iter().map(|(_, size)| size).collect()
}

#[test]
fn f12_frames_of_changing_size_and_dtype_are_whole_for_readers_that_are_fast_slow_and_stopped() {
    let stage = Stage::new(PEER);
    let mut producer = stage.open(&["produce", "cam", "--slots", "6"]);
    let mut fast = stage.open(&["consume", "cam"]);
    let mut slow = stage.open(&["consume", "cam"]);
    let mut stopped = stage.open(&["consume", "cam"]);
    fast.tell("run");
    stopped.tell("run");
    producer.tell("run 64x64x4,480x640x4,float32:100x100,8x8,720x1280x4,uint16:333x77 70");
    fast.expect("first");
    stopped.expect("first");
    for round in 0..12 {
        // Held through whatever changes meanwhile.
        slow.ask("take", "took");
        if round % 3 == 0 {
            stopped.stop();
        } else if round % 3 == 2 {
            stopped.go_on();
        }
        slow.ask("take", "took");
        assert_eq!(slow.ask("check", "checked").value("whole"), true, "round {round}");
        slow.ask("drop", "dropped");
    }
    let ran = producer.halt(&[]);
    assert!(ran.number("seq") > 0);
    for reader in [&mut fast, &mut stopped] {
        let seen = reader.halt(&[]);
        assert_eq!(seen.number("torn"), 0, "{seen}");
    }
    [fast, slow, stopped].into_iter().for_each(|reader| drop(reader.quit()));
    producer.quit();
}

#[test]
fn f12_a_reader_that_was_stopped_through_many_epochs_reads_the_newest_frame_when_it_goes_on() {
    let stage = Stage::new(PEER);
    let mut producer = stage.open(&["produce", "cam"]);
    let mut reader = stage.open(&["consume", "cam"]);
    let mut other = stage.open(&["consume", "cam"]);
    producer.ask("frame 8x8", "published");
    assert_eq!(reader.ask("take", "took").number("epoch"), 1);
    reader.stop();
    for growth in 1..=12 {
        producer.ask(&format!("frame {}x4096", growth * 2), "published");
        let took = other.ask("take", "took");
        assert_eq!((took.number("epoch"), took.value("whole")), (growth + 1, &true.into()));
        other.ask("drop", "dropped");
    }
    reader.go_on();
    let took = reader.ask("take", "took");
    let newest = (took.number("seq"), took.number("epoch"), took.number("missed"));
    assert_eq!((newest, took.value("whole")), ((13, 13, 11), &true.into()));
    assert_eq!(reader.ask("check", "checked").value("whole"), true, "the frame of the first epoch too");
    reader.quit();
    other.quit();
    producer.quit();
}

#[test]
fn f12_memory_is_kept_while_frames_fit_and_given_back_when_they_have_become_small() {
    let stage = Stage::new(PEER);
    let mut producer = stage.open(&["produce", "cam"]);
    let mut reader = stage.open(&["consume", "cam"]);
    let large = 1080 * 1920 * 4_usize;
    producer.ask("frame 1080x1920x4", "published");
    reader.ask("take", "took");
    let whole = large.next_multiple_of(PAGE) * 4;
    assert_eq!(frame_memories(producer.pid()), [whole]);
    assert!(stage.info("cam").memory_bytes <= whole as u64 + (1 << 20), "{:?}", stage.info("cam"));
    // A few small frames are no reason to move.
    producer.ask("burst 100 64x64x4", "burst");
    assert_eq!((frame_memories(producer.pid()), stage.info("cam").epoch), (vec![whole], 1));
    producer.ask("frame 1080x1920x4", "published");
    // Hundreds of them are.
    producer.ask("burst 300 64x64x4", "burst");
    let small = (64 * 64 * 4_usize).next_multiple_of(PAGE) * 4;
    assert_eq!((frame_memories(producer.pid()), stage.info("cam").epoch), (vec![small], 2));
    // The reader still holds its large frame, and lets go of that memory with it.
    assert_eq!(reader.ask("take", "took").number("epoch"), 2);
    assert_eq!(reader.ask("check", "checked").value("whole"), true);
    assert_eq!(frame_memories(reader.pid()).len(), 2);
    reader.ask("drop", "dropped");
    eventually("the large memory is given back", || match frame_memories(reader.pid()) {
        sizes if sizes == [small] => Ok(()),
        sizes => Err(format!("{sizes:?}")),
    });
    reader.quit();
    producer.quit();
}

/// A form of random size, dtype and rank; often small, sometimes empty or padded.
fn random_form(state: &mut u64) -> Form {
    let mut random = |below: u64| (next_random(state) % below) as usize;
    let dtypes = [DType::U8, DType::F32, DType::BOOL, DType::BF16, DType::COMPLEX64, DType::I64];
    let dtype = dtypes[random(6)];
    let longest = [4, 16, 40][random(3)];
    let shape: Vec<usize> = (0..random(5)).map(|_| random(longest as u64)).collect();
    if shape.len() == 2 && random(2) == 0 {
        let padded = [shape[1].max(1) as isize + 3, 1];
        return Form::from_layout(Layout::strided(dtype, &shape, &padded).unwrap());
    }
    Form::new(dtype, &shape).unwrap()
}

#[test]
fn f12_any_sequence_of_forms_arrives_as_it_was_sent() {
    let stage = Stage::new(PEER);
    let mut out = stage.publish("cam").open().unwrap();
    let mut sub = stage.subscribe("cam").open().unwrap();
    let mut state = 12;
    let (mut epoch, mut have, mut small, mut held) = (0, 0, 0, Vec::new());
    for seq in 1..=1500 {
        let wanted = random_form(&mut state);
        let mut loan = out.loan(&wanted).unwrap();
        assert_eq!(loan.bytes_mut().len(), wanted.len_bytes());
        pattern::fill(loan.bytes_mut(), seq);
        loan.publish(Meta::default()).unwrap();
        let frame = sub.recv(LONG).unwrap();
        assert_eq!((frame.seq(), *frame.form(), frame.missed()), (seq, wanted, 0));
        assert_eq!(pattern::check(frame.bytes(), seq), Ok(()), "{wanted}");
        // Memory is made anew when it is too small, or after 256 frames in a row that need less than a quarter of it.
        let need = wanted.len_bytes().max(1).next_multiple_of(PAGE);
        let wastes = |have: usize, need: usize| have > 1 << 20 && have / 4 >= need;
        if need > have || (small >= 256 && wastes(have, need)) {
            (epoch, have) = (epoch + 1, need);
        }
        small = if small >= 256 || !wastes(have, wanted.len_bytes()) { 0 } else { small };
        small += u32::from(wastes(have, wanted.len_bytes()));
        assert_eq!(frame.epoch(), epoch, "{wanted} in slots of {have}");
        held.push(frame);
        if held.len() > 2 {
            held.remove((next_random(&mut state) % 3) as usize);
        }
        assert!(held.iter().all(|frame| pattern::check(frame.bytes(), frame.seq()).is_ok()));
    }
    drop((held, sub, out));
}

#[test]
fn a_claim_of_an_epoch_that_has_ended_is_refused_and_its_slot_comes_back() {
    let stage = Stage::new(PEER);
    let mut out = stage.publish("cam").slots(2).open().unwrap();
    let old = out.claim(&form("8x8")).unwrap();
    let new = out.claim(&form("100x100")).unwrap();
    let refused = out.commit(old, Meta::default()).unwrap_err();
    assert!(matches!(refused, LinkError::ForeignClaim), "{refused}");
    out.commit(new, Meta::default()).unwrap();
    out.loan(&form("8x8")).unwrap().publish(Meta::default()).unwrap();
    assert_eq!(out.stats().dropped, 0);
    // Another publisher's claim is no better.
    let mut other = stage.publish("other").open().unwrap();
    let foreign = other.claim(&form("8x8")).unwrap();
    assert!(matches!(out.commit(foreign, Meta::default()), Err(LinkError::ForeignClaim)));
    drop((out, other));
}

#[test]
fn f41_a_fixed_link_refuses_another_form_with_both_named_and_goes_on() {
    let stage = Stage::new(PEER);
    let mut out = stage.publish("cam").form(form("64x64x4")).open().unwrap();
    let mut sub = stage.subscribe("cam").open().unwrap();
    // Its memory is there before the first frame.
    assert_eq!(stage.info("cam").memory_bytes, 36_864 + 4 * 64 * 64 * 4);
    for wrong in ["64x64x3", "float32:64x64x4", "64x64x4x1", "1x1", "128x128x4"] {
        let error = out.loan(&form(wrong)).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::FormMismatch, "{wrong}: {error}");
        for part in ["'cam'", "uint8[64, 64, 4]", &form(wrong).to_string()] {
            assert!(error.to_string().contains(part), "{part}: {error}");
        }
        let layout = *form(wrong).layout();
        let bytes = uncopy::HostBuffer::zeroed(layout.len_bytes()).unwrap().into_region();
        let source = Tensor::new(bytes, layout, 0).unwrap();
        assert_eq!(out.send(&source, Meta::default()).unwrap_err().kind(), ErrorKind::FormMismatch);
    }
    assert_eq!((out.stats().published, out.stats().dropped, sub.newest().unwrap().is_none()), (0, 0, true));
    let right = uncopy::HostBuffer::zeroed(64 * 64 * 4).unwrap().into_region();
    let sent = out.send(&Tensor::new(right, *form("64x64x4").layout(), 0).unwrap(), Meta::default());
    assert_eq!(sent.unwrap(), Sent::Published { seq: 1 });
    assert_eq!(sub.recv(LONG).unwrap().form().shape(), [64, 64, 4]);
    drop((out, sub));
}

#[test]
fn f18_forms_that_a_slot_cannot_have_are_refused_by_the_producer() {
    let stage = Stage::new(PEER);
    let mut out = stage.publish("cam").open().unwrap();
    for strides in [[0, 1], [1, 1], [-64, 1], [64, -1]] {
        let layout = Layout::strided(DType::U8, &[64, 64], &strides).unwrap();
        let error = out.loan(&Form::from_layout(layout)).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::InvalidLayout, "{strides:?}: {error}");
    }
    for shape in [&[usize::MAX, 2][..], &[1 << 40, 1 << 40], &[1; 9]] {
        let error = out.loan(&Form::new(DType::U8, shape)).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::InvalidLayout, "{shape:?}: {error}");
    }
    assert_eq!(out.stats().published, 0);
    drop(out);
}

/// Each frame needs new memory, and the reader has taken none of them yet.
#[test]
fn f12_every_frame_is_received_through_forms_that_outgrow_their_memory_one_after_the_other() {
    const FRAMES: u64 = 12;
    let stage = Stage::new(PEER);
    let mut producer = stage.peer(&["produce", "cam", "--block", "--slots", "16"]);
    producer.expect("open");
    let mut reader = stage.peer(&["consume", "cam", "--every"]);
    reader.expect("open");
    for round in 0..2 {
        for frame in 1..=FRAMES {
            // In the second round the first frame fits, and the others grow beyond what there was.
            let side = 64 * (round * FRAMES + frame);
            producer.ask(&format!("frame {side}x64x4"), "published");
        }
        assert_eq!(u64::from(stage.info("cam").epoch), (round + 1) * FRAMES);
        for frame in 1..=FRAMES {
            let took = reader.ask("take", "took");
            assert_eq!((took.number("seq"), took.number("missed")), (round * FRAMES + frame, 0));
            assert_eq!(took.value("whole"), true);
            reader.ask("drop", "dropped");
        }
    }
    let stats = reader.ask("stats", "stats");
    assert_eq!((stats.number("received"), stats.number("missed")), (2 * FRAMES, 0));
    reader.quit();
    producer.quit();
}
