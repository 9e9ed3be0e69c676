// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which floor each of uncopy's own figures is held against. Rows of one round are of the same minute.

/// A row of uncopy's and what it is compared with.
pub struct Pair {
    /// As uncopy's programs call it, without its size.
    pub ours: &'static str,
    pub reference: Reference,
    /// The reference in words.
    pub what: &'static str,
}

/// Where the reference stands.
#[derive(Clone, Copy)]
pub enum Reference {
    /// A row of the floors.
    Floor(&'static str),
    /// Of two rows of the floors the slower one, of each percentile.
    SlowerFloor(&'static str, &'static str),
    /// Another row of uncopy's own.
    Ours(&'static str),
}

const fn pair(ours: &'static str, reference: Reference, what: &'static str) -> Pair {
    Pair { ours, reference, what }
}

/// A row that stands here is called so by all sizes; a new one gets a line here and, if it has a goal, in
/// `bench/goals.toml`.
pub const PAIRS: &[Pair] = &[
    pair("send_known", Reference::Floor("copy_known"), "a copy and a written word, read by the other CPU"),
    pair("send_then_kernel", Reference::Floor("copy_then_kernel"), "the same, then a kernel that reads it"),
    pair("send_stream_waits", Reference::Floor("copy_stream_waits"), "a copy, the other's stream waiting"),
    pair("send_then_host", Reference::Floor("copy_then_host"), "a copy, then one into pinned memory"),
    // Into as many places in turn as the link has slots: a single one would stay in the card's cache.
    pair(
        "loan_known",
        Reference::Floor("fill_ring_known"),
        "a kernel and a written word, read by the other CPU",
    ),
    pair("signal_known", Reference::Floor("signal_known"), "four bytes and a written word"),
    pair("send_call_rust", Reference::Floor("copy_call"), "the calls for a copy and a written word"),
    pair("send_call_python", Reference::Floor("copy_call"), "the calls for a copy and a written word"),
    pair("send_call_60hz_rust", Reference::Floor("copy_call_60hz"), "the calls for it, paced alike"),
    pair("loan_call_rust", Reference::Floor("fill_ring_call"), "the calls for a kernel and a written word"),
    pair(
        "send_known_60hz",
        Reference::SlowerFloor("copy_known_60hz", "futex_60hz"),
        "the slower of copy_known and a futex wake, both paced alike",
    ),
    pair("numpy", Reference::Floor("host_copy_done"), "a copy into pinned memory"),
    pair(
        "mirror_known",
        Reference::Floor("mirror_known"),
        "a copy into shared pinned memory and a written word",
    ),
    // Read where they lie if the cards reach each other: then nothing is copied to the second one.
    pair("send_known_two_cards", Reference::Floor("copy_known"), "the same on one card"),
    pair("send_copied_two_cards", Reference::Floor("peer_copy_known"), "a copy, then one to the second card"),
    pair("send_call_8_consumers", Reference::Ours("send_call_rust"), "the same with one consumer"),
];

/// What a row of uncopy's is held against.
pub fn of(ours: &str) -> Option<&'static Pair> {
    PAIRS.iter().find(|pair| pair.ours == ours)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{error::read_text, repo::Repo};

    impl Reference {
        fn floors(self) -> Vec<&'static str> {
            match self {
                Self::Floor(row) => vec![row],
                Self::SlowerFloor(one, other) => vec![one, other],
                Self::Ours(_) => Vec::new(),
            }
        }
    }

    #[test]
    fn each_floor_is_a_row_that_is_measured() {
        let rows = read_text(&Repo::this().join("bench/gpu/floors/rows.hpp")).unwrap();
        for floor in PAIRS.iter().flat_map(|pair| pair.reference.floors()) {
            assert!(rows.contains(&format!("\"{floor}\"")), "{floor}");
        }
    }

    #[test]
    fn a_row_of_ours_is_held_against_one_thing() {
        for pair in PAIRS {
            assert_eq!(PAIRS.iter().filter(|other| other.ours == pair.ours).count(), 1, "{}", pair.ours);
            if let Reference::Ours(other) = pair.reference {
                assert!(of(other).is_some(), "{other}");
            }
        }
    }
}
