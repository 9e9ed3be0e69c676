// SPDX-License-Identifier: MIT OR Apache-2.0
//! A slot on loan: the next frame is written straight into shared memory, and nothing is copied.

use std::ffi::c_void;
use std::sync::{Arc, Mutex, PoisonError};

use uncopy::dlpack::{self, DLManagedTensorVersioned};
use uncopy::{Claim, Device, LinkError, Stream, Tensor};

use super::array::{info_of, uncopy_array_info};
use super::call::{call, call_silently};
use super::error::uncopy_status;
use super::meta::{meta_of, uncopy_meta};
use super::pointers::{Out, read};
use super::publisher::{self, PublisherEnd, uncopy_publisher};
use super::sized::SizedOut;
use super::stream::stream_of;
use super::values::{uncopy_device, uncopy_form};
use super::waiting::Attentive;
use crate::failure::Failure;
use crate::table::{FIRST_TYPE, Table};

/// A slot of a link, lent for one frame. A handle, ended by `uncopy_loan_publish` or `uncopy_loan_abandon`.
pub struct uncopy_loan(());

struct Lent {
    end: Arc<PublisherEnd>,
    /// The stream that writes, on a device.
    stream: Option<Stream>,
    claim: Mutex<Option<Box<Claim>>>,
}

static LOANS: Table<Lent> = Table::new("uncopy_loan", FIRST_TYPE + 2);

impl Lent {
    fn with<R>(&self, f: impl FnOnce(&Claim) -> Result<R, LinkError>) -> Result<R, Failure> {
        let claim = self.claim.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(f(claim.as_deref().ok_or(LinkError::ForeignClaim)?)?)
    }

    fn tensor(&self) -> Result<Tensor, Failure> {
        self.with(Claim::tensor)
    }
}

fn put(
    end: Arc<PublisherEnd>,
    stream: Option<Stream>,
    claim: Box<Claim>,
) -> Result<*mut uncopy_loan, Failure> {
    let lent = Lent { end, stream, claim: Mutex::new(Some(claim)) };
    LOANS.put(lent).map(std::ptr::without_provenance_mut)
}

/// Lends a slot in host memory for a frame of `form`, to be written through `uncopy_loan_describe(...).data` or a DLPack
/// struct: nothing is copied. It holds what an older frame left there. `form` may have strides that are positive and don't
/// overlap; `uncopy_form_image` and `uncopy_form_array` make those without gaps. Waits for room where the link was opened
/// to block.
///
/// Owner: the caller, who publishes the loan or abandons it; until then the slot is nobody else's. Several loans at once are
/// fine.
///
/// Errors: `UNCOPY_ERROR_NO_FREE_SLOT` when every slot is held, which is counted as a dropped frame;
/// `UNCOPY_ERROR_FORM_MISMATCH`, `UNCOPY_ERROR_INVALID_LAYOUT`, `UNCOPY_ERROR_OUT_OF_MEMORY`, `UNCOPY_ERROR_SUPERSEDED`,
/// `UNCOPY_ERROR_INTERRUPTED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_publisher_loan(
    publisher: *mut uncopy_publisher,
    form: *const uncopy_form,
    out: *mut *mut uncopy_loan,
) -> uncopy_status {
    call("uncopy_publisher_loan", || {
        // SAFETY: the contract of the header.
        let out = unsafe { Out::at("out", out, std::ptr::null_mut()) }?;
        let end = publisher::get(publisher)?;
        // SAFETY: the contract of the header.
        let form = unsafe { read::<uncopy_form>("form", form) }?;
        let claim = end.with(|producing| {
            let (publisher, form) = producing.with_form(&form)?;
            Ok(Box::new(publisher.claim_with(form, Some(&mut Attentive(&end)))?))
        })?;
        out.put(put(end, None, claim)?);
        Ok(())
    })
}

/// Lends a slot on a device, to be written by work in `stream`: nothing is copied. As `uncopy_publisher_loan`.
///
/// Stream order: work that is put into the stream after this call finds the slot free, and what it holds by
/// `uncopy_loan_publish` is the frame; nothing has to be waited for. The stream lives until then. The first frame on another
/// device than the last begins new memory, which consumers follow by themselves.
///
/// Errors: as for `uncopy_publisher_loan`, and `UNCOPY_ERROR_INVALID_ARGUMENT` while the stream is being captured into a
/// graph, `UNCOPY_ERROR_UNSUPPORTED` without a driver, `UNCOPY_ERROR_NOT_FOUND` without such a device,
/// `UNCOPY_ERROR_DEVICE_LOST`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_publisher_loan_on(
    publisher: *mut uncopy_publisher,
    form: *const uncopy_form,
    device: uncopy_device,
    stream: *mut c_void,
    out: *mut *mut uncopy_loan,
) -> uncopy_status {
    call("uncopy_publisher_loan_on", || {
        // SAFETY: the contract of the header.
        let out = unsafe { Out::at("out", out, std::ptr::null_mut()) }?;
        let end = publisher::get(publisher)?;
        // SAFETY: the contract of the header.
        let form = unsafe { read::<uncopy_form>("form", form) }?;
        let (device, stream) = (Device::from(device), stream_of(stream));
        if device.is_host_accessible() {
            return Err(Failure::Argument(format!(
                "a loan on {device} has no stream; ask uncopy_publisher_loan for it"
            )));
        }
        let claim = end.with(|producing| {
            let (publisher, form) = producing.with_form(&form)?;
            Ok(Box::new(publisher.claim_on(form, device, stream, Some(&mut Attentive(&end)))?))
        })?;
        out.put(put(end, Some(stream), claim)?);
        Ok(())
    })
}

/// Says where the slot is: `info->data` is the address of element 0 in the memory of `info->device`, to be written until the
/// loan is over, and **never after**: by address nothing stops a late write, which changes a published frame.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_loan_describe(
    loan: *const uncopy_loan,
    info: *mut uncopy_array_info,
) -> uncopy_status {
    call("uncopy_loan_describe", || {
        // SAFETY: the contract of the header.
        let info = unsafe { SizedOut::at("info", info) }?;
        let lent = LOANS.get(loan.addr())?;
        info.put(info_of(&lent.tensor()?, lent.stream));
        Ok(())
    })
}

/// Gives the slot as a writable DLPack 1.x struct. Shares the memory.
///
/// Owner: the caller, who gives it on or calls its deleter once. While it lives the slot is not lent again; from the moment
/// the frame is published its pages in host memory are read-only, so that a late write ends this process with a message
/// instead of changing the frame.
///
/// Stream order: what writes puts its work into the loan's stream, or says so with `uncopy_loan_also_on`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_loan_to_dlpack(
    loan: *const uncopy_loan,
    out: *mut *mut DLManagedTensorVersioned,
) -> uncopy_status {
    call("uncopy_loan_to_dlpack", || {
        // SAFETY: the contract of the header.
        let out = unsafe { Out::at("out", out, std::ptr::null_mut()) }?;
        let lent = LOANS.get(loan.addr())?;
        out.put(dlpack::dlpack_versioned_from_tensor(lent.tensor()?).as_ptr());
        Ok(())
    })
}

/// Lets work in another stream write the slot too, where it is on a device: what is put into the stream from now on finds
/// the slot free, and what it holds by `uncopy_loan_publish` is part of the frame. The stream lives until then. Does nothing
/// in host memory.
///
/// Errors: `UNCOPY_ERROR_INVALID_ARGUMENT` while the stream is being captured, `UNCOPY_ERROR_DEVICE_LOST`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_loan_also_on(loan: *mut uncopy_loan, stream: *mut c_void) -> uncopy_status {
    call("uncopy_loan_also_on", || {
        let lent = LOANS.get(loan.addr())?;
        lent.with(|claim| claim.also_on(stream_of(stream)))
    })
}

/// Publishes the frame: from here on it is the newest of the link, and nobody may change it. `*seq` is its number, from 1.
/// `meta` may be NULL, and so may `seq`.
///
/// Owner: **the loan is over whatever this returns**, and its handle ended; after a failure nothing is published and the slot
/// is free again.
///
/// Errors: `UNCOPY_ERROR_INVALID_ARGUMENT` for metadata that is too long, and for a loan whose memory frames have outgrown
/// since; `UNCOPY_ERROR_CLOSED` when the publisher was destroyed, `UNCOPY_ERROR_SUPERSEDED` after a takeover,
/// `UNCOPY_ERROR_UNSUPPORTED` while another thread is inside the publisher, `UNCOPY_ERROR_DEVICE_LOST`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_loan_publish(
    loan: *mut uncopy_loan,
    meta: *const uncopy_meta,
    seq: *mut u64,
) -> uncopy_status {
    call("uncopy_loan_publish", || {
        let mut unwanted = 0;
        let seq = if seq.is_null() { &raw mut unwanted } else { seq };
        // SAFETY: the contract of the header, or a variable of ours.
        let seq = unsafe { Out::at("seq", seq, 0) }?;
        let lent = LOANS.take(loan.addr())?;
        let claim = lent.claim.lock().unwrap_or_else(PoisonError::into_inner).take();
        let claim = claim.ok_or(LinkError::ForeignClaim)?;
        // SAFETY: the contract of the header.
        let meta = unsafe { meta_of(meta) }?;
        seq.put(lent.end.with(|producing| Ok(producing.publisher.commit(*claim, meta)?))?);
        Ok(())
    })
}

/// Gives the slot back without publishing, and ends the handle. NULL is left alone; so is a loan that is over, or that was
/// made before a fork.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_loan_abandon(loan: *mut uncopy_loan) {
    if !loan.is_null() {
        call_silently("uncopy_loan_abandon", || LOANS.take(loan.addr()).map(drop));
    }
}
