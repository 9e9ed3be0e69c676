// SPDX-License-Identifier: MIT OR Apache-2.0
//! `top`: as a table, as data, and on a terminal that tmux draws.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::place::{Place, Running, tool};

/// When a screen that never shows what is waited for is called wrong. Not a measure of anything.
const HANGS_AFTER: Duration = Duration::from_secs(60);

fn sender(place: &Place, name: &str) -> Running {
    let mut sender = place.start(&["send", name, "--pattern", "--size", "64x48", "--fps", "50"]);
    sender.says("sending");
    sender
}

#[test]
fn once_is_one_plain_table() {
    let place = Place::new();
    let empty = place.run(&["top", "--once"]).ended_with(0).text();
    assert!(empty.starts_with("No link is live in "), "{empty}");
    let _camera = sender(&place, "camera");
    let mut reader = uncopy::subscribe("camera").directory(place.links()).open().unwrap();
    let held = reader.recv(Duration::from_secs(60)).unwrap();
    let text = place.run(&["top", "--once"]).ended_with(0).text();
    assert_eq!(text.lines().count(), 2, "{text}");
    for words in ["NAME", "camera  live", "uint8[48, 64, 4] rgba8", "1/4", "send camera --pattern"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!text.contains('\x1b'), "{text}");
    drop(held);
}

#[test]
fn data_comes_as_one_object_for_each_look() {
    let place = Place::new();
    let _camera = sender(&place, "camera");
    let _reader = uncopy::subscribe("camera").directory(place.links()).open().unwrap();
    let done = place.run(&["top", "--json", "--count", "3", "--every", "0.1"]).ended_with(0);
    let looks: Vec<Value> = done.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(looks.len(), 3);
    let published: Vec<u64> =
        looks.iter().map(|look| look["links"][0]["published"].as_u64().unwrap()).collect();
    assert!(published.is_sorted(), "{published:?}");
    let link = &looks[2]["links"][0];
    assert_eq!((&link["name"], &link["form"]["shape"]), (&json!("camera"), &json!([48, 64, 4])));
    assert_eq!(
        (&link["consumers"][0]["pid"], &link["consumers"][0]["read"]),
        (&json!(std::process::id()), &json!("latest"))
    );
    assert_eq!(link["consumers"].as_array().unwrap().len(), 1, "looking takes no place");
    assert!(link["fps"].as_f64().unwrap() > 0.0, "{link}");
}

#[test]
fn who_holds_what_for_how_long_and_what_went_wrong_is_seen_also_after_a_death() {
    let place = Place::new();
    let args = ["send", "camera", "--pattern", "--size", "8x8", "--slots", "2", "--fps", "50", "--wait", "1"];
    let mut camera = place.start(&args);
    camera.says("waiting for 1 consumer");
    let mut reader = uncopy::subscribe("camera").directory(place.links()).open().unwrap();
    let held = [(), ()].map(|()| reader.recv(Duration::from_secs(60)).unwrap());
    camera.says("no free slot");
    let look = place.run(&["top", "--json", "--once"]).ended_with(0).json();
    let link = &look["links"][0];
    let consumer = &link["consumers"][0];
    assert_eq!((&consumer["holds"], &link["held"]), (&json!(2), &json!(2)));
    assert!(consumer["holds_since_seconds"].as_f64().unwrap() > 0.0, "{consumer}");
    for latency in [&consumer["latency_nanos"], &link["latency_nanos"]] {
        assert!(latency["p50"].as_u64().unwrap() > 0, "{link}");
    }
    camera.signal("KILL");
    camera.done();
    drop(held);
    // The reader's own error is kept, and shown with the next link of the name.
    let lost = std::iter::repeat_with(|| reader.recv(Duration::from_millis(100)))
        .find_map(|received| received.err().filter(|error| error.kind() != uncopy::ErrorKind::TimedOut));
    assert_eq!(lost.map(|error| error.kind()), Some(uncopy::ErrorKind::ProducerLost));
    drop(reader);
    let cleaned = place.run(&["clean", "--json"]).ended_with(0).json();
    assert_eq!(cleaned["left"][0]["why"], "errors", "{cleaned}");
    let _next = sender(&place, "camera");
    let look = place.run(&["top", "--json", "--once"]).ended_with(0).json();
    let errors = look["links"][0]["errors"].as_array().unwrap();
    let error = errors.iter().find(|error| error["kind"] == "producer_lost").unwrap();
    assert_eq!((&error["side"], &error["pid"]), (&json!("consumer"), &json!(std::process::id())));
    assert!(
        error["count"].as_u64().unwrap() > 0 && error["last_age_seconds"].as_f64().unwrap() >= 0.0,
        "{error}"
    );
}

#[test]
fn what_is_no_terminal_is_refused_with_what_to_use_instead() {
    let place = Place::new();
    let done = place.run(&["top"]).ended_with(2);
    assert!(done.error().contains("--once") && done.error().contains("--json"), "{done:?}");
}

#[test]
fn f06_a_link_that_goes_and_one_that_comes_are_seen_by_who_is_looking() {
    let place = Place::new();
    let mut camera = sender(&place, "camera");
    let mut top = place.start(&["top", "--json", "--every", "0.05"]);
    let mut look_until = |wanted: &dyn Fn(&Value) -> bool| loop {
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            line.extend(top.gives(1));
        }
        let look: Value = serde_json::from_slice(&line).unwrap();
        if wanted(&look) {
            return;
        }
    };
    look_until(&|look| look["links"][0]["state"] == "live");
    camera.signal("KILL");
    camera.done();
    look_until(&|look| look["links"][0]["state"] == "gone");
    let _next = sender(&place, "camera");
    let _other = sender(&place, "other");
    look_until(&|look| look["links"][0]["state"] == "live" && look["links"][1]["name"] == "other");
}

/// The command on a terminal of its own, drawn by tmux.
struct Terminal {
    tmux: PathBuf,
    socket: PathBuf,
}

impl Terminal {
    /// Starts the command; when it ends, its exit code is on the screen.
    fn start(place: &Place, args: &str) -> Option<Self> {
        let terminal = Self { tmux: tool("tmux")?, socket: place.file("tmux") };
        let line = format!("{} {args}; echo \"ended with $?\"; exec cat", env!("CARGO_BIN_EXE_uncopy"));
        let mut command =
            terminal.command(&["-f", "/dev/null", "-u", "new-session", "-d", "-x", "120", "-y", "30"]);
        command.args(["sh", "-c", &line]).env("UNCOPY_RUNTIME_DIR", place.links()).env("LC_ALL", "C.UTF-8");
        assert!(command.status().unwrap().success());
        Some(terminal)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.tmux);
        command.arg("-S").arg(&self.socket).args(args).env_remove("TMUX").env_remove("NO_COLOR");
        command
    }

    fn keys(&self, keys: &[&str]) {
        assert!(self.command(&[&["send-keys"], keys].concat()).status().unwrap().success());
    }

    /// Waits until the screen is as wanted.
    #[track_caller]
    fn shows(&self, what: &str, wanted: impl Fn(&str) -> bool) {
        let begun = Instant::now();
        loop {
            let output = self.command(&["capture-pane", "-p"]).output().unwrap();
            let screen = String::from_utf8_lossy(&output.stdout).into_owned();
            if wanted(&screen) {
                return;
            }
            assert!(begun.elapsed() < HANGS_AFTER, "never shown: {what}: {screen}");
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.command(&["kill-server"]).status();
    }
}

#[test]
fn on_a_terminal_it_draws_obeys_keys_and_gives_the_screen_back() {
    let place = Place::new();
    let (mut camera, _screen) = (sender(&place, "camera"), sender(&place, "screen"));
    let _reader = uncopy::subscribe("screen").directory(place.links()).open().unwrap();
    let Some(terminal) = Terminal::start(&place, "top --every 0.1") else { return };
    // A screen may be seen half drawn: each look is for everything at once.
    let wanted = ["camera ", "screen ", "by name", "send camera --pattern", "nobody reads it", "q quit"];
    terminal
        .shows("both links and the selected one", |screen| wanted.iter().all(|words| screen.contains(words)));
    terminal.keys(&["Down"]);
    let own = std::process::id().to_string();
    terminal.shows("the consumer of the other link", |screen| screen.contains(&format!(" {own} latest")));
    terminal.keys(&["s", "s"]);
    terminal.shows("another order", |screen| screen.contains("by fps"));
    terminal.keys(&["p"]);
    terminal.shows("a pause", |screen| screen.contains("PAUSED"));
    terminal.keys(&["p"]);
    camera.signal("KILL");
    terminal.shows("a link that has gone", |screen| screen.contains(" gone "));
    assert!(terminal.command(&["resize-window", "-x", "70", "-y", "20"]).status().unwrap().success());
    terminal.shows("a smaller screen", |screen| screen.lines().any(|line| line.starts_with("q quit")));
    terminal.keys(&["q"]);
    terminal.shows("the screen as it was", |screen| screen.trim() == "ended with 0");
}

#[test]
fn f47_ctrl_c_on_a_terminal_interrupts_it() {
    let place = Place::new();
    let Some(terminal) = Terminal::start(&place, "top") else { return };
    terminal.shows("the hint", |screen| screen.contains("No link is live"));
    terminal.keys(&["C-c"]);
    terminal.shows("the end", |screen| screen.contains("ended with 130"));
}
