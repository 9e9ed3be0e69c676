// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the producer's call is made of, each part timed alone, with the pauses that frames have between them.
#![expect(unsafe_code, reason = "fence: calls the driver beside the product")]

use uncopy::{Accelerator, Meta, Stream};
use uncopy_cuda::raw::CUstream;

use super::card::{Card, of_card};
use super::report::Report;
use super::steps::{OF_GOALS, SIZES};
use crate::clock::monotonic_nanos;
use crate::failure::Failure;

const ROUNDS: usize = 400;
const PAUSE_NANOS: u64 = 60_000;

/// Times each part and prints rows.
///
/// # Errors
/// There is no GPU.
pub fn measure() -> Result<(), Failure> {
    let card = Card::open()?;
    let mut report = Report::default();
    let size =
        SIZES.iter().find(|size| size.name == OF_GOALS).ok_or_else(|| Failure::Side("a size".into()))?;
    let form = size.form()?;
    let (one, other) = (card.array(&form)?, card.array(&form)?);
    let len = form.len_bytes();
    let entered = card.device.context().enter().map_err(of_card)?;
    let stream = CUstream::from(card.stream);
    let mut plain = [0u64; 2];
    for place in &mut plain {
        // SAFETY: a place for an address.
        unsafe { entered.mem_alloc(place, len) }.map_err(of_card)?;
    }
    let copy = |to: u64, from: u64| {
        // SAFETY: both have so many bytes and live until the end.
        unsafe { entered.memcpy_dtod_async(to, from, len, stream) }.map_err(of_card)
    };
    let (vmm, vmm2) = (one.tensor.address() as u64, other.tensor.address() as u64);
    let mut out = uncopy::publish(&format!("parts-{}", std::process::id())).open()?;
    time(&card, &mut report, "copy plain to plain", || copy(plain[0], plain[1]))?;
    time(&card, &mut report, "copy plain to vmm", || copy(vmm, plain[1]))?;
    time(&card, &mut report, "copy vmm to vmm", || copy(vmm, vmm2))?;
    time(&card, &mut report, "accelerator copy vmm to vmm", || {
        card.device
            .copy(&one.tensor, other.tensor.region(), card.stream)
            .map_err(|e| Failure::system("copy", e))
    })?;
    time(&card, &mut report, "is_capturing", || {
        card.device.is_capturing(card.stream).map(drop).map_err(|e| Failure::system("ask", e))
    })?;
    time(&card, &mut report, "enter", || card.device.context().enter().map(drop).map_err(of_card))?;
    time(&card, &mut report, "send", || {
        out.send_on(&form, &one.tensor, Meta::default(), card.stream, None)?;
        Ok(())
    })?;
    time(&card, &mut report, "claim and commit", || {
        let claim = out.claim_on(&form, card.id(), card.stream, None)?;
        out.commit(claim, Meta::default())?;
        Ok(())
    })?;
    time(&card, &mut report, "clock", || Ok(()))?;
    let _ = Stream::LEGACY_DEFAULT;
    report.print()
}

fn time(
    card: &Card,
    report: &mut Report,
    name: &str,
    mut call: impl FnMut() -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut samples = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let begun = monotonic_nanos();
        call()?;
        samples.push(monotonic_nanos() - begun);
        card.finish()?;
        let until = monotonic_nanos() + PAUSE_NANOS;
        while monotonic_nanos() < until {
            std::hint::spin_loop();
        }
    }
    report.add_nanos(name, OF_GOALS, "", samples)
}
