// SPDX-License-Identifier: MIT OR Apache-2.0
use std::io::{self, PipeWriter, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use uncopy_core::Device;
use uncopy_tensor::{Export, ShareHandle};

/// Stands for memory; the handle is the end of a pipe, so that a test can see where it leads.
struct Memory(PipeWriter);

impl Export for Memory {
    fn device(&self) -> Device {
        Device::CPU
    }

    fn len_bytes(&self) -> usize {
        4096
    }

    fn share(&self) -> io::Result<ShareHandle> {
        Ok(ShareHandle::from(OwnedFd::from(self.0.try_clone()?)))
    }
}

#[test]
fn handles_of_any_memory_lead_to_it_and_close_on_their_own() {
    let (mut ours, theirs) = io::pipe().unwrap();
    let memory: Box<dyn Export + Send + Sync> = Box::new(Memory(theirs));
    let first = memory.share().unwrap();
    let second = first.try_clone().unwrap();
    drop(first);
    drop(memory);
    assert!(second.as_fd().try_clone_to_owned().is_ok());
    PipeWriter::from(OwnedFd::from(second)).write_all(b"here").unwrap();
    let mut read = String::new();
    ours.read_to_string(&mut read).unwrap();
    assert_eq!(read, "here", "the stream ended, so every handle was closed");
}
