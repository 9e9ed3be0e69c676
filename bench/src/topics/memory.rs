// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a link takes beyond its frames: every shared segment of the producer and of two consumers, counted once.

use super::Role;
use crate::{
    failure::Failure,
    figure::{Figure, Round, Series, Unit},
    run::Run,
    side::Side,
};
use std::{collections::BTreeMap, fs, os::linux::fs::MetadataExt};
use uncopy::{DType, Form, Meta, publish};

const SLOTS: usize = 4;
const CONSUMERS: usize = 2;
/// How the path of a shared segment begins.
const SEGMENT: &str = "/memfd:";
/// Names of figures, with the shape of a frame of bytes.
const FORMS: [(&str, &[usize]); 2] =
    [("link_overhead_1080p", &[1080, 1920, 4]), ("link_overhead_64b", &[64])];

pub fn measure(run: &Run) -> Result<Vec<Figure>, Failure> {
    let mut figures = Vec::new();
    for (name, shape) in FORMS {
        run.say(&format!("{name}: what a link takes"));
        let form = Form::new(DType::U8, shape)?;
        let segments = segments_of_a_link(run, name, &form)?;
        let total: u64 = segments.values().sum();
        let frames = (SLOTS * form.len_bytes()) as u64;
        let what = format!(
            "{} shared segments of {total} bytes in all, less {SLOTS} slots x {} bytes, with {CONSUMERS} consumers",
            segments.len(),
            form.len_bytes()
        );
        figures.push(bytes(name, what, total as f64 - frames as f64));
    }
    if let Some(wheel) = run.wheel() {
        let data =
            fs::metadata(wheel).map_err(|e| Failure::system(format!("read {}", wheel.display()), e))?;
        let file = wheel.file_name().unwrap_or_default().to_string_lossy();
        figures.push(bytes("wheel", format!("size of the file {file}"), data.len() as f64));
    }
    Ok(figures)
}

fn bytes(name: &str, what: String, value: f64) -> Figure {
    let ours = Series::new(what, vec![Round::single(value)]);
    Figure { name: name.to_owned(), unit: Unit::Bytes, warm_up: "none".to_owned(), ours, reference: None }
}

/// Sizes of the segments of one link in use, by inode.
fn segments_of_a_link(run: &Run, name: &str, form: &Form) -> Result<BTreeMap<u64, u64>, Failure> {
    let before = segments(std::process::id())?;
    let mut out = publish(name).slots(SLOTS).directory(run.dir()).open()?;
    let mut consumers = Vec::new();
    for _ in 0..CONSUMERS {
        let mut consumer = Side::start(Role::Bystander, &[&run.dir_argument(), name])?;
        consumer.expect("ready")?;
        consumers.push(consumer);
    }
    for _ in 0..2 * SLOTS {
        out.loan(form)?.publish(Meta::default())?;
    }
    let mut found = segments(std::process::id())?;
    for consumer in &consumers {
        found.extend(segments(consumer.process_id())?);
    }
    found.retain(|inode, _| !before.contains_key(inode));
    consumers.into_iter().try_for_each(Side::dismiss)?;
    Ok(found)
}

/// The shared segments that a process has open or mapped: their sizes by inode.
fn segments(process: u32) -> Result<BTreeMap<u64, u64>, Failure> {
    let maps = format!("/proc/{process}/maps");
    let text = fs::read_to_string(&maps).map_err(|e| Failure::system(format!("read {maps}"), e))?;
    let mut found = BTreeMap::new();
    for (inode, end_bytes) in text.lines().filter_map(mapped_segment) {
        let size = found.entry(inode).or_insert(0);
        *size = end_bytes.max(*size);
    }
    let dir = format!("/proc/{process}/fd");
    let entries = fs::read_dir(&dir).map_err(|e| Failure::system(format!("list {dir}"), e))?;
    for entry in entries.filter_map(Result::ok) {
        // What is gone by now was the descriptor of this listing.
        let Ok(target) = fs::read_link(entry.path()) else { continue };
        if target.to_string_lossy().starts_with(SEGMENT) {
            let data =
                fs::metadata(entry.path()).map_err(|e| Failure::system(format!("look into {dir}"), e))?;
            found.insert(data.st_ino(), data.st_size());
        }
    }
    Ok(found)
}

/// Inode of the segment that a line of `/proc/PID/maps` is about, and how far into it the mapping reaches.
fn mapped_segment(line: &str) -> Option<(u64, u64)> {
    let mut words = line.split_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let hex = |text| u64::from_str_radix(text, 16).ok();
    let offset = words.nth(1).and_then(hex)?;
    let inode = words.nth(1)?.parse().ok()?;
    words.next()?.starts_with(SEGMENT).then_some((inode, offset + hex(end)? - hex(start)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_segment_is_told_from_other_mappings() {
        let line = "7f0000001000-7f0000003000 rw-s 00001000 00:01 4711       /memfd:uncopy:x (deleted)";
        assert_eq!(mapped_segment(line), Some((4711, 0x3000)));
        assert_eq!(
            mapped_segment("7f0000001000-7f0000003000 r-xp 00001000 fe:00 99 /usr/lib/libc.so.6"),
            None
        );
        assert_eq!(mapped_segment("7f0000001000-7f0000003000 rw-p 00000000 00:00 0"), None);
    }
}
