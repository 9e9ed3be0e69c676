// SPDX-License-Identifier: MIT OR Apache-2.0
//! Forks with both ends of a link open, as `multiprocessing` of Python does.
//!
//! | command | event |
//! |---|---|
//! | `child-uses` the child calls everything, drops everything and ends | `uses` from the child, `forked` |
//! | `child-reads` the child reads the frame that its parent holds | `forked`, with the signal that ended it |
//! | `child-opens` the child opens links of its own | `opens` from the child, `forked` |
//! | `child-stays` the child lives until the commands end, whatever becomes of its parent | `child` |
//! | `frame` publishes and receives one frame in the parent | `frame` |

use std::time::Duration;

use rustix::process::{Pid, WaitOptions, waitpid};
use serde_json::{Value, json};
use uncopy::{ErrorKind, Frame, LinkError, Meta, Publisher, Subscriber};

use crate::script::{Commands, Words, emit};
use crate::{form, kind, pattern, raw};

const FORM: &str = "64x64x4";

struct Ends {
    out: Publisher,
    sub: Subscriber,
    held: Frame,
}

pub(super) fn play(words: &Words, commands: &mut Commands) {
    let mut ends = match open(words.name()) {
        Ok(ends) => ends,
        Err(error) => return crate::script::emit_error(&error),
    };
    emit(&json!({ "event": "open" }));
    while let Some(line) = commands.next_command() {
        match line.as_str() {
            "frame" => emit(&frame(&mut ends)),
            "child-stays" => match raw::fork() {
                raw::Forked::Child => {
                    while commands.next_command().is_some() {}
                    raw::leave_child(0);
                }
                raw::Forked::Parent(pid) => emit(&json!({ "event": "child", "pid": pid })),
            },
            "child-uses" => match raw::fork() {
                raw::Forked::Child => {
                    emit(&use_all(&mut ends));
                    drop(ends);
                    raw::leave_child(0);
                }
                raw::Forked::Parent(pid) => emit(&collected(pid)),
            },
            "child-reads" => {
                // Asked for before the fork; asked for after it there are none.
                let bytes = ends.held.bytes();
                match raw::fork() {
                    raw::Forked::Child => {
                        assert!(ends.held.bytes().is_empty());
                        assert_eq!(ends.held.view::<u8, 3>().err().unwrap().kind(), ErrorKind::ForkedProcess);
                        assert_eq!(ends.held.tensor().err().unwrap().kind(), ErrorKind::ForkedProcess);
                        raw::leave_child(i32::from(bytes[0]))
                    }
                    raw::Forked::Parent(pid) => emit(&collected(pid)),
                }
            }
            "child-opens" => match raw::fork() {
                raw::Forked::Child => {
                    emit(&open_again(words.name()));
                    raw::leave_child(0);
                }
                raw::Forked::Parent(pid) => emit(&collected(pid)),
            },
            other => panic!("no command '{other}'"),
        }
    }
}

fn open(name: &str) -> Result<Ends, LinkError> {
    let mut out = uncopy::publish(name).open()?;
    let mut sub = uncopy::subscribe(name).open()?;
    let held = publish(&mut out).and_then(|_| sub.recv(Duration::from_secs(60)))?;
    assert_eq!(pattern::check(held.bytes(), held.seq()), Ok(()));
    Ok(Ends { out, sub, held })
}

fn publish(out: &mut Publisher) -> Result<u64, LinkError> {
    let seq = out.seq() + 1;
    let mut loan = out.loan(&form(FORM))?;
    pattern::fill(loan.bytes_mut(), seq);
    loan.publish(Meta::default())
}

fn frame(ends: &mut Ends) -> Value {
    let received = publish(&mut ends.out).and_then(|_| ends.sub.recv(Duration::from_secs(60)));
    match received {
        Ok(frame) => {
            let whole = [&frame, &ends.held].iter().all(|f| pattern::check(f.bytes(), f.seq()).is_ok());
            json!({ "event": "frame", "seq": frame.seq(), "whole": whole })
        }
        Err(error) => json!({ "event": "error", "kind": kind(&error), "text": error.to_string() }),
    }
}

/// Every call that the parent could make, made in the child.
fn use_all(ends: &mut Ends) -> Value {
    let of =
        |result: Result<(), LinkError>| result.map_or_else(|e| kind(&e).to_owned(), |()| "ok".to_owned());
    json!({
        "event": "uses",
        "loan": of(ends.out.loan(&form(FORM)).map(drop)),
        "wait": of(ends.out.wait_for_consumers(9, Duration::ZERO)),
        "recv": of(ends.sub.recv(Duration::ZERO).map(drop)),
        "newest": of(ends.sub.newest().map(drop)),
        "tensor": of(ends.held.tensor().map(drop)),
    })
}

/// A child may have links of its own, and may read its parent's as any process may.
fn open_again(name: &str) -> Value {
    let own = format!("{name}-child");
    let result = open(&own).and_then(|mut ends| {
        let _ = frame(&mut ends);
        let mut parents = uncopy::subscribe(name).open()?;
        let frame = parents.recv(Duration::from_secs(60))?;
        Ok(pattern::check(frame.bytes(), frame.seq()).is_ok())
    });
    match result {
        Ok(whole) => json!({ "event": "opens", "whole": whole }),
        Err(error) => json!({ "event": "error", "kind": kind(&error), "text": error.to_string() }),
    }
}

fn collected(pid: i32) -> Value {
    let pid = Pid::from_raw(pid).expect("a process id");
    let status = waitpid(Some(pid), WaitOptions::empty()).expect("our own child").map(|(_, status)| status);
    let status = status.expect("it has ended");
    json!({ "event": "forked", "code": status.exit_status(), "signal": status.terminating_signal() })
}
