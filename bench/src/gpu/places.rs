// SPDX-License-Identifier: MIT OR Apache-2.0
//! Producer and consumer on processors of their own, if the runner says so: two that spin as the two threads of one core
//! take up to twice as long for everything, and a virtual machine does not say which of its processors share a core.

use rustix::thread::{CpuSet, sched_setaffinity};

use crate::failure::Failure;

/// Processors of the producer and of the consumer, such as `0-3/4-7`; neither is bound where it is not set.
const CPUS: &str = "UNCOPY_BENCH_CPUS";

/// Whose processors.
#[derive(Clone, Copy)]
pub enum Place {
    Producer,
    Consumer,
}

/// Binds this process to its processors. To be called before it has other threads.
///
/// # Errors
/// What is said of the processors can't be read, or the system refuses them.
pub fn take(place: Place) -> Result<(), Failure> {
    let Ok(text) = std::env::var(CPUS) else { return Ok(()) };
    let strange = || Failure::Side(format!("{CPUS} is '{text}', not such as 0-3/4-7"));
    let places = text.split_once('/').ok_or_else(strange)?;
    let ours = match place {
        Place::Producer => places.0,
        Place::Consumer => places.1,
    };
    let mut set = CpuSet::new();
    for cpu in range(ours).ok_or_else(strange)? {
        set.set(cpu);
    }
    sched_setaffinity(None, &set).map_err(|error| Failure::system("bind to processors", error))
}

/// `4-7`, or `4` alone.
fn range(text: &str) -> Option<std::ops::RangeInclusive<usize>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last && last < CpuSet::MAX_CPU).then_some(first..=last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_has_two_ends_or_one() {
        assert_eq!((range("0-3"), range("3")), (Some(0..=3), Some(3..=3)));
        assert_eq!([range("7-0"), range("x"), range("0-"), range("0-99999")], [const { None }; 4]);
    }
}
