// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads numbers and bytes from the front of an input; past its end everything is 0.
//!
//! Only fixed-width numbers and counted bytes are read, so that a seed is made by writing the same in the same order.

use arbitrary::{Arbitrary, Unstructured};

/// What is left of an input.
pub struct Input<'a>(Unstructured<'a>);

impl<'a> Input<'a> {
    /// All of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(Unstructured::new(bytes))
    }

    /// Whether anything is left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A number of the type that is asked for, little endian.
    ///
    /// # Panics
    /// Never for numbers.
    pub fn number<T: Arbitrary<'a>>(&mut self) -> T {
        self.0.arbitrary().expect("an input that has ended gives zeros")
    }

    /// The next `len` bytes, or what is left of them.
    ///
    /// # Panics
    /// Never.
    pub fn bytes(&mut self, len: usize) -> &'a [u8] {
        self.0.bytes(len.min(self.0.len())).expect("no more is asked for than is left")
    }

    /// A length in two bytes, and as many bytes.
    pub fn counted(&mut self) -> &'a [u8] {
        let len = self.number::<u16>();
        self.bytes(len.into())
    }

    /// One of a few things.
    pub fn pick<'t, T>(&mut self, things: &'t [T]) -> &'t T {
        &things[usize::from(self.number::<u8>()) % things.len()]
    }

    /// All that is left.
    #[must_use]
    pub fn rest(self) -> &'a [u8] {
        self.0.take_rest()
    }
}

/// Bytes with their length in two bytes before them, as [`Input::counted`] reads them.
pub fn counted(bytes: &[u8]) -> Vec<u8> {
    let len = u16::try_from(bytes.len()).expect("a seed is small");
    [&len.to_le_bytes()[..], bytes].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_in_the_same_order() {
        let bytes = [&7u32.to_le_bytes()[..], &counted(b"name"), &(-2i64).to_le_bytes(), &[5]].concat();
        let mut input = Input::new(&bytes);
        assert_eq!((input.number::<u32>(), input.counted()), (7, &b"name"[..]));
        assert_eq!((input.number::<i64>(), *input.pick(&['a', 'b'])), (-2, 'b'));
        assert!(input.is_empty());
        assert_eq!((input.number::<u64>(), input.counted()), (0, &b""[..]));
    }
}
