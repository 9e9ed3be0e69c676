// SPDX-License-Identifier: MIT OR Apache-2.0
//! Waiting and waking, between threads and between processes.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use uncopy_os::{
    Connection, DirectoryWatch, Event, EventFd, Interest, Mapping, PidFd, Poller, Received, RuntimeDir,
    SharedMemory, Woken, futex_wait, futex_wait_any, futex_wait_marked, futex_wake, futex_wake_marked,
};
use uncopy_tensor::Access;

use crate::support::{self, Child, Role, Scratch};

pub const ROLES: &[Role] =
    &[("wake::sleeps_on_a_word", sleeps_on_a_word), ("wake::leaves_nothing", leaves_nothing)];

#[test]
fn a_word_that_has_changed_already_is_not_waited_for() {
    let word = AtomicU32::new(5);
    assert_eq!(futex_wait(&word, 4, None), Woken::ValueChanged);
}

#[test]
fn a_wait_ends_after_its_timeout_and_not_before() {
    let word = AtomicU32::new(0);
    let timeout = Duration::from_millis(20);
    let start = Instant::now();
    assert_eq!(futex_wait(&word, 0, Some(timeout)), Woken::TimedOut);
    assert!(start.elapsed() >= timeout);
    assert_eq!(futex_wait(&word, 0, Some(Duration::ZERO)), Woken::TimedOut);
}

#[test]
fn nobody_is_woken_where_nobody_waits() {
    assert_eq!(futex_wake(&AtomicU32::new(0), u32::MAX), 0);
}

#[test]
fn a_wait_without_end_is_ended_by_a_wake_and_each_wake_wakes_as_many_as_it_says() {
    let word = AtomicU32::new(0);
    std::thread::scope(|scope| {
        let word = &word;
        let sleepers: Vec<_> = [None, Some(Duration::MAX), None]
            .into_iter()
            .map(|timeout| scope.spawn(move || futex_wait(word, 0, timeout)))
            .collect();
        for _ in 0..3 {
            let woken = loop {
                match futex_wake(word, 1) {
                    0 => std::thread::yield_now(), // not asleep yet
                    woken => break woken,
                }
            };
            assert_eq!(woken, 1);
        }
        for sleeper in sleepers {
            assert_eq!(sleeper.join().unwrap(), Woken::Woken);
        }
    });
}

#[test]
fn a_marked_wake_up_passes_over_sleepers_without_its_marks() {
    let [one, other, both] = [0b01, 0b10, 0b11].map(|marks| NonZeroU32::new(marks).unwrap());
    let word = AtomicU32::new(0);
    std::thread::scope(|scope| {
        let word = &word;
        let sleeper = scope.spawn(move || futex_wait_marked(word, 0, Some(Duration::from_secs(20)), one));
        let unmarked = scope.spawn(move || futex_wait(word, 0, None));
        // Who sleeps without marks has all of them.
        while futex_wake_marked(word, u32::MAX, other) == 0 {
            std::thread::yield_now();
        }
        assert_eq!(unmarked.join().unwrap(), Woken::Woken);
        while futex_wake_marked(word, u32::MAX, both) == 0 {
            assert_eq!(futex_wake_marked(word, u32::MAX, other), 0);
            std::thread::yield_now();
        }
        assert_eq!(sleeper.join().unwrap(), Woken::Woken);
    });
    let timeout = Duration::from_millis(20);
    let start = Instant::now();
    assert_eq!(futex_wait_marked(&word, 0, Some(timeout), one), Woken::TimedOut);
    assert!(start.elapsed() >= timeout);
    assert_eq!(futex_wait_marked(&word, 1, None, one), Woken::ValueChanged);
}

#[test]
fn a_wait_for_several_words_ends_with_any_of_them() {
    let words = [0, 1, 2].map(AtomicU32::new);
    let expected = |changed: usize| -> Vec<(&AtomicU32, u32)> {
        words.iter().enumerate().map(|(at, word)| (word, (at + usize::from(at == changed)) as u32)).collect()
    };
    let timeout = Duration::from_millis(20);
    let start = Instant::now();
    let Some(woken) = futex_wait_any(&expected(9), Some(timeout)) else {
        println!("the kernel can't wait for several words: not tested");
        return;
    };
    assert_eq!(woken, Woken::TimedOut);
    assert!(start.elapsed() >= timeout);
    for changed in 0..words.len() {
        assert_eq!(futex_wait_any(&expected(changed), None), Some(Woken::ValueChanged));
    }
    for word in &words {
        std::thread::scope(|scope| {
            let sleeper = scope.spawn(|| futex_wait_any(&expected(9), None));
            while futex_wake(word, u32::MAX) == 0 {
                std::thread::yield_now();
            }
            assert_eq!(sleeper.join().unwrap(), Some(Woken::Woken));
        });
    }
    assert_eq!(futex_wait_any(&[], None), None, "nothing can wake it");
    let many: Vec<_> = (0..1000).map(|_| (&words[0], 0)).collect();
    assert_eq!(futex_wait_any(&many, None), None, "more than the kernel takes");
}

#[test]
fn a_signal_ends_a_wait_as_interrupted() {
    support::ignore_with_handler(libc::SIGUSR1);
    let (word, thread) = (AtomicU32::new(0), AtomicU64::new(0));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let sleeper = scope.spawn(|| {
            thread.store(support::current_thread(), Ordering::Release);
            let woken = futex_wait(&word, 0, None);
            is_over.store(true, Ordering::Release);
            woken
        });
        while !is_over.load(Ordering::Acquire) {
            match thread.load(Ordering::Acquire) {
                0 => std::thread::yield_now(),
                thread => support::signal_thread(thread, libc::SIGUSR1),
            }
        }
        assert_eq!(sleeper.join().unwrap(), Woken::Interrupted);
    });
}

fn sleeps_on_a_word() {
    let dir = RuntimeDir::open_at(support::argument()).unwrap();
    let connection = Connection::connect(&dir, "wake.sock").unwrap();
    connection.wait_readable(None).unwrap();
    let Received::Message { handles, .. } = connection.recv(&mut [0; 8]).unwrap() else {
        panic!("no message")
    };
    let mapping = Mapping::open(&handles[0], 4096, Access::ReadWrite).unwrap();
    let word = mapping.words().u32_at(64).unwrap();
    // The value is not changed, so only a wake-up that crosses processes can end this well.
    support::tell(format!("{:?}", futex_wait(word, 0, Some(Duration::from_secs(20)))));
}

#[test]
fn a_wake_reaches_a_sleeper_in_another_process() {
    let scratch = Scratch::new();
    let dir = scratch.runtime_dir();
    let listener = uncopy_os::Listener::bind(&dir, "wake.sock").unwrap();
    let mut child = Child::start("wake::sleeps_on_a_word", dir.path());
    let memory = SharedMemory::create("wake", 4096).unwrap();
    let connection = support::accept(&listener);
    let _ = connection.send(b"word", &[&memory.share().unwrap()]).unwrap();
    let word = memory.words().u32_at(64).unwrap();
    while futex_wake(word, 1) == 0 {
        assert!(child.process.try_wait().unwrap().is_none(), "the child sleeps until it is woken");
        std::thread::yield_now();
    }
    assert_eq!(child.hear(), "Woken");
    child.finish();
}

#[test]
fn a_doorbell_is_readable_from_its_ring_to_its_drain() {
    let (poller, bell) = (Poller::new().unwrap(), EventFd::new().unwrap());
    poller.add(&bell, 7, Interest::READ).unwrap();
    let mut events = vec![];
    let mut poll = || {
        poller.wait(&mut events, Some(Duration::ZERO)).unwrap();
        events.iter().map(|event: &Event| event.token).collect::<Vec<_>>()
    };
    assert_eq!(poll(), []);
    assert!(!bell.drain());
    bell.ring();
    bell.ring();
    assert_eq!(poll(), [7]);
    assert_eq!(poll(), [7], "until it is drained");
    assert!(bell.drain());
    assert_eq!(poll(), []);
}

#[test]
fn a_ring_from_another_thread_ends_a_wait_without_limit() {
    let (poller, bell) = (Poller::new().unwrap(), EventFd::new().unwrap());
    poller.add(&bell, 1, Interest::READ).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| bell.ring());
        let mut events = vec![Event { token: 99, readable: true, writable: true, hung_up: true }];
        poller.wait(&mut events, None).unwrap();
        assert_eq!(events, [Event { token: 1, readable: true, writable: false, hung_up: false }]);
    });
}

#[test]
fn a_poller_waits_at_least_its_timeout() {
    let poller = Poller::new().unwrap();
    let start = Instant::now();
    poller.wait(&mut Vec::new(), Some(Duration::from_micros(10_500))).unwrap();
    assert!(start.elapsed() >= Duration::from_micros(10_500));
}

#[test]
fn a_source_is_watched_for_what_was_asked_and_can_be_changed_and_removed() {
    let poller = Poller::new().unwrap();
    let (here, there) = Connection::pair().unwrap();
    poller.add(&here, 1, Interest::READ).unwrap();
    poller.add(&here, 1, Interest::READ).unwrap_err();
    let mut events = Vec::new();
    let mut poll = |poller: &Poller| {
        poller.wait(&mut events, Some(Duration::ZERO)).unwrap();
        events.clone()
    };
    assert_eq!(poll(&poller), []);
    poller.modify(&here, 2, Interest::BOTH).unwrap();
    assert_eq!(poll(&poller), [Event { token: 2, readable: false, writable: true, hung_up: false }]);
    let _ = there.send(b"x", &[]).unwrap();
    assert_eq!(poll(&poller), [Event { token: 2, readable: true, writable: true, hung_up: false }]);
    poller.modify(&here, 3, Interest::HANG_UP).unwrap();
    assert_eq!(poll(&poller), []);
    drop(there);
    let [event] = poll(&poller)[..] else { panic!("one event") };
    assert!(event.token == 3 && event.hung_up && event.readable, "{event:?}");
    poller.remove(&here).unwrap();
    assert_eq!(poll(&poller), []);
    poller.remove(&here).unwrap_err();
    poller.modify(&here, 1, Interest::READ).unwrap_err();
}

#[test]
fn more_sources_than_fit_into_one_wait_are_all_seen_in_the_end() {
    let poller = Poller::new().unwrap();
    let bells: Vec<_> = (0..200).map(|_| EventFd::new().unwrap()).collect();
    for (token, bell) in (0u64..).zip(&bells) {
        poller.add(bell, token, Interest::READ).unwrap();
        bell.ring();
    }
    let mut seen = std::collections::BTreeSet::new();
    let mut events = Vec::new();
    while seen.len() < bells.len() {
        poller.wait(&mut events, None).unwrap();
        for event in &events {
            assert!(bells[usize::try_from(event.token).unwrap()].drain(), "reported once only after a drain");
            seen.insert(event.token);
        }
    }
}

#[test]
fn a_process_can_be_watched_for_its_death() {
    let mut child = Child::start("process::waits", "");
    let held = PidFd::open(child.pid()).unwrap();
    let poller = Poller::new().unwrap();
    poller.add(&held, 4, Interest::READ).unwrap();
    let _ = child.process.kill();
    let mut events = Vec::new();
    poller.wait(&mut events, None).unwrap();
    assert!(events[0].token == 4 && events[0].readable);
    assert!(held.is_dead());
}

#[test]
fn a_watch_tells_the_names_that_come_and_go() {
    let scratch = Scratch::new();
    let dir = scratch.runtime_dir();
    std::fs::write(dir.path().join("before"), "").unwrap();
    let watch = DirectoryWatch::new(&dir).unwrap();
    let poller = Poller::new().unwrap();
    poller.add(&watch, 1, Interest::READ).unwrap();
    assert_eq!(watch.drain().unwrap(), Vec::<String>::new());

    std::fs::write(dir.path().join("made"), "").unwrap();
    std::fs::rename(dir.path().join("made"), dir.path().join("renamed")).unwrap();
    std::fs::remove_file(dir.path().join("before")).unwrap();
    let mut events = Vec::new();
    poller.wait(&mut events, None).unwrap();
    assert_eq!(watch.drain().unwrap(), ["made", "made", "renamed", "before"]);
    assert!(!watch.has_lost_changes());

    let listener = uncopy_os::Listener::bind(&dir, "camera.sock").unwrap();
    assert!(watch.drain().unwrap().contains(&"camera.sock".to_owned()));
    drop(listener);
    assert_eq!(watch.drain().unwrap(), ["camera.sock"]);
}

#[test]
fn a_watch_that_was_flooded_says_that_it_lost_changes() {
    let scratch = Scratch::new();
    let dir = scratch.runtime_dir();
    let watch = DirectoryWatch::new(&dir).unwrap();
    let most: usize =
        std::fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse().unwrap();
    if most > 100_000 {
        return support::skip(format!("the queue holds {most} events"));
    }
    // Alternating names, since equal events in a row are merged.
    for _ in 0..most / 2 + 2 {
        for name in ["a", "b"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        for name in ["a", "b"] {
            std::fs::remove_file(dir.path().join(name)).unwrap();
        }
    }
    let names = watch.drain().unwrap();
    assert!(names.len() <= most);
    assert!(watch.has_lost_changes());
    assert!(!watch.has_lost_changes(), "said once");
}

#[test]
fn a_watched_directory_that_is_removed_is_reported() {
    let scratch = Scratch::new();
    let dir = scratch.runtime_dir();
    let watch = DirectoryWatch::new(&dir).unwrap();
    let poller = Poller::new().unwrap();
    poller.add(&watch, 1, Interest::READ).unwrap();
    assert!(!dir.is_gone());
    std::fs::remove_dir(dir.path()).unwrap();
    assert!(dir.is_gone());
    poller.wait(&mut Vec::new(), None).unwrap();
    watch.drain().unwrap();
    assert!(watch.has_lost_changes());
}

fn leaves_nothing() {
    let dir = RuntimeDir::open_at(support::argument()).unwrap();
    support::leaves_nothing_behind(|| {
        let (poller, bell) = (Poller::new().unwrap(), EventFd::new().unwrap());
        let watch = DirectoryWatch::new(&dir).unwrap();
        poller.add(&bell, 1, Interest::READ).unwrap();
        poller.add(&watch, 2, Interest::READ).unwrap();
        bell.ring();
        poller.wait(&mut Vec::new(), None).unwrap();
    });
}

#[test]
fn waiting_leaves_no_descriptor_behind() {
    let scratch = Scratch::new();
    Child::start("wake::leaves_nothing", scratch.runtime_dir().path()).finish();
}
