// SPDX-License-Identifier: MIT OR Apache-2.0
//! Both ends of links in one process: one without a driver, or one that forks.
//!
//! | command | event |
//! |---|---|
//! | `host` publishes a frame in host memory and receives it | `host` with `right` |
//! | `device` publishes a loan on device 0 | `loan`, or `error` |
//! | `frame` publishes a frame on the device and receives it | `frame` with `seq` and `right` |
//! | `fork` has a child call everything and drop it | `uses` from the child, `forked` with its exit code |

use std::time::Duration;

use rustix::process::{Pid, WaitOptions, waitpid};
use serde_json::{Value, json};
use uncopy::{Accelerator, Device, Form, Frame, LinkError, Meta, Publisher, Stream, Subscriber};
use uncopy_cuda::CudaDevice;
use uncopy_tests::raw::{self, Forked};
use uncopy_tests::script::{Commands, Words, emit, emit_error};

use super::steady;
use crate::card::Card;

const PATIENCE: Duration = Duration::from_secs(20);

struct Ends {
    form: Form,
    out: Publisher,
    sub: Subscriber,
    held: Option<Frame>,
    card: Option<(Card, Stream)>,
}

pub(super) fn play(words: &Words, commands: &mut Commands) {
    let opened = uncopy::publish(words.name())
        .open()
        .and_then(|out| Ok((out, uncopy::subscribe(words.name()).open()?)));
    let (out, sub) = match opened {
        Ok(ends) => ends,
        Err(error) => return emit_error(&error),
    };
    emit(&json!({ "event": "open" }));
    let mut ends = Ends { form: uncopy_tests::form("64x64x4"), out, sub, held: None, card: None };
    while let Some(line) = commands.next_command() {
        let done = match line.as_str() {
            "host" => ends.host(),
            "device" => ends.device(),
            "frame" => ends.frame(),
            "fork" => match raw::fork() {
                // It inherits both ends, a frame and an open device; uses them all, and drops them all.
                Forked::Child => {
                    emit(&ends.use_all());
                    drop(ends);
                    raw::leave_child(0)
                }
                Forked::Parent(pid) => Ok(collected(pid)),
            },
            other => panic!("no command '{other}'"),
        };
        match done {
            Ok(event) => emit(&event),
            Err(error) => emit_error(&error),
        }
    }
}

impl Ends {
    fn host(&mut self) -> Result<Value, LinkError> {
        let mut loan = self.out.loan(&self.form)?;
        loan.bytes_mut().fill(7);
        loan.publish(Meta::default())?;
        let frame = self.sub.recv(PATIENCE)?;
        Ok(json!({ "event": "host", "right": frame.bytes().iter().all(|byte| *byte == 7) }))
    }

    fn device(&mut self) -> Result<Value, LinkError> {
        let claim = self.out.claim_on(&self.form, Device::cuda(0), Stream::LEGACY_DEFAULT, None)?;
        self.out.commit(claim, Meta::default())?;
        Ok(json!({ "event": "loan" }))
    }

    fn frame(&mut self) -> Result<Value, LinkError> {
        let (card, stream) = self.card.get_or_insert_with(|| {
            let card = Card::open();
            let stream = card.stream();
            (card, stream)
        });
        let key = self.out.seq() + 1;
        let claim = self.out.claim_on(&self.form, card.id(), *stream, None)?;
        card.fill(&claim.tensor()?, key, *stream);
        self.out.commit(claim, Meta::default().raw(key.to_le_bytes().to_vec()))?;
        let frame = self.sub.recv(PATIENCE)?;
        let event =
            json!({ "event": "frame", "seq": frame.seq(), "right": steady::look(&frame) == Ok(true) });
        self.held = Some(frame);
        Ok(event)
    }

    fn use_all(&mut self) -> Value {
        let kind = |result: Result<(), LinkError>| match result {
            Ok(()) => "ok".to_owned(),
            Err(error) => uncopy_tests::kind(&error).to_owned(),
        };
        let stream = self.card.as_ref().map_or(Stream::LEGACY_DEFAULT, |(_, stream)| *stream);
        let device = CudaDevice::with_ordinal(0).map(|device| device.is_capturing(stream).is_ok());
        json!({
            "event": "uses",
            "claim": kind(self.out.claim_on(&self.form, Device::cuda(0), stream, None).map(drop)),
            "recv": kind(self.sub.recv(Duration::ZERO).map(drop)),
            "recv_on": kind(self.sub.recv_on(stream, Duration::ZERO).map(drop)),
            "tensor": self.held.as_ref().map(|frame| kind(frame.tensor().map(drop))),
            "device": device.map_or_else(|error| error.to_string(), |works| works.to_string()),
        })
    }
}

fn collected(pid: i32) -> Value {
    let pid = Pid::from_raw(pid).expect("a process id");
    let (_, status) = waitpid(Some(pid), WaitOptions::empty()).expect("our own child").expect("its end");
    json!({ "event": "forked", "code": status.exit_status(), "signal": status.terminating_signal() })
}
