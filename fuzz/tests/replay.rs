// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every target over its corpus, and over mutations of it: the same inputs on each run, shrunk when one fails.
#![forbid(unsafe_code)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "tests fail by panicking"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use uncopy_fuzz::{Seed, TARGETS, Target};

fn corpus_of(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target.name)
}

/// The corpus in the order of its names.
fn corpus(target: &Target) -> Vec<Seed> {
    let dir = corpus_of(target);
    let entries = fs::read_dir(&dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    let mut corpus: Vec<Seed> = entries
        .map(|entry| entry.expect("a directory of the repository").path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(path).unwrap()))
        .collect();
    corpus.sort();
    corpus
}

/// One change of an input.
#[derive(Clone, Debug)]
enum Edit {
    Flip {
        at: usize,
        bits: u8,
    },
    Put {
        at: usize,
        number: u64,
        len: usize,
    },
    Insert {
        at: usize,
        bytes: Vec<u8>,
    },
    Remove {
        at: usize,
        len: usize,
    },
    /// Goes on with the end of another entry of the corpus.
    Splice {
        at: usize,
        other: usize,
        from: usize,
    },
}

impl Edit {
    fn apply(&self, input: &mut Vec<u8>, corpus: &[Seed]) {
        let within = |at: usize, len: usize| if len == 0 { 0 } else { at % len };
        match self {
            Self::Flip { at, bits } => {
                let at = within(*at, input.len());
                input.get_mut(at).into_iter().for_each(|byte| *byte ^= bits);
            }
            Self::Put { at, number, len } => {
                let at = within(*at, input.len());
                input
                    .iter_mut()
                    .skip(at)
                    .zip(number.to_le_bytes())
                    .take(*len)
                    .for_each(|(to, byte)| *to = byte);
            }
            Self::Insert { at, bytes } => {
                let at = within(*at, input.len() + 1);
                input.splice(at..at, bytes.iter().copied());
            }
            Self::Remove { at, len } => {
                let at = within(*at, input.len());
                input.drain(at..(at + len).min(input.len()));
            }
            Self::Splice { at, other, from } => {
                let other = &corpus[other % corpus.len()].1;
                input.truncate(within(*at, input.len() + 1));
                input.extend(&other[within(*from, other.len())..]);
            }
        }
    }
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = || 0_usize..5000;
    let number = prop_oneof![
        Just(0),
        Just(u64::MAX),
        0_u64..70,
        (0_u32..64).prop_map(|bit| 1 << bit),
        (0_u32..64).prop_map(|bit| (1_u64 << bit).wrapping_neg()),
        any::<u64>(),
    ];
    prop_oneof![
        (at(), 1_u8..).prop_map(|(at, bits)| Edit::Flip { at, bits }),
        (at(), number, prop::sample::select(vec![1, 2, 4, 8])).prop_map(|(at, number, len)| Edit::Put {
            at,
            number,
            len
        }),
        (at(), prop::collection::vec(any::<u8>(), 1..12)).prop_map(|(at, bytes)| Edit::Insert { at, bytes }),
        (at(), 1_usize..20).prop_map(|(at, len)| Edit::Remove { at, len }),
        (at(), any::<usize>(), at()).prop_map(|(at, other, from)| Edit::Splice { at, other, from }),
    ]
}

/// Runs `cases` mutations of the corpus of the target called `name`, after the corpus itself.
fn replay(name: &str, cases: u32) {
    // One at a time: some count the descriptors of this process.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target of ours");
    let corpus = corpus(target);
    let mut body = target.start();
    for (name, input) in &corpus {
        println!("{name}");
        body(input);
    }
    drop(body);
    // A failed input must not leave its ruins to those that shrink it.
    let running = std::cell::RefCell::new(None);
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mutations = (any::<usize>(), prop::collection::vec(edit(), 1..6));
    let result = TestRunner::new_with_rng(config, rng).run(&mutations, |(entry, edits)| {
        let mut input = corpus[entry % corpus.len()].1.clone();
        edits.iter().for_each(|edit| edit.apply(&mut input, &corpus));
        let mut body = running.take().unwrap_or_else(|| target.start());
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| body(&input)))
            .map_err(|panic| TestCaseError::fail(format!("{}\n{input:02x?}", text_of(&*panic))))?;
        running.replace(Some(body));
        Ok(())
    });
    if let Err(failure) = result {
        panic!("{name}: {failure}");
    }
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

#[test]
fn f14_headers_of_any_kind_are_judged_as_the_tables_say() {
    replay("header", 3_000);
}

#[test]
fn f22_messages_of_any_kind_are_judged_as_the_tables_say() {
    replay("message", 3_000);
}

#[test]
fn f22_clients_that_say_anything_leave_the_link_as_it_was() {
    replay("from_client", 400);
}

#[test]
fn f14_producers_that_say_anything_are_survived_and_leave_nothing() {
    replay("from_producer", 400);
}

#[test]
fn f18_descriptions_of_any_kind_are_judged_as_the_tables_say() {
    replay("description", 2_000);
}

#[test]
fn f15_words_scribbled_over_between_and_during_calls_are_survived() {
    replay("control_page", 150);
}

#[test]
fn f14_error_files_of_any_kind_are_read_line_by_line_and_written_on() {
    replay("errors_file", 150);
}

#[test]
fn dtype_texts_of_any_kind_are_judged_as_the_lists_say() {
    replay("dtype_text", 3_000);
}

#[test]
fn f18_shapes_and_strides_of_any_kind_are_judged_as_wide_numbers_say() {
    replay("layout", 3_000);
}

#[test]
fn f18_dlpack_structs_of_any_kind_are_taken_or_refused_with_one_deleter_call() {
    replay("dlpack", 3_000);
}

#[test]
fn link_names_of_any_kind_are_judged_as_the_rule_says() {
    replay("link_name", 3_000);
}

/// `UNCOPY_WRITE_SEEDS=1` writes those that are missing or others: golden bytes are part of some.
#[test]
fn the_corpus_holds_the_seeds_that_the_code_makes() {
    let writes = std::env::var_os("UNCOPY_WRITE_SEEDS").is_some();
    for target in TARGETS {
        let dir = corpus_of(target);
        for (name, seed) in (target.seeds)() {
            let path = dir.join(&name);
            if fs::read(&path).ok().as_ref() == Some(&seed) {
                continue;
            }
            assert!(writes, "{} is not what the code makes; UNCOPY_WRITE_SEEDS=1 writes it", path.display());
            fs::create_dir_all(&dir).expect("the corpus can be written");
            fs::write(&path, &seed).expect("the corpus can be written");
        }
    }
}
