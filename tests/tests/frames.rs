// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a frame says about itself, and what each end answers to a call that can't be obeyed.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use uncopy::{
    CaptureClock, Captured, CopyReason, CopyRecord, DType, Device, ErrorKind, Form, HostBuffer, Layout,
    LinkError, Meta, MetaKind, PixelFormat, Read, Sent, Tensor, Waiting, Waker, WhenFull,
};
use uncopy_tests::stage::eventually;
use uncopy_tests::{Stage, form};

const PEER: &str = env!("CARGO_BIN_EXE_peer");
const LONG: Duration = Duration::from_secs(60);

fn bytes(content: &[u8], shape: &[usize]) -> Tensor {
    let mut buffer = HostBuffer::zeroed(content.len()).unwrap();
    buffer.copy_from_slice(content);
    Tensor::new(buffer.into_region(), Layout::contiguous(DType::U8, shape).unwrap(), 0).unwrap()
}

#[test]
fn a_frame_says_all_that_its_producer_said_of_it() {
    let stage = Stage::new(PEER);
    let mut out = stage.publish("cam").open().unwrap();
    let mut sub = stage.subscribe("cam").spin(Duration::ZERO).open().unwrap();
    assert_eq!((out.name(), out.slots(), sub.name()), ("cam", 4, "cam"));
    let clocks = [CaptureClock::MONOTONIC, CaptureClock::REALTIME, CaptureClock::OTHER];
    for (number, clock) in clocks.into_iter().enumerate() {
        let captured = Captured { nanos: 1_000_000_007 + number as i64, clock };
        let record =
            CopyRecord { reason: CopyReason::ASKED, from: Device::cuda(1), to: Device::CPU, len_bytes: 12 };
        let image = Form::image(2, 3, PixelFormat::RGB8).unwrap();
        let mut loan = out.loan(&image).unwrap();
        assert_eq!(loan.form(), &image);
        loan.bytes_mut().copy_from_slice(&[number as u8; 18]);
        loan.publish(Meta::default().captured(captured).copied(record).json("{\"a\": 1}")).unwrap();
        let frame = sub.recv(LONG).unwrap();
        assert_eq!((frame.captured(), frame.missed()), (Some(captured), 0));
        assert_eq!((frame.meta().kind, frame.meta().bytes), (MetaKind::JSON, &b"{\"a\": 1}"[..]));
        assert_eq!(frame.copies(), [record]);
        assert_eq!((frame.form(), frame.layout()), (&image, image.layout()));
        assert_eq!(frame.view::<u8, 3>().unwrap().get([1, 2, 2]), Some(number as u8));
        assert_eq!(frame.view::<u16, 3>().unwrap_err().kind(), ErrorKind::InvalidDType);
        let shown = format!("{frame:?}");
        assert!(
            shown.starts_with(&format!("Frame {} of 'cam'", number + 1)) && shown.contains("uint8"),
            "{shown}"
        );
    }
    let sent = out.send(&bytes(b"plain", &[5]), Meta::default().raw(*b"\xFF\0")).unwrap();
    assert_eq!(sent, Sent::Published { seq: 4 });
    let frame = sub.recv(LONG).unwrap();
    assert_eq!(
        (frame.captured(), frame.meta().kind, frame.meta().bytes),
        (None, MetaKind::RAW, &b"\xFF\0"[..])
    );
    assert_eq!(frame.copies()[0].reason, CopyReason::SEND);
    drop(frame);
    sub.close();
    out.close();
}

#[test]
fn a_send_in_another_form_than_the_array_has_is_refused_with_both() {
    let stage = Stage::new(PEER);
    let mut out = stage.publish("cam").open().unwrap();
    let array = bytes(&[0; 12], &[3, 4]);
    let error = out.send_form(&form("4x3"), &array, Meta::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FormMismatch);
    assert!(error.to_string().contains("[4, 3]") && error.to_string().contains("[3, 4]"), "{error}");
    assert_eq!(out.send(&array, Meta::default()).unwrap(), Sent::Published { seq: 1 });
    out.close();
}

#[test]
fn metadata_and_records_beyond_the_limits_are_refused_and_the_slot_is_free_again() {
    let stage = Stage::new(PEER);
    let mut out = stage.publish("cam").slots(2).open().unwrap();
    let record = CopyRecord { reason: CopyReason::SEND, from: Device::CPU, to: Device::CPU, len_bytes: 1 };
    let many = (0..9).fold(Meta::default(), |meta, _| meta.copied(record));
    for meta in [Meta::default().raw(vec![0; 4097]), many] {
        for _ in 0..3 {
            let error = out.loan(&form("8x8")).unwrap().publish(meta.clone()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
        }
    }
    assert_eq!(out.send(&bytes(&[1; 4], &[4]), Meta::default()).unwrap(), Sent::Published { seq: 1 });
    out.close();
}

#[test]
fn a_claim_of_another_publisher_or_of_memory_that_was_outgrown_is_refused() {
    let stage = Stage::new(PEER);
    let mut out = stage.publish("cam").open().unwrap();
    let mut other = stage.publish("other").open().unwrap();
    let claim = other.claim(&form("8x8")).unwrap();
    assert_eq!(claim.form(), &form("8x8"));
    let error = out.commit(claim, Meta::default()).unwrap_err();
    assert!(matches!(error, LinkError::ForeignClaim), "{error}");
    let small = out.claim(&form("8x8")).unwrap();
    out.loan(&form("800x800")).unwrap().publish(Meta::default()).unwrap();
    let error = out.commit(small, Meta::default()).unwrap_err();
    assert!(matches!(error, LinkError::ForeignClaim), "{error}");
    drop((other, out));
}

#[test]
fn a_producer_that_waits_for_consumers_says_how_many_came() {
    let stage = Stage::new(PEER);
    let out = stage.publish("cam").open().unwrap();
    let sub = stage.subscribe("cam").open().unwrap();
    out.wait_for_consumers(1, Duration::ZERO).unwrap();
    let error = out.wait_for_consumers(3, Duration::from_millis(5)).unwrap_err();
    assert!(matches!(error, LinkError::FewConsumers { wanted: 3, found: 1, .. }), "{error}");
    drop((sub, out));
}

#[test]
fn a_stopped_holder_of_a_name_does_not_answer_a_takeover_and_keeps_the_name() {
    let stage = Stage::new(PEER);
    let producer = stage.open(&["produce", "cam"]);
    producer.stop();
    let error = stage.publish("cam").takeover(true).open().err().unwrap();
    assert!(matches!(error, LinkError::TakeoverUnanswered { pid, .. } if pid == producer.pid()), "{error}");
    producer.go_on();
    eventually("it answers again", || {
        let links = stage.list();
        if links.iter().any(|link| link.name == "cam" && link.producer.is_some()) {
            Ok(())
        } else {
            Err(format!("{links:?}"))
        }
    });
    producer.quit();
}

#[test]
fn names_of_other_schemes_and_names_that_are_none_are_refused_alike_on_both_ends() {
    let stage = Stage::new(PEER);
    for (name, kind) in
        [("cipd:cam", ErrorKind::Unsupported), ("", ErrorKind::InvalidName), (".cam", ErrorKind::InvalidName)]
    {
        assert_eq!(stage.publish(name).open().err().unwrap().kind(), kind, "{name}");
        assert_eq!(stage.subscribe(name).open().err().unwrap().kind(), kind, "{name}");
        assert_eq!(uncopy::info(name).err().unwrap().kind(), kind, "{name}");
    }
}

#[test]
fn the_link_of_a_name_is_found_in_the_users_own_directory() {
    let stage = Stage::new(PEER);
    let mut observer = stage.open(&["observe", "-"]);
    let missing = observer.ask("info cam", "error");
    assert_eq!(missing.text("kind"), "not_found", "{missing}");
    let mut out = stage.publish("cam").open().unwrap();
    out.send(&bytes(&[1; 4], &[4]), Meta::default()).unwrap();
    let info = observer.ask("info cam", "info");
    assert_eq!((info.number("published"), info.number("slots")), (1, 4));
    out.close();
    observer.quit();
}

/// Lets a wait go on until it has been asked once.
struct Once(bool);

impl Waiting for Once {
    fn keep_waiting(&mut self) -> bool {
        !std::mem::replace(&mut self.0, true)
    }
}

/// Wakes again and again while `wait` waits: one wake may come before it sleeps.
fn woken_while<T>(waker: &Waker, wait: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(SeqCst) {
                waker.wake();
                std::thread::yield_now();
            }
        });
        let waited = wait();
        over.store(true, SeqCst);
        waited
    })
}

#[test]
fn wakers_make_both_ends_look_whether_they_are_still_to_wait() {
    let stage = Stage::new(PEER);
    let mut out = stage.publish("cam").slots(2).when_full(WhenFull::Block(None)).open().unwrap();
    let mut sub = stage.subscribe("cam").read(Read::Every).open().unwrap();
    let (for_room, for_frames) = (out.waker(), sub.waker());
    assert_eq!(format!("{for_room:?}"), "Waker");
    let waited = woken_while(&for_frames, || sub.recv_with(None, &mut Once(false)).map(drop));
    assert!(matches!(waited, Err(LinkError::Interrupted)), "{waited:?}");
    let array = bytes(&[1; 4], &[4]);
    let form = Form::from_layout(*array.layout());
    let full = woken_while(&for_room, || {
        loop {
            let sent = out.send_with(&form, &array, Meta::default(), Some(&mut Once(false)));
            if let Err(error) = sent {
                break error;
            }
        }
    });
    assert!(matches!(full, LinkError::Interrupted), "{full}");
    // Wakers of ends that are gone wake nobody.
    drop((sub, out));
    for_frames.wake();
    for_room.wake();
}
