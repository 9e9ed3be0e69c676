// SPDX-License-Identifier: MIT OR Apache-2.0
//! Threads that begin and end while the driver is in use.

use crate::{
    driver::{Card, ok, out},
    scene::play,
};
use std::{cell::Cell, thread};

#[test]
fn a_thread_calls_until_its_end_from_the_destructors_of_its_own_variables() {
    struct CallsAtTheEnd(Cell<Option<Card>>);

    impl Drop for CallsAtTheEnd {
        fn drop(&mut self) {
            let card = self.0.get().unwrap();
            ok(card.driver.cuCtxSynchronize());
            ok(card.driver.cuCtxPushCurrent_v2(card.context));
            ok(card.driver.cuStreamSynchronize(0));
            for _ in 0..2 {
                assert_eq!(out(|context| card.driver.cuCtxPopCurrent_v2(context)), card.context);
            }
            assert_eq!(card.driver.cuCtxSynchronize(), 201);
        }
    }

    thread_local! {
        static LAST: CallsAtTheEnd = const { CallsAtTheEnd(Cell::new(None)) };
    }
    let first = || {
        let card = Card::first();
        let at_the_end = move || {
            // Before the driver's own, so that it goes after them.
            LAST.with(|_| ());
            ok(card.driver.cuCtxPushCurrent_v2(card.context));
            LAST.with(|last| last.0.set(Some(card)));
        };
        thread::spawn(at_the_end).join().unwrap();
    };
    play(&[], first, &[]);
}
