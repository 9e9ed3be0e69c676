// SPDX-License-Identifier: MIT OR Apache-2.0
//! Two ends that survive every failing call of the driver: no kernels, no panics, all errors told.
//!
//! | command of `steady-produce NAME [--mirror]` | event |
//! |---|---|
//! | `publish FORM HOW` publishes a frame, by `send` or `loan` | `published`, or `failed` with `text` |
//! | `idle` waits for the device | `idle`, or `failed` |
//! | `close` | `closed` |
//!
//! | command of `steady-consume NAME [--host] [--on N]` | event |
//! |---|---|
//! | `take MS` receives a frame and looks at it | `took` with `seq`, `right` and `torn`, or `failed` |
//! | `close` | `closed` |

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use uncopy::{
    Accelerator, Device, DeviceMemory, Form, Frame, HostBuffer, Meta, Publisher, Region, Stream, Tensor,
    Where,
};
use uncopy_cuda::CudaDevice;
use uncopy_tests::script::{Commands, Words, emit, emit_error};

use super::key_of;
use crate::card::{bytes_of, check_on_host, word_of};

/// Any error, in words.
type Told<T> = Result<T, Box<dyn std::error::Error>>;

/// Whether a frame is what its producer made, looked at now: from a device by a copy.
pub(super) fn look(frame: &Frame) -> Result<bool, String> {
    let bytes = match frame.device() {
        Device::CPU => Ok(frame.bytes().to_vec()),
        device => copied_to_host(frame, device.id),
    };
    Ok(check_on_host(&bytes.map_err(|error| error.to_string())?, key_of(frame)).is_ok())
}

/// The devices, and their streams, by which this process looks at frames.
static LOOKS_BY: Mutex<BTreeMap<i32, (Arc<CudaDevice>, Stream)>> = Mutex::new(BTreeMap::new());

fn looks_by(ordinal: i32) -> Told<(Arc<CudaDevice>, Stream)> {
    let mut known = LOOKS_BY.lock().expect("nobody panics with it");
    if let Some(known) = known.get(&ordinal) {
        return Ok(known.clone());
    }
    let device = CudaDevice::with_ordinal(ordinal)?;
    let stream = device.stream()?;
    Ok(known.entry(ordinal).or_insert((device, stream)).clone())
}

fn copied_to_host(frame: &Frame, ordinal: i32) -> Told<Vec<u8>> {
    let (device, stream) = looks_by(ordinal)?;
    let tensor = frame.tensor()?;
    let host = HostBuffer::zeroed(frame.layout().len_bytes())?.into_region();
    frame.used_on(stream);
    let copied = device.copy(&tensor, &host, stream).and_then(|()| Ok(device.synchronize(stream)?));
    if let Err(error) = copied {
        // The device may still be at it.
        std::mem::forget(host);
        return Err(error.into());
    }
    Ok(host.as_bytes().ok_or("host memory has bytes")?.to_vec())
}

struct Producer {
    out: Publisher,
    device: Option<(Arc<CudaDevice>, Stream)>,
    /// What is sent from, by length.
    sources: BTreeMap<usize, Box<dyn DeviceMemory>>,
    /// What copies to the device are made from, kept for as long as they may go on.
    hosts: Vec<Region>,
}

pub(super) fn produce(words: &Words, commands: &mut Commands) {
    let out = match uncopy::publish(words.name()).mirror(words.has("--mirror")).open() {
        Ok(out) => out,
        Err(error) => return emit_error(&error),
    };
    emit(&json!({ "event": "open" }));
    let mut producer = Producer { out, device: None, sources: BTreeMap::new(), hosts: Vec::new() };
    while let Some(line) = commands.next_command() {
        let words: Vec<&str> = line.split(' ').collect();
        let done = match words[..] {
            ["publish", form, how] => producer.publish(&uncopy_tests::form(form), how),
            ["idle"] => producer.idle(),
            ["close"] => {
                let Producer { out, .. } = producer;
                out.close();
                emit(&json!({ "event": "closed" }));
                while commands.next_command().is_some() {}
                return;
            }
            ref other => panic!("no command {other:?}"),
        };
        emit(&done.unwrap_or_else(failed));
    }
}

fn failed(error: Box<dyn std::error::Error>) -> Value {
    json!({ "event": "failed", "text": error.to_string() })
}

impl Producer {
    fn device(&mut self) -> Told<(Arc<CudaDevice>, Stream)> {
        if let Some(known) = &self.device {
            return Ok(known.clone());
        }
        let device = CudaDevice::with_ordinal(0)?;
        let stream = device.stream()?;
        Ok(self.device.insert((device, stream)).clone())
    }

    fn publish(&mut self, form: &Form, how: &str) -> Told<Value> {
        let (device, stream) = self.device()?;
        let key = self.out.seq() + 1;
        let words = (0..form.len_bytes() as u64 / 8).flat_map(|at| word_of(key, at).to_le_bytes());
        let host = Region::from_vec(words.collect());
        self.hosts.push(host.clone());
        let meta = Meta::default().raw(key.to_le_bytes().to_vec());
        if how == "loan" {
            let claim = self.out.claim_on(form, Device::cuda(0), stream, None)?;
            device.copy(&bytes_of(host), claim.tensor()?.region(), stream)?;
            self.out.commit(claim, meta)?;
        } else {
            let len = form.len_bytes();
            let source = match self.sources.entry(len) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => place.insert(device.allocate(len)?),
            };
            device.copy(&bytes_of(host), &source.region(), stream)?;
            let source = source.region().part(0, len, ())?;
            self.out.send_on(form, &Tensor::new(source, *form.layout(), 0)?, meta, stream, None)?;
        }
        Ok(json!({ "event": "published", "seq": self.out.seq() }))
    }

    fn idle(&mut self) -> Told<Value> {
        let (device, stream) = self.device()?;
        device.synchronize(stream)?;
        Ok(json!({ "event": "idle" }))
    }
}

pub(super) fn consume(words: &Words, commands: &mut Commands) {
    let place = match words.number("--on") {
        Some(ordinal) => Where::Device(Device::cuda(ordinal as i32)),
        None if words.has("--host") => Where::Host,
        None => Where::Nearest,
    };
    let mut sub = match uncopy::subscribe(words.name()).place(place).timeout(None).open() {
        Ok(sub) => sub,
        Err(error) => return emit_error(&error),
    };
    emit(&json!({ "event": "open" }));
    while let Some(line) = commands.next_command() {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["take", wait] => {
                let wait = Duration::from_millis(wait.parse().expect("milliseconds"));
                emit(&match sub.recv(wait) {
                    Ok(frame) => looked(&frame),
                    Err(error) => failed(error.into()),
                });
            }
            ["close"] => {
                sub.close();
                emit(&json!({ "event": "closed" }));
                while commands.next_command().is_some() {}
                return;
            }
            ref other => panic!("no command {other:?}"),
        }
    }
}

fn looked(frame: &Frame) -> Value {
    match look(frame) {
        Ok(right) => json!({ "event": "took", "seq": frame.seq(), "right": right, "torn": frame.is_torn() }),
        Err(why) => json!({ "event": "failed", "text": format!("looking at a frame: {why}") }),
    }
}
