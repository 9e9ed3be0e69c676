// SPDX-License-Identifier: MIT OR Apache-2.0
//! The helper of large copies: there when it is wanted, gone afterwards, and never missed.

use std::fs;
use std::time::{Duration, Instant};

use uncopy_core::{DType, Layout};
use uncopy_os::copy_packed;
use uncopy_tensor::{HostBuffer, Tensor};

use crate::support::{self, Child, Role};

pub const ROLES: &[Role] = &[
    ("copy::forks_while_helped", forks_while_helped),
    ("copy::copies_and_waits_for_the_end_of_its_helper", copies_and_waits_for_the_end_of_its_helper),
];

const LEN_BYTES: usize = (5 << 20) + 17;

fn picture() -> Tensor {
    let layout = Layout::contiguous(DType::U8, &[LEN_BYTES]).unwrap();
    let mut buffer = HostBuffer::zeroed(LEN_BYTES).unwrap();
    for (index, byte) in buffer.iter_mut().enumerate() {
        *byte = (index % 251) as u8;
    }
    Tensor::new(buffer.into_region(), layout, 0).unwrap()
}

fn copy_and_compare(source: &Tensor, times: usize) {
    for _ in 0..times {
        let mut out = vec![0; LEN_BYTES];
        copy_packed(source, &mut out).unwrap();
        assert!(source.region().as_bytes() == Some(&out[..]));
    }
}

/// Whether a thread of this process is the helper.
fn has_helper() -> bool {
    fs::read_dir("/proc/self/task").unwrap().any(|task| {
        let name = task.map(|task| fs::read_to_string(task.path().join("comm")).unwrap_or_default());
        name.unwrap().trim_end() == "uncopy-copy"
    })
}

fn forks_while_helped() {
    let source = picture();
    copy_and_compare(&source, 3);
    // Forks between any two steps of a copy that another thread makes.
    std::thread::scope(|threads| {
        let other = threads.spawn(|| copy_and_compare(&source, 100));
        while !other.is_finished() {
            support::collect(support::fork_and_play(|| copy_and_compare(&source, 3)));
        }
    });
}

// F45
#[test]
fn a_forked_child_copies_large_frames_though_the_helper_stayed_with_its_parent() {
    Child::start("copy::forks_while_helped", "").finish();
}

fn copies_and_waits_for_the_end_of_its_helper() {
    if std::thread::available_parallelism().is_ok_and(|cores| cores.get() < 2) {
        return support::skip("one processor: nobody helps");
    }
    let source = picture();
    for _ in 0..2 {
        copy_and_compare(&source, 10);
        assert!(has_helper(), "a large copy starts one");
        let begun = Instant::now();
        while has_helper() {
            assert!(begun.elapsed() < Duration::from_secs(60), "it ends by itself");
            std::thread::yield_now();
        }
    }
}

#[test]
fn the_helper_ends_when_nothing_is_copied_and_comes_again() {
    Child::start("copy::copies_and_waits_for_the_end_of_its_helper", "").finish();
}
