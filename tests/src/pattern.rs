// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frame content that follows from the frame's number: any byte of another frame shows.
//!
//! A frame is pages of 4096 bytes. Page `j` of frame `seq` is one of 251 different pages of noise, the `(7 seq +
//! j)`-th, and begins with `seq` itself. So a frame that holds a page of an older or a newer frame, a page of another
//! place, a page of nothing, or one changed byte is told from a whole one. Comparing whole pages checks every byte as
//! a checksum would, and says where the first wrong one is.

use std::fmt;
use std::sync::OnceLock;

const PAGE_BYTES: usize = 4096;
const PAGES: u64 = 251;
const STAMP_BYTES: usize = 8;

/// A frame that is not what its number says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Torn {
    /// The number that the frame claims.
    pub seq: u64,
    /// The first byte that is wrong.
    pub at_byte: usize,
    /// The number that the page around it claims; `None` in a last page that is too short to say.
    pub page_seq: Option<u64>,
}

impl fmt::Display for Torn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seq, at_byte, page_seq } = self;
        write!(f, "frame {seq} is torn at byte {at_byte}, in a page of frame {page_seq:?}")
    }
}

/// Fills `bytes` with the content of frame `seq`.
pub fn fill(bytes: &mut [u8], seq: u64) {
    for (index, page) in bytes.chunks_mut(PAGE_BYTES).enumerate() {
        page.copy_from_slice(&noise(seq, index)[..page.len()]);
        let stamped = page.len().min(STAMP_BYTES);
        page[..stamped].copy_from_slice(&seq.to_le_bytes()[..stamped]);
    }
}

/// Whether every byte is that of frame `seq`.
///
/// # Errors
/// [`Torn`] with the first byte that is not.
pub fn check(bytes: &[u8], seq: u64) -> Result<(), Torn> {
    for (index, page) in bytes.chunks(PAGE_BYTES).enumerate() {
        let stamped = page.len().min(STAMP_BYTES);
        let noise = &noise(seq, index)[..page.len()];
        if page[..stamped] != seq.to_le_bytes()[..stamped] || page[stamped..] != noise[stamped..] {
            let mut wanted = noise.to_vec();
            wanted[..stamped].copy_from_slice(&seq.to_le_bytes()[..stamped]);
            let in_page = page.iter().zip(&wanted).position(|(got, want)| got != want).unwrap_or(0);
            let page_seq = page.first_chunk::<STAMP_BYTES>().map(|stamp| u64::from_le_bytes(*stamp));
            return Err(Torn { seq, at_byte: index * PAGE_BYTES + in_page, page_seq });
        }
    }
    Ok(())
}

/// CRC-32C over all bytes, to say in one number that a frame has not changed.
#[must_use]
pub fn checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}

fn noise(seq: u64, index: usize) -> &'static [u8; PAGE_BYTES] {
    static NOISE: OnceLock<Vec<[u8; PAGE_BYTES]>> = OnceLock::new();
    let pages = NOISE.get_or_init(|| (0..PAGES).map(page_of_noise).collect());
    let which = (seq % PAGES * 7 + index as u64) % PAGES;
    &pages[which as usize]
}

/// A page of splitmix64's output; every page from another seed.
fn page_of_noise(which: u64) -> [u8; PAGE_BYTES] {
    let mut page = [0; PAGE_BYTES];
    let mut state = which.wrapping_mul(0xA076_1D64_78BD_642F);
    for word in page.chunks_exact_mut(8) {
        word.copy_from_slice(&next_random(&mut state).to_le_bytes());
    }
    page
}

/// The next number of a splitmix64 sequence: small, good enough for test input, the same on every run.
pub fn next_random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_what_its_number_says_at_any_length() {
        for len in [0, 1, 7, 8, 9, 4095, 4096, 4097, 12_345] {
            let mut bytes = vec![0xAA; len];
            fill(&mut bytes, 41);
            assert_eq!(check(&bytes, 41), Ok(()), "{len}");
            assert_eq!(check(&bytes, 42).is_err(), len > 0, "{len}");
        }
    }

    #[test]
    fn any_changed_byte_is_found_where_it_is() {
        let mut bytes = vec![0; 9000];
        fill(&mut bytes, 3);
        for at in (0..9000).step_by(37) {
            bytes[at] ^= 0x10;
            assert_eq!(check(&bytes, 3).expect_err("one byte is wrong").at_byte, at);
            bytes[at] ^= 0x10;
        }
    }

    #[test]
    fn half_of_another_frame_is_found_for_every_distance_between_the_two() {
        let mut whole = vec![0; 8 * PAGE_BYTES];
        let mut other = vec![0; 8 * PAGE_BYTES];
        fill(&mut whole, 1000);
        for distance in 1..600 {
            fill(&mut other, 1000 + distance);
            other[..4 * PAGE_BYTES].copy_from_slice(&whole[..4 * PAGE_BYTES]);
            let torn = check(&other, 1000).expect_err("half of it is newer");
            assert_eq!(torn.page_seq, Some(1000 + distance));
            assert_eq!(torn.at_byte / PAGE_BYTES, 4, "{torn}");
        }
    }
}
