// SPDX-License-Identifier: MIT OR Apache-2.0
//! The device under test, child processes in roles, and bytes on the device and back.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::process::{self, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;

use uncopy_core::{DType, Layout, Stream};
use uncopy_cuda::{CudaDevice, CudaError, NoCuda, list_devices};
use uncopy_tensor::{Accelerator, HostBuffer, Region, Tensor};

const ROLE: &str = "UNCOPY_TEST_ROLE";

/// What a child process does, under the name that it is started by.
pub type Role = (&'static str, fn());

/// The first device; `None`, with a line that says why, where there is no driver.
pub fn device() -> Option<Arc<CudaDevice>> {
    match CudaDevice::with_ordinal(0) {
        Ok(device) => Some(device),
        Err(CudaError::NoCuda(reason)) => {
            skip(&reason);
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// The first device if the driver is the stand-in, whose faults a test may set.
pub fn standin() -> Option<Arc<CudaDevice>> {
    let device = device()?;
    let is_standin = list_devices().unwrap()[0].name.to_lowercase().contains("stand-in");
    if !is_standin {
        println!("SKIP faults of the driver can be set on the stand-in only");
    }
    is_standin.then_some(device)
}

fn skip(reason: &NoCuda) {
    println!("SKIP no CUDA driver ({reason})");
}

/// A process that plays one role. Killed and collected on drop.
pub struct Child {
    process: process::Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Child {
    /// Starts `role` after `prepare` has changed the command.
    pub fn start_with(role: &str, prepare: impl FnOnce(&mut Command)) -> Child {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["child_process_entry", "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
        command.env(ROLE, role).stdin(Stdio::piped()).stdout(Stdio::piped());
        prepare(&mut command);
        let mut process = command.spawn().unwrap();
        let stdin = process.stdin.take().unwrap();
        let stdout = BufReader::new(process.stdout.take().unwrap());
        Child { process, stdin, stdout }
    }

    /// What the child tells next.
    pub fn hear(&mut self) -> String {
        let mut line = String::new();
        while self.stdout.read_line(&mut line).unwrap() > 0 {
            if let Some(told) = line.strip_prefix('@') {
                return told.trim_end().to_owned();
            }
            line.clear();
        }
        panic!("the child ended without telling anything more");
    }

    pub fn tell(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").unwrap();
    }

    /// Kills it without a chance to clean up, and collects it.
    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Waits for its end and fails if it failed.
    pub fn finish(mut self) {
        let status = self.process.wait().unwrap();
        assert!(status.success(), "the child ended with {status}; see its output above");
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Plays `role` in a child to its end; what fails there fails here.
pub fn play_in_child(role: &str, prepare: impl FnOnce(&mut Command)) {
    Child::start_with(role, |command| {
        command.stdout(Stdio::piped());
        prepare(command);
    })
    .finish_loudly();
}

impl Child {
    /// As [`Child::finish`], with the child's output.
    fn finish_loudly(mut self) {
        let mut line = String::new();
        while self.stdout.read_line(&mut line).unwrap() > 0 {
            // What the child's harness says of the child is not to be taken for what ours says of this test.
            let mark = if line.starts_with("SKIP ") { "" } else { "| " };
            print!("{mark}{line}");
            line.clear();
        }
        self.finish();
    }
}

/// In a child process: plays the role that the parent asked for.
pub fn play_role(roles: &[&[Role]]) {
    let Ok(wanted) = env::var(ROLE) else { return };
    let role = roles.iter().copied().flatten().find(|(name, _)| *name == wanted);
    let (_, play) = role.unwrap_or_else(|| panic!("no role is called {wanted}"));
    play();
}

/// In a child process: tells the parent something.
pub fn tell(line: impl std::fmt::Display) {
    let mut out = std::io::stdout().lock();
    // The test harness may have left a line unfinished.
    write!(out, "\n@{line}\n").unwrap();
    out.flush().unwrap();
}

/// In a child process: what the parent tells next; empty when the parent is gone.
pub fn hear() -> String {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

/// The first `len_bytes` bytes of a region as an array of bytes.
pub fn bytes_of(region: &Region, len_bytes: usize) -> Tensor {
    Tensor::new(region.clone(), Layout::contiguous(DType::U8, &[len_bytes]).unwrap(), 0).unwrap()
}

/// Puts bytes of the host into a region, and waits for it.
pub fn write(device: &CudaDevice, bytes: &[u8], to: &Region) {
    let stream = device.stream().unwrap();
    let source = bytes_of(&Region::from_vec(bytes.to_vec()), bytes.len());
    device.copy(&source, to, stream).unwrap();
    device.synchronize(stream).unwrap();
}

/// What the first bytes of a region are, after everything that is in `stream`.
pub fn read_after(device: &CudaDevice, from: &Region, len_bytes: usize, stream: Stream) -> Vec<u8> {
    let place = HostBuffer::zeroed(len_bytes).unwrap().into_region();
    device.copy(&bytes_of(from, len_bytes), &place, stream).unwrap();
    device.synchronize(stream).unwrap();
    place.as_bytes().unwrap().to_vec()
}

/// What the first bytes of a region are now.
pub fn read(device: &CudaDevice, from: &Region, len_bytes: usize) -> Vec<u8> {
    read_after(device, from, len_bytes, device.stream().unwrap())
}

/// Bytes that no other place of the same frame has.
pub fn pattern(len_bytes: usize, seed: u32) -> Vec<u8> {
    (0..len_bytes as u32).map(|at| (at.wrapping_mul(2_654_435_761).wrapping_add(seed) >> 13) as u8).collect()
}

/// The error of ours inside an error of the seam.
pub fn ours(error: &std::io::Error) -> &CudaError {
    error.get_ref().and_then(|inner| inner.downcast_ref()).expect("it carries the driver's own error")
}
