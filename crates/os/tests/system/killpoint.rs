// SPDX-License-Identifier: MIT OR Apache-2.0
//! Processes that die exactly where they are told to.

use std::os::unix::process::ExitStatusExt;

use uncopy_os::{kill_point, killpoint};

use crate::support::{self, Child, Role};

pub const ROLES: &[Role] = &[("killpoint::takes_three_steps_twice", takes_three_steps_twice)];

fn takes_three_steps_twice() {
    for round in 1..=2 {
        for step in ["step/first", "step/second", "step/third"] {
            kill_point(step);
            support::tell(format!("{step} {round}"));
        }
    }
    support::tell(killpoint::passed().join(","));
}

/// Plays the role under an order; answers what it got done and the signal that ended it.
fn play(order: Option<&str>) -> (Vec<String>, Option<i32>) {
    let mut child = Child::start_with("killpoint::takes_three_steps_twice", "", |command| {
        command.env_remove("UNCOPY_KILL").envs(order.map(|order| ("UNCOPY_KILL", order)));
    });
    let done = std::iter::from_fn(|| child.try_hear()).collect();
    (done, child.wait().signal())
}

#[test]
fn a_process_dies_at_the_pass_of_the_point_that_was_ordered() {
    let (done, signal) = play(Some("step/second:1"));
    assert_eq!((done, signal), (vec!["step/first 1".to_owned()], Some(libc::SIGKILL)));
    let (done, signal) = play(Some("step/second:2"));
    assert_eq!(
        (done.len(), done.last().map(String::as_str), signal),
        (4, Some("step/first 2"), Some(libc::SIGKILL))
    );
}

#[test]
fn without_a_fitting_order_a_process_lives_and_knows_the_points_it_passed() {
    for order in [None, Some("list"), Some("step/second:3"), Some("step/fourth:1")] {
        let (done, signal) = play(order);
        assert_eq!((done.len(), signal), (7, None), "{order:?}");
        assert_eq!(done[6], "step/first,step/second,step/third");
    }
}
