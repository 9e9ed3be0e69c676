// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a frame of a chaos run says of itself, and whether every byte of it agrees.
//!
//! A frame carries its stamp as metadata. Its content follows from the stamp's *key*, in which the producer's life is
//! the upper part and the number of the frame the lower: a page of another frame, or of the same number in another
//! life of the producer, is told from its own.

use uncopy::{Form, Frame, Meta};

use super::wrong::{Kind, Wrong};
use crate::pattern;

/// What a producer says of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Which life of which producer: a number of the run's own, rising.
    pub life: u64,
    /// The number of the frame.
    pub seq: u64,
    /// Index of its form in the run's list.
    pub form: u32,
    /// Its producer waits for room.
    pub blocks: bool,
}

/// Bits of a key that are the frame's number; no chaos run publishes as many.
const SEQ_BITS: u32 = 40;

impl Stamp {
    /// What the content is made from.
    #[must_use]
    pub fn key(&self) -> u64 {
        (self.life << SEQ_BITS) | self.seq
    }

    /// The stamp as metadata.
    #[must_use]
    pub fn meta(&self) -> Meta {
        let mut bytes = Vec::with_capacity(24);
        bytes.extend_from_slice(&self.life.to_le_bytes());
        bytes.extend_from_slice(&self.seq.to_le_bytes());
        bytes.extend_from_slice(&self.form.to_le_bytes());
        bytes.extend_from_slice(&u32::from(self.blocks).to_le_bytes());
        Meta::default().raw(bytes)
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        let (life, seq, rest) = (word(0)?, word(8)?, word(16)?);
        (bytes.len() == 24).then_some(Self { life, seq, form: rest as u32, blocks: rest >> 32 != 0 })
    }

    /// The stamp of a received frame, whose metadata and form it checks.
    ///
    /// # Errors
    /// What does not belong together.
    pub fn of(frame: &Frame, forms: &[Form]) -> Result<Self, Wrong> {
        let meta = frame.meta();
        let Some(stamp) = Self::read(meta.bytes) else {
            return Err(Wrong::new(
                Kind::Mixed,
                format!("frame {} has metadata {:?}", frame.seq(), meta.bytes),
            ));
        };
        if stamp.seq != frame.seq() {
            return Err(Wrong::new(
                Kind::Mixed,
                format!("frame {} has the metadata of frame {}", frame.seq(), stamp.seq),
            ));
        }
        let form = forms.get(stamp.form as usize);
        if form != Some(frame.form()) {
            return Err(Wrong::new(
                Kind::Mixed,
                format!("frame {} is {}, its producer says {form:?}", frame.seq(), frame.form()),
            ));
        }
        Ok(stamp)
    }

    /// Whether every byte of the frame is the stamp's.
    ///
    /// # Errors
    /// [`Kind::Stale`] where it is another frame throughout, else [`Kind::Torn`].
    pub fn judge(&self, frame: &Frame) -> Result<(), Wrong> {
        let bytes = frame.bytes();
        if bytes.len() != frame.form().len_bytes() {
            return Err(Wrong::new(
                Kind::Torn,
                format!("frame {} of {} has {} bytes", self.seq, frame.form(), bytes.len()),
            ));
        }
        let Err(torn) = pattern::check(bytes, self.key()) else { return Ok(()) };
        let first = bytes.first_chunk().map(|stamp| u64::from_le_bytes(*stamp));
        let other = first.filter(|key| *key != self.key() && pattern::check(bytes, *key).is_ok());
        Err(match other {
            Some(key) => Wrong::new(Kind::Stale, format!("{self} holds all of {}", shown(key))),
            None => Wrong::new(
                Kind::Torn,
                format!(
                    "{self} ({}) is torn at byte {}, in a page that begins as {}",
                    frame.form(),
                    torn.at_byte,
                    torn.page_seq.map_or("nothing".to_owned(), shown),
                ),
            ),
        })
    }
}

impl std::fmt::Display for Stamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&shown(self.key()))
    }
}

fn shown(key: u64) -> String {
    format!("frame {} of life {}", key & ((1 << SEQ_BITS) - 1), key >> SEQ_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_number_in_another_life_is_another_frame() {
        let stamp = Stamp { life: 3, seq: 7, form: 0, blocks: false };
        let mut bytes = vec![0; 10_000];
        pattern::fill(&mut bytes, stamp.key());
        assert!(pattern::check(&bytes, Stamp { life: 4, ..stamp }.key()).is_err());
        assert!(pattern::check(&bytes, stamp.key()).is_ok());
    }

    #[test]
    fn a_stamp_is_read_as_it_was_written() {
        let stamp = Stamp { life: 1 << 20, seq: (1 << 40) - 1, form: 9, blocks: true };
        let mut bytes = Vec::new();
        for word in [stamp.life, stamp.seq, 9 | 1 << 32] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        assert_eq!(stamp.meta(), Meta::default().raw(bytes.clone()));
        assert_eq!(Stamp::read(&bytes), Some(stamp));
        assert_eq!(Stamp::read(&bytes[..23]), None);
    }
}
