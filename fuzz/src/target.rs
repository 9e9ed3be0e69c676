// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a fuzz target is, and how it is run from a program.

use std::cell::RefCell;

use crate::panics;

/// Runs one input. It panics where the product breaks a promise.
pub type Body = Box<dyn FnMut(&[u8])>;

/// An input that the corpus begins with: the name of its file, and its bytes.
pub type Seed = (String, Vec<u8>);

/// One fuzz target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: that of its program and of its corpus.
    pub name: &'static str,
    /// Makes what lasts from one input to the next.
    pub begin: fn() -> Body,
    /// The corpus that code makes; what a fuzzer finds comes on top.
    pub seeds: fn() -> Vec<Seed>,
}

impl Target {
    /// Starts the target, for inputs to follow. Panics on threads of the product's own count too.
    #[must_use]
    pub fn start(&self) -> Body {
        panics::watch();
        let mut body = (self.begin)();
        Box::new(move |input| {
            body(input);
            panics::check();
        })
    }
}

thread_local! {
    static RUNNING: RefCell<Option<Body>> = const { RefCell::new(None) };
}

/// Runs one input of a program's one target, which is started by the first.
pub fn run_one(target: &Target, input: &[u8]) {
    RUNNING.with_borrow_mut(|running| running.get_or_insert_with(|| target.start())(input));
}

/// Runs the files that the command line names, in this order.
pub fn replay_files(target: &Target) {
    let mut body = target.start();
    for path in std::env::args_os().skip(1) {
        let input = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        println!("{}: {} bytes", path.display(), input.len());
        body(&input);
    }
}

/// The `main` of a target's program: libFuzzer's under `cargo fuzz`, else a replay of files.
#[macro_export]
macro_rules! run_target {
    ($target:expr) => {
        #[cfg(fuzzing)]
        $crate::libfuzzer_sys::fuzz_target!(|input: &[u8]| $crate::run_one(&$target, input));

        #[cfg(not(fuzzing))]
        fn main() {
            $crate::replay_files(&$target);
        }
    };
}
