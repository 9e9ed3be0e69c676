// SPDX-License-Identifier: MIT OR Apache-2.0
//! iceoryx2's contestant: services with the limits of its own latency benchmark, that is no more room than is used,
//! slices of bytes whose largest length is told beforehand, and no history.
#![expect(unsafe_code, reason = "loans memory without writing all of it, as iceoryx2 offers it")]

use crate::ends::{Ends, numbers_in, too_short, write_number};
use iceoryx2::{
    port::{listener::Listener, notifier::Notifier, publisher::Publisher, subscriber::Subscriber},
    prelude::{Config, Node, NodeBuilder, Path as IceoryxPath, SemanticString, ServiceName, ipc},
    sample::Sample,
    sample_mut::SampleMut,
    service::port_factory::{event, publish_subscribe},
};
use std::{
    fmt::Display,
    path::Path,
    time::{Duration, Instant},
};
use uncopy_bench::failure::Failure;

type Service = ipc::Service;
pub type Loaned = SampleMut<Service, [u8], ()>;
pub type Received = Sample<Service, [u8], ()>;
pub type Out = Publisher<Service, [u8], ()>;
pub type In = Subscriber<Service, [u8], ()>;

/// Looks between two readings of the clock.
const LOOKS: u32 = 1 << 16;
const PATIENCE: Duration = Duration::from_secs(10);

/// What failed, with what iceoryx2 says about it.
fn failed<E: Display>(doing: &'static str) -> impl Fn(E) -> Failure {
    move |error| Failure::Peer(format!("cannot {doing}: {error}"))
}

/// A process as iceoryx2 sees it, with its files in a directory of the run.
pub struct Home(Node<Service>);

impl Home {
    pub fn new(dir: &Path) -> Result<Self, Failure> {
        let root = dir.join("iceoryx2").to_string_lossy().into_owned();
        let root = IceoryxPath::new(root.as_bytes()).map_err(failed("name its directory"))?;
        let mut config = Config::default();
        config.global.set_root_path(&root);
        let node = NodeBuilder::new().config(&config).create().map_err(failed("make a node"))?;
        Ok(Self(node))
    }

    fn frames(&self, name: &str) -> Result<publish_subscribe::PortFactory<Service, [u8], ()>, Failure> {
        self.0
            .service_builder(&service_name(name)?)
            .publish_subscribe::<[u8]>()
            .max_nodes(2)
            .max_publishers(1)
            .max_subscribers(1)
            .history_size(0)
            .subscriber_max_buffer_size(1)
            .enable_safe_overflow(true)
            .open_or_create()
            .map_err(failed("open a service"))
    }

    fn events(&self, name: &str) -> Result<event::PortFactory<Service>, Failure> {
        self.0
            .service_builder(&service_name(name)?)
            .event()
            .max_nodes(2)
            .max_notifiers(1)
            .max_listeners(1)
            .event_id_max_value(0)
            .open_or_create()
            .map_err(failed("open an event service"))
    }

    /// A publisher of frames of at most `len_bytes`.
    pub fn publisher(&self, name: &str, len_bytes: usize) -> Result<Out, Failure> {
        let ports = self.frames(name)?;
        let builder = ports.publisher_builder().initial_max_slice_len(len_bytes);
        builder.create().map_err(failed("make a publisher"))
    }

    pub fn subscriber(&self, name: &str) -> Result<In, Failure> {
        self.frames(name)?.subscriber_builder().create().map_err(failed("make a subscriber"))
    }

    pub fn notifier(&self, name: &str) -> Result<Notifier<Service>, Failure> {
        self.events(name)?.notifier_builder().create().map_err(failed("make a notifier"))
    }

    pub fn listener(&self, name: &str) -> Result<Listener<Service>, Failure> {
        self.events(name)?.listener_builder().create().map_err(failed("make a listener"))
    }
}

fn service_name(name: &str) -> Result<ServiceName, Failure> {
    name.try_into().map_err(failed("name a service"))
}

/// Takes memory for a frame on loan; it holds what was there before.
#[inline]
pub fn loan(out: &Out, len_bytes: usize) -> Result<Loaned, Failure> {
    let slice = out.loan_slice_uninit(len_bytes).map_err(failed("loan"))?;
    // SAFETY: the memory is shared memory that was zeroed when it was made, so that every byte of it has a value,
    // and every value is a u8.
    Ok(unsafe { slice.assume_init() })
}

#[inline]
pub fn send(sample: Loaned) -> Result<(), Failure> {
    sample.send().map(drop).map_err(failed("send"))
}

/// The next frame, if it is there.
#[inline]
pub fn receive(frames: &In) -> Result<Option<Received>, Failure> {
    frames.receive().map_err(failed("receive"))
}

pub fn notify(notifier: &Notifier<Service>) -> Result<(), Failure> {
    notifier.notify().map(drop).map_err(failed("notify"))
}

/// Sleeps until it is notified.
pub fn wait(listener: &Listener<Service>) -> Result<(), Failure> {
    listener.blocking_wait(|_| ()).map(drop).map_err(failed("wait"))
}

/// One side of two services.
pub struct Theirs {
    out: Out,
    frames: In,
    len_bytes: usize,
    loaned: Option<Loaned>,
    held: Option<Received>,
}

impl Theirs {
    pub fn new(out: Out, frames: In, len_bytes: usize) -> Self {
        Self { out, frames, len_bytes, loaned: None, held: None }
    }
}

impl Ends for Theirs {
    fn loan(&mut self) -> Result<(), Failure> {
        self.loaned = Some(loan(&self.out, self.len_bytes)?);
        Ok(())
    }

    fn send(&mut self, number: u64) -> Result<(), Failure> {
        if let Some(mut sample) = self.loaned.take() {
            write_number(sample.payload_mut(), number);
            send(sample)?;
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<[u64; 2], Failure> {
        let begun = Instant::now();
        loop {
            for _ in 0..LOOKS {
                if let Some(sample) = receive(&self.frames)? {
                    let bytes = self.held.insert(sample).payload();
                    return numbers_in(bytes).ok_or_else(|| too_short(bytes.len()));
                }
            }
            if begun.elapsed() > PATIENCE {
                return Err(Failure::Side("it answers nothing".to_owned()));
            }
        }
    }

    fn release(&mut self) {
        self.held = None;
    }
}
