// SPDX-License-Identifier: MIT OR Apache-2.0
//! Looking at the links of this user.

use std::ffi::{CString, c_char};
use std::sync::Arc;

use uncopy::{Answer, LinkInfo, Whereabouts};

use super::call::{call, call_silently};
use super::error::uncopy_status;
use super::pointers::{Out, optional_text};
use super::sized::{SizedOut, sized_struct};
use super::values::uncopy_form;
use crate::failure::Failure;
use crate::table::{FIRST_TYPE, Table};

/// `uncopy_link_info.answer`: the producer answers, and the rest of the struct is what it showed.
pub const UNCOPY_ANSWERING: u32 = 0;
/// `uncopy_link_info.answer`: nobody answers in time: the process is stopped or very busy.
pub const UNCOPY_SILENT: u32 = 1;
/// `uncopy_link_info.answer`: the link could not be read, for the reason in `detail`.
pub const UNCOPY_REFUSED: u32 = 2;

/// `uncopy_link_info.whereabouts`: there was no frame yet.
pub const UNCOPY_NOWHERE: u32 = 0;
/// `uncopy_link_info.whereabouts`: frames are in host memory.
pub const UNCOPY_ON_HOST: u32 = 1;
/// `uncopy_link_info.whereabouts`: frames are on the CUDA device `uuid`.
pub const UNCOPY_ON_CUDA: u32 = 2;
/// `uncopy_link_info.whereabouts`: frames are in memory of a kind that this library does not know.
pub const UNCOPY_ELSEWHERE: u32 = 3;

/// What was seen of the links at one moment. A handle; any number of threads may use one at the same time.
pub struct uncopy_link_list(());

struct Listed {
    links: Vec<(LinkInfo, Texts)>,
}

/// The texts of a link, ending with a 0.
struct Texts {
    name: CString,
    command: CString,
    detail: CString,
}

static LISTS: Table<Listed> = Table::new("uncopy_link_list", FIRST_TYPE + 5);

/// A link as an observer sees it. Begin with `UNCOPY_LINK_INFO_INIT`. The texts live until the list is destroyed.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct uncopy_link_info {
    /// `sizeof(uncopy_link_info)`; after the call, the bytes that were filled.
    pub size_bytes: u32,
    /// 1.
    pub version: u32,
    /// The name.
    pub name: *const c_char,
    /// The producer's command line, `""` where it can't be told.
    pub command: *const c_char,
    /// Why it was `UNCOPY_REFUSED`, else `""`.
    pub detail: *const c_char,
    /// `UNCOPY_ANSWERING`, `UNCOPY_SILENT` or `UNCOPY_REFUSED`.
    pub answer: u32,
    /// The producer's process, 0 where it can't be told.
    pub pid: i32,
    /// How long the link has been open, in nanoseconds.
    pub uptime_nanos: u64,
    /// Frames published, which is also the number of the newest.
    pub published: u64,
    /// Frames dropped because every slot was held.
    pub dropped: u64,
    /// Consumers whose places were taken away.
    pub evicted: u64,
    /// How long the producer has waited for room, in nanoseconds.
    pub blocked_nanos: u64,
    /// Shared memory of the link, in bytes.
    pub memory_bytes: u64,
    /// Nanoseconds since the newest frame; -1 where there is none or that can't be told.
    pub last_frame_age_nanos: i64,
    /// Number of slots.
    pub slots: u32,
    /// Allocations of frame memory so far.
    pub epoch: u32,
    /// Consumers.
    pub consumers: u32,
    /// `UNCOPY_NOWHERE`, `UNCOPY_ON_HOST`, `UNCOPY_ON_CUDA` or `UNCOPY_ELSEWHERE`.
    pub whereabouts: u32,
    /// As every process calls the device of `UNCOPY_ON_CUDA`.
    pub uuid: [u8; 16],
    /// The form of the newest frame, where `has_form` is 1.
    pub form: uncopy_form,
    /// 1: `form` is one.
    pub has_form: u8,
    /// 1: the producer waits for room when every slot is held.
    pub is_blocking: u8,
    /// 1: frames on a device are in host memory too.
    pub is_mirrored: u8,
    /// 0.
    pub reserved: [u8; 5],
}
sized_struct!(uncopy_link_info, "UNCOPY_LINK_INFO_INIT", 280);

/// Looks at the links of this user, by name, without taking part: no place, no lease. `directory` is NULL for the user's own
/// runtime directory. Takes a quarter of a second at most.
///
/// Owner: the caller, who ends the list with `uncopy_link_list_destroy`.
///
/// Errors: the runtime directory can't be read.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_link_list_create(
    directory: *const c_char,
    out: *mut *mut uncopy_link_list,
) -> uncopy_status {
    call("uncopy_link_list_create", || {
        // SAFETY: the contract of the header.
        let out = unsafe { Out::at("out", out, std::ptr::null_mut()) }?;
        // SAFETY: the contract of the header.
        let found = match unsafe { optional_text("directory", directory) }? {
            None => uncopy::list()?,
            Some(directory) => {
                let directory =
                    uncopy::os::RuntimeDir::open_at(directory).map_err(uncopy::LinkError::from)?;
                uncopy::list_in(&directory)?
            }
        };
        let links = found.into_iter().map(|link| {
            let texts = Texts::of(&link);
            (link, texts)
        });
        out.put(LISTS.put(Listed { links: links.collect() }).map(std::ptr::without_provenance_mut)?);
        Ok(())
    })
}

impl Texts {
    fn of(link: &LinkInfo) -> Texts {
        let ended = |text: &str| {
            CString::new(text.bytes().filter(|byte| *byte != 0).collect::<Vec<_>>()).unwrap_or_default()
        };
        let detail = match &link.answer {
            Answer::Refused(why) => why.as_str(),
            _ => "",
        };
        Texts { name: ended(&link.name), command: ended(&link.command), detail: ended(detail) }
    }
}

/// How many links a list has.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_link_list_count(
    list: *const uncopy_link_list,
    count: *mut u64,
) -> uncopy_status {
    call("uncopy_link_list_count", || {
        // SAFETY: the contract of the header.
        let count = unsafe { Out::at("count", count, 0) }?;
        count.put(LISTS.get(list.addr())?.links.len() as u64);
        Ok(())
    })
}

/// One link of a list, `index` from 0.
///
/// Errors: `UNCOPY_ERROR_INVALID_ARGUMENT` for an index beyond the last.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_link_list_get(
    list: *const uncopy_link_list,
    index: u64,
    info: *mut uncopy_link_info,
) -> uncopy_status {
    call("uncopy_link_list_get", || {
        // SAFETY: the contract of the header.
        let info = unsafe { SizedOut::at("info", info) }?;
        let list: Arc<Listed> = LISTS.get(list.addr())?;
        let found = usize::try_from(index).ok().and_then(|index| list.links.get(index));
        let (link, texts) = found.ok_or_else(|| {
            Failure::Argument(format!("the list has {} links, and no index {index}", list.links.len()))
        })?;
        info.put(info_of(link, texts));
        Ok(())
    })
}

fn info_of(link: &LinkInfo, texts: &Texts) -> uncopy_link_info {
    let nanos = |time: std::time::Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let (whereabouts, uuid, is_mirrored) = match link.whereabouts {
        None => (UNCOPY_NOWHERE, [0; 16], false),
        Some(Whereabouts::Host) => (UNCOPY_ON_HOST, [0; 16], false),
        Some(Whereabouts::Cuda { uuid, is_mirrored }) => (UNCOPY_ON_CUDA, uuid.0, is_mirrored),
        Some(_) => (UNCOPY_ELSEWHERE, [0; 16], false),
    };
    uncopy_link_info {
        size_bytes: 0,
        version: 0,
        name: texts.name.as_ptr(),
        command: texts.command.as_ptr(),
        detail: texts.detail.as_ptr(),
        answer: match link.answer {
            Answer::Answering => UNCOPY_ANSWERING,
            Answer::Silent => UNCOPY_SILENT,
            Answer::Refused(_) => UNCOPY_REFUSED,
        },
        pid: link.producer.as_ref().map_or(0, |producer| producer.pid),
        uptime_nanos: nanos(link.uptime),
        published: link.published,
        dropped: link.dropped,
        evicted: link.evicted,
        blocked_nanos: nanos(link.blocked),
        memory_bytes: link.memory_bytes,
        last_frame_age_nanos: link
            .last_frame_age
            .and_then(|age| i64::try_from(age.as_nanos()).ok())
            .unwrap_or(-1),
        // Lossless: at most 64 and 16.
        slots: link.slots as u32,
        epoch: link.epoch,
        consumers: link.consumers.len() as u32,
        whereabouts,
        uuid,
        form: link.form.as_ref().map(uncopy_form::from).unwrap_or_default(),
        has_form: link.form.is_some().into(),
        is_blocking: link.blocks.into(),
        is_mirrored: is_mirrored.into(),
        reserved: [0; 5],
    }
}

/// Ends a list, and the texts that it gave. NULL is left alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn uncopy_link_list_destroy(list: *mut uncopy_link_list) {
    if !list.is_null() {
        call_silently("uncopy_link_list_destroy", || LISTS.take(list.addr()).map(drop));
    }
}
