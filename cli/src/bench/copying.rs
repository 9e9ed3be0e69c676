// SPDX-License-Identifier: MIT OR Apache-2.0
//! `send` of a 1080p picture against a plain copy of the same bytes into as many buffers as the link has slots.
//!
//! They have their turns in blocks, the first of which don't count: copy by copy they would push each other's buffers
//! out of the caches.

use std::hint::black_box;
use std::time::Instant;

use uncopy::{Form, HostBuffer, Meta, PixelFormat, Tensor};

use super::Figure;
use crate::error::CliError;
use crate::host::Session;
use crate::tally::Latency;

pub(super) const SEND: &str = "send_1080p";
pub(super) const COPY: &str = "copy_1080p";

const SLOTS: usize = 4;
const BLOCKS: usize = 12;
/// Copies of a block, and those of them that count.
const BLOCK: usize = 12;
const COUNTED: usize = 8;

pub(super) fn measure(session: &Session<'_>) -> Result<Vec<Figure>, CliError> {
    let progress = session.console.progress("measuring", None);
    progress.show(4, || "sending a picture".to_owned());
    let form = Form::image(1080, 1920, PixelFormat::RGBA8)?;
    let mut out = uncopy::publish(&format!("bench-{}-send", std::process::id())).slots(SLOTS).open()?;
    let mut buffer = HostBuffer::zeroed(form.len_bytes()).map_err(uncopy::LinkError::from)?;
    buffer.fill(7);
    let picture = Tensor::new(buffer.into_region(), *form.layout(), 0).map_err(uncopy::LinkError::from)?;
    let bytes = vec![7u8; form.len_bytes()];
    // Written, so that every page is there.
    let mut ring = vec![vec![1u8; form.len_bytes()]; SLOTS];
    let (mut sends, mut copies) = (Latency::default(), Latency::default());
    for _ in 0..BLOCKS {
        session.check()?;
        for number in 0..BLOCK {
            let called = Instant::now();
            out.send_form(&form, &picture, Meta::default())?;
            count(&mut sends, number, called);
        }
        for (number, to) in (0..BLOCK).zip((0..SLOTS).cycle()) {
            let Some(to) = ring.get_mut(to) else { continue };
            let called = Instant::now();
            to.copy_from_slice(black_box(&bytes));
            count(&mut copies, number, called);
            black_box(&to);
        }
    }
    let len_bytes = Some(form.len_bytes() as u64);
    Ok(vec![
        Figure { name: SEND, title: "send 1920x1080 rgba8, 8.3 MB", times: sends, len_bytes },
        Figure { name: COPY, title: "a plain copy of it", times: copies, len_bytes },
    ])
}

fn count(times: &mut Latency, number: usize, called: Instant) {
    let elapsed = called.elapsed();
    if number >= BLOCK - COUNTED {
        times.add(elapsed);
    }
}
