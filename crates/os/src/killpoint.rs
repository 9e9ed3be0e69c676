// SPDX-License-Identifier: MIT OR Apache-2.0
//! Named places at which a test can make a process kill itself.
//!
//! A protocol that survives crashes has to be crashed at each of its steps. [`kill_point`] marks a step. In normal
//! builds it is nothing at all. With the feature `kill-points` (test builds only), `UNCOPY_KILL=NAME:N` in the
//! environment makes the `N`-th pass (from 1) of the point `NAME` end the process with SIGKILL: no destructor runs,
//! as in a real crash. `NAME:N:stop` stops it there instead, with SIGSTOP. Any other value of the variable does
//! nothing; `passed()` then tells which points exist on the way that was taken. A forked child counts from the
//! beginning.
//!
//! The same builds play a kernel without `SO_PEERPIDFD` when `UNCOPY_WITHOUT_PEERPIDFD` is `1`:
//! [`Connection::peer_pidfd`](crate::Connection::peer_pidfd) then answers `None`; and one without `futex_waitv` when
//! `UNCOPY_WITHOUT_FUTEX_WAITV` is `1`: [`futex_wait_any`](crate::futex_wait_any) answers `None`. Normal builds ask
//! the kernel, whatever the environment says.
//!
//! ```
//! fn publish() {
//!     uncopy_os::kill_point("publish/claimed");
//!     // …
//! }
//! publish();
//! ```

/// Marks a step. Nothing in normal builds; see the module's header.
#[cfg(not(feature = "kill-points"))]
#[inline(always)]
pub fn kill_point(_name: &'static str) {}

#[cfg(feature = "kill-points")]
pub use armed::{kill_point, passed};

#[cfg(feature = "kill-points")]
mod armed {
    use std::collections::BTreeMap;

    use crate::ForkLock;

    /// A child that is forked while another thread passes a point passes points too.
    static STATE: ForkLock<State> = ForkLock::new();

    struct State {
        /// How often each point was passed.
        passed: BTreeMap<&'static str, u64>,
        order: Option<Order>,
    }

    impl Default for State {
        fn default() -> State {
            let order = std::env::var("UNCOPY_KILL").ok().and_then(|order| parse(&order));
            State { passed: BTreeMap::new(), order }
        }
    }

    /// Which pass of which point is the last, or the last for a while.
    struct Order {
        name: String,
        pass: u64,
        stops: bool,
    }

    /// Marks a step, and ends the process there if `UNCOPY_KILL` says so.
    pub fn kill_point(name: &'static str) {
        let mut state = STATE.lock();
        let count = state.passed.entry(name).or_insert(0);
        *count += 1;
        let pass = *count;
        let Some(order) = state.order.as_ref().filter(|order| order.name == name && order.pass == pass)
        else {
            return;
        };
        let stops = order.stops;
        // Other threads of a process that was stopped and goes on pass points too.
        drop(state);
        if stops { stop() } else { die() }
    }

    /// The points that this process has passed so far, in alphabetical order.
    pub fn passed() -> Vec<&'static str> {
        STATE.lock().passed.keys().copied().collect()
    }

    /// `NAME:N` or `NAME:N:stop`; `None` for anything else.
    fn parse(order: &str) -> Option<Order> {
        let (order, stops) = order.strip_suffix(":stop").map_or((order, false), |order| (order, true));
        let (name, pass) = order.rsplit_once(':')?;
        let pass = pass.parse().ok().filter(|pass| *pass > 0)?;
        Some(Order { name: name.to_owned(), pass, stops })
    }

    #[cfg(unix)]
    fn stop() {
        use rustix::process::{Signal, getpid, kill_process};
        // Cannot fail: the target is this process. It has stopped when the call returns, and goes on with SIGCONT.
        let _ = kill_process(getpid(), Signal::STOP);
    }

    #[cfg(windows)]
    fn stop() {
        std::process::abort();
    }

    #[cfg(unix)]
    fn die() {
        use rustix::process::{Signal, getpid, kill_process};
        // Cannot fail: the target is this process. It is dead when the call returns.
        let _ = kill_process(getpid(), Signal::KILL);
    }

    #[cfg(windows)]
    fn die() {
        std::process::abort();
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn an_order_names_a_point_and_a_pass() {
            let order = parse("publish/claimed:3").expect("well formed");
            assert_eq!((order.name.as_str(), order.pass, order.stops), ("publish/claimed", 3, false));
            let order = parse("publish/claimed:4:stop").expect("well formed");
            assert_eq!((order.name.as_str(), order.pass, order.stops), ("publish/claimed", 4, true));
            for nothing in ["list", "", "a:", "a:0", "a:x", "a:-1", "a:stop", "a:1:go"] {
                assert!(parse(nothing).is_none(), "{nothing:?}");
            }
        }

        #[test]
        fn points_are_listed_once_passed() {
            kill_point("test/listed");
            kill_point("test/listed");
            assert!(passed().contains(&"test/listed"));
            assert!(!passed().contains(&"test/never"));
        }
    }
}
