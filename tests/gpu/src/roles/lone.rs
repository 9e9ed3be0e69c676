// SPDX-License-Identifier: MIT OR Apache-2.0
//! Both ends of links in one process: one without a driver, or one that forks.
//!
//! | command | event |
//! |---|---|
//! | `host` publishes a frame in host memory and receives it | `host` with `right` |
//! | `device` publishes a loan on device 0 | `loan`, or `error` |
//! | `frame` publishes a frame on the device and receives it | `frame` with `seq` and `right` |
//! | `fork` has a child call everything and drop it | `uses` from the child, `forked` with its exit code |
//! | `fork-lent` has a child drop a loan that is written and published afterwards | `forked`, `frame` |

use std::time::Duration;

use rustix::process::{Pid, WaitOptions, waitpid};
use serde_json::{Value, json};
use uncopy::{
    Accelerator, Claim, Device, Form, Frame, LinkError, Meta, Publisher, Stream, Subscriber, Tensor,
};
use uncopy_cuda::CudaDevice;
use uncopy_tests::raw::{self, Forked};
use uncopy_tests::script::{Commands, Words, emit, emit_error};

use super::steady;
use crate::card::{Array, Card};

const PATIENCE: Duration = Duration::from_secs(20);

struct Ends {
    form: Form,
    out: Publisher,
    sub: Subscriber,
    held: Option<Frame>,
    card: Option<(Card, Stream)>,
    /// What could be sent.
    source: Option<Array>,
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
    let mut ends =
        Ends { form: uncopy_tests::form("64x64x4"), out, sub, held: None, card: None, source: None };
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
            "fork-lent" => match ends.lend() {
                Err(error) => Err(error),
                Ok(claim) => match raw::fork() {
                    Forked::Child => {
                        drop(claim);
                        drop(ends);
                        wait_for_threads();
                        raw::leave_child(0)
                    }
                    Forked::Parent(pid) => {
                        emit(&collected(pid));
                        ends.publish_late(claim)
                    }
                },
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
        let claim = self.lend()?;
        self.publish(claim, Duration::ZERO)
    }

    fn lend(&mut self) -> Result<Claim, LinkError> {
        let (card, stream) = self.card.get_or_insert_with(|| {
            let card = Card::open();
            let stream = card.stream();
            (card, stream)
        });
        self.source.get_or_insert_with(|| card.array(self.form.len_bytes()));
        self.out.claim_on(&self.form, card.id(), *stream, None)
    }

    fn publish_late(&mut self, claim: Claim) -> Result<Value, LinkError> {
        /// Longer than it takes to look at a frame.
        const LATE: Duration = Duration::from_millis(50);
        self.publish(claim, LATE)
    }

    /// Publishes a loan whose stream is busy for so long before it writes, and receives it.
    fn publish(&mut self, claim: Claim, busy: Duration) -> Result<Value, LinkError> {
        let (card, stream) = self.card.as_ref().expect("it was opened for the loan");
        let key = self.out.seq() + 1;
        if !busy.is_zero() {
            card.spin(busy.as_nanos() as u64, *stream);
        }
        card.fill(&claim.tensor()?, key, *stream);
        self.out.commit(claim, Meta::default().raw(key.to_le_bytes().to_vec()))?;
        let frame = self.sub.recv(PATIENCE)?;
        let event =
            json!({ "event": "frame", "seq": frame.seq(), "right": steady::look(&frame) == Ok(true) });
        self.held = Some(frame);
        Ok(event)
    }

    fn send(&mut self, stream: Stream) -> Result<(), LinkError> {
        let source = &self.source.as_ref().expect("it was made with the first loan").tensor;
        let source = Tensor::new(source.region().clone(), *self.form.layout(), 0)?;
        self.out.send_on(&self.form, &source, Meta::default(), stream, None).map(drop)
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
            "send": kind(self.send(stream)),
            "stream": kind(self.out.stream_on(Device::cuda(0)).map(drop)),
            "claim": kind(self.out.claim_on(&self.form, Device::cuda(0), stream, None).map(drop)),
            "recv": kind(self.sub.recv(Duration::ZERO).map(drop)),
            "recv_on": kind(self.sub.recv_on(stream, Duration::ZERO).map(drop)),
            "tensor": self.held.as_ref().map(|frame| kind(frame.tensor().map(drop))),
            "device": device.map_or_else(|error| error.to_string(), |works| works.to_string()),
        })
    }
}

/// Until the threads are done that drops have started.
fn wait_for_threads() {
    let threads = || std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    while threads() > 1 {
        std::thread::yield_now();
    }
}

fn collected(pid: i32) -> Value {
    let pid = Pid::from_raw(pid).expect("a process id");
    let (_, status) = waitpid(Some(pid), WaitOptions::empty()).expect("our own child").expect("its end");
    json!({ "event": "forked", "code": status.exit_status(), "signal": status.terminating_signal() })
}
