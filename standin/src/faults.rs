// SPDX-License-Identifier: MIT OR Apache-2.0
//! Calls that are made to fail: `UNCOPY_STANDIN_FAULTS="cuMemCreate:2=2;cuStreamSynchronize:1=700!;cuInit:1=kill"`.
//!
//! | form | what happens |
//! |---|---|
//! | `NAME:N=CODE` | the N-th call of NAME answers CODE and does nothing else |
//! | `NAME:N+=CODE` | so does every later one |
//! | `NAME:N=CODE!` | the context is broken for good, as by a fault on the card |
//! | `NAME:N=kill` | the process is killed (SIGKILL) before the call does anything |

use crate::{log, settings, symbols};
use std::sync::{
    OnceLock,
    atomic::{AtomicU64, Ordering},
};

/// What a call is made to answer.
#[derive(Clone, Copy)]
pub struct Fault {
    pub code: i32,
    pub is_sticky: bool,
}

struct Plan {
    name: String,
    nth: u64,
    is_lasting: bool,
    /// None kills.
    fault: Option<Fault>,
    // Counted without a lock, so that a forked child can't find one taken.
    seen: AtomicU64,
}

/// Counts the call, and says what it is made to answer.
pub fn next(name: &'static str) -> Option<Fault> {
    let mut due = None;
    for plan in plans().iter().filter(|plan| plan.name == name) {
        let seen = plan.seen.fetch_add(1, Ordering::Relaxed) + 1;
        if seen == plan.nth || (plan.is_lasting && seen > plan.nth) {
            due = due.or(Some(plan.fault));
        }
    }
    due.map(|fault| fault.unwrap_or_else(|| kill(name)))
}

fn kill(name: &'static str) -> ! {
    log::note_kill(name);
    // A process can always send itself a signal, and this one is not survived.
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    std::process::abort()
}

fn plans() -> &'static [Plan] {
    static PLANS: OnceLock<Vec<Plan>> = OnceLock::new();
    PLANS.get_or_init(|| {
        let text = settings::settings().faults.split(';').map(str::trim).filter(|text| !text.is_empty());
        text.map(|text| {
            plan(text).unwrap_or_else(|| {
                settings::refuse(&format!("no fault: {text:?}; see faults.rs for the forms"))
            })
        })
        .collect()
    })
}

fn plan(text: &str) -> Option<Plan> {
    let (call, outcome) = text.split_once('=')?;
    let (name, nth) = call.split_once(':')?;
    let is_lasting = nth.ends_with('+');
    let nth = nth.trim_end_matches('+').parse().ok().filter(|nth| *nth > 0)?;
    if !symbols::is_known(name) {
        settings::refuse(&format!("{text:?}: there is no function {name}"));
    }
    let fault = match outcome {
        "kill" => None,
        code => {
            Some(Fault { code: code.trim_end_matches('!').parse().ok()?, is_sticky: code.ends_with('!') })
        }
    };
    Some(Plan { name: name.to_string(), nth, is_lasting, fault, seen: AtomicU64::new(0) })
}
