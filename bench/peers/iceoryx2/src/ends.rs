// SPDX-License-Identifier: MIT OR Apache-2.0
//! What both contestants do, in the same order: two links (or services), each written by one side.

use uncopy_bench::{failure::Failure, trips::Contestant};

/// One side of two links: it writes one and reads the other.
pub trait Ends {
    /// Takes memory for the next frame on loan.
    fn loan(&mut self) -> Result<(), Failure>;
    /// Writes `number` into the first and the last 8 bytes of the loan, and nothing else, and sends it.
    fn send(&mut self, number: u64) -> Result<(), Failure>;
    /// Polls until there is a frame, holds it, and reads its first and last 8 bytes.
    fn receive(&mut self) -> Result<[u64; 2], Failure>;
    /// Gives the held frame back.
    fn release(&mut self);
}

/// Ends that send numbers there and back.
pub struct Trips<E> {
    ends: E,
    trips: u64,
}

impl<E: Ends> Trips<E> {
    pub fn new(mut ends: E) -> Result<Self, Failure> {
        ends.loan()?;
        Ok(Self { ends, trips: 0 })
    }

    fn receive(&mut self, number: u64) -> Result<(), Failure> {
        let found = self.ends.receive()?;
        if found == [number; 2] {
            return Ok(());
        }
        Err(Failure::Side(format!("a frame of trip {number} holds {} and {}", found[0], found[1])))
    }
}

impl<E: Ends> Contestant for Trips<E> {
    fn ping(&mut self) -> Result<(), Failure> {
        self.trips += 1;
        self.ends.send(self.trips)?;
        self.receive(self.trips)
    }

    fn pong(&mut self) -> Result<(), Failure> {
        self.trips += 1;
        self.receive(self.trips)?;
        self.ends.send(self.trips)
    }

    fn tidy(&mut self) -> Result<(), Failure> {
        self.ends.release();
        self.ends.loan()
    }
}

/// The first and the last 8 bytes of a frame.
pub fn numbers_in(frame: &[u8]) -> Option<[u64; 2]> {
    Some([u64::from_le_bytes(*frame.first_chunk()?), u64::from_le_bytes(*frame.last_chunk()?)])
}

/// Writes `number` into the first and the last 8 bytes of a frame.
pub fn write_number(frame: &mut [u8], number: u64) {
    if let Some(first) = frame.first_chunk_mut() {
        *first = number.to_le_bytes();
    }
    if let Some(last) = frame.last_chunk_mut() {
        *last = number.to_le_bytes();
    }
}

/// A frame that is too short to carry anything.
pub fn too_short(len_bytes: usize) -> Failure {
    Failure::Side(format!("a frame of {len_bytes} bytes"))
}
