// SPDX-License-Identifier: MIT OR Apache-2.0
//! Running other programs: a short one for its output, a long one with signs of life,
//! an uncertain one with a time-out.

use crate::error::Error;
use std::{
    io::{BufRead, BufReader, PipeReader, Write},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    time::{Duration, Instant},
};

/// A silent run shows a sign of life this often.
const SIGN_OF_LIFE: Duration = Duration::from_secs(15);
/// What a program started must let go of its output this soon after the program itself ended.
const GRACE: Duration = Duration::from_secs(5);

/// A command as one would type it, the program without its directory.
pub fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let mut text = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}

/// Runs a command that must succeed and returns its standard output.
pub fn output_of(mut command: Command) -> Result<String, Error> {
    let shown = shown(&command);
    let output =
        command.stdin(Stdio::null()).output().map_err(|e| Error::io(format!("start `{shown}`"), e))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let tail = last_lines(&String::from_utf8_lossy(&output.stderr), 12);
    Err(Error::Command { shown, code: output.status.code(), tail })
}

/// Runs a command that must succeed, its output going straight to the terminal.
pub fn passed_through(mut command: Command) -> Result<(), Error> {
    let shown = shown(&command);
    let status =
        command.stdin(Stdio::null()).status().map_err(|e| Error::io(format!("start `{shown}`"), e))?;
    if status.success() {
        return Ok(());
    }
    Err(Error::Command { shown, code: status.code(), tail: String::new() })
}

/// Tries a command that may hang, such as a download; an error says why it did not succeed.
pub fn tried_for(limit: Duration, mut command: Command) -> Result<(), String> {
    let shown = shown(&command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("`{shown}` did not start: {e}"))?;
    let complaints = child.stderr.take();
    let reader = std::thread::spawn(move || {
        let text = complaints.and_then(|stream| std::io::read_to_string(stream).ok());
        text.unwrap_or_default()
    });
    let Some(status) = ended_within(&mut child, limit) else {
        // Either may fail only because the process has just ended by itself.
        let _ = child.kill();
        let _ = child.wait();
        return Err(format!("`{shown}` did not end within {} s", limit.as_secs()));
    };
    if status.success() {
        return Ok(());
    }
    let said = reader.join().unwrap_or_default();
    Err(format!("`{shown}` failed: {}", said.trim_end().lines().last().unwrap_or("no message").trim()))
}

fn ended_within(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let start = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if start.elapsed() < limit => std::thread::sleep(Duration::from_millis(50)),
            Ok(None) | Err(_) => return None,
        }
    }
}

/// How a watched run ended.
#[derive(Debug)]
pub struct Finished {
    /// `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output and standard error, in the order in which they came.
    pub output: String,
    /// A process that it started still holds its output: something was left behind.
    pub left_processes: bool,
}

/// Runs a long command: both outputs go to `log`, and while it runs `sign_of_life` is told the last line.
pub fn watched(
    mut command: Command,
    log: &Path,
    sign_of_life: &mut dyn FnMut(Duration, &str),
) -> Result<Finished, Error> {
    let shown = shown(&command);
    let doing = || format!("run `{shown}`");
    let (reader, writer) = std::io::pipe().map_err(|e| Error::io(doing(), e))?;
    let twin = writer.try_clone().map_err(|e| Error::io(doing(), e))?;
    let spawned = command.stdin(Stdio::null()).stdout(writer).stderr(twin).spawn();
    let mut child = spawned.map_err(|e| Error::io(doing(), e))?;
    // The command owns our ends of the pipe; while they are open the reader sees no end.
    drop(command);
    let (sender, receiver) = channel();
    std::thread::spawn(move || forward_lines(reader, &sender));
    let (output, left_processes) = collect(&mut child, &receiver, sign_of_life);
    let status = child.wait().map_err(|e| Error::io(doing(), e))?;
    append(log, &format!("$ {shown}\n{output}\n"))?;
    Ok(Finished { code: status.code(), output, left_processes })
}

fn forward_lines(reader: PipeReader, sender: &Sender<String>) {
    let mut reader = BufReader::new(reader);
    let mut line = Vec::new();
    while matches!(reader.read_until(b'\n', &mut line), Ok(1..)) {
        if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
            return;
        }
        line.clear();
    }
}

/// Gathers lines until the last holder of the pipe is gone; true when one outlived the child.
fn collect(
    child: &mut Child,
    lines: &Receiver<String>,
    sign_of_life: &mut dyn FnMut(Duration, &str),
) -> (String, bool) {
    let (start, mut shown_at, mut child_ended) = (Instant::now(), Instant::now(), None);
    let (mut output, mut last) = (String::new(), String::new());
    loop {
        match lines.recv_timeout(Duration::from_millis(200)) {
            Ok(line) => {
                output.push_str(&line);
                if !line.trim().is_empty() {
                    last = line.trim().to_string();
                }
            }
            Err(RecvTimeoutError::Disconnected) => return (output, false),
            Err(RecvTimeoutError::Timeout) => {
                if child_ended.is_none() && matches!(child.try_wait(), Ok(Some(_))) {
                    child_ended = Some(Instant::now());
                }
                if child_ended.is_some_and(|at: Instant| at.elapsed() >= GRACE) {
                    return (output, true);
                }
            }
        }
        if shown_at.elapsed() >= SIGN_OF_LIFE {
            sign_of_life(start.elapsed(), &last);
            shown_at = Instant::now();
        }
    }
}

fn append(log: &Path, text: &str) -> Result<(), Error> {
    let mut open = std::fs::OpenOptions::new();
    open.create(true)
        .append(true)
        .open(log)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|e| Error::io(format!("write {}", log.display()), e))
}

/// The last lines of a text.
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines.iter().skip(lines.len().saturating_sub(count)).copied().collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn log(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("uncopy-xtask-{}-{name}", std::process::id()))
    }

    #[test]
    fn output_of_returns_the_standard_output_alone() {
        assert_eq!(output_of(shell("echo seen; echo hidden >&2")).unwrap(), "seen\n");
    }

    #[test]
    fn a_failed_command_is_an_error_with_its_code_and_last_words() {
        let error = output_of(shell("echo why >&2; exit 3")).unwrap_err().to_string();
        assert!(error.contains("code 3") && error.contains("why"), "{error}");
    }

    #[test]
    fn watched_keeps_both_outputs_in_order_and_writes_the_log() {
        let log = log("order");
        let done = watched(shell("echo one; echo two >&2; exit 4"), &log, &mut |_, _| ()).unwrap();
        assert_eq!((done.code, done.output.as_str()), (Some(4), "one\ntwo\n"));
        assert!(!done.left_processes);
        assert!(std::fs::read_to_string(&log).unwrap().contains("one\ntwo\n"));
        std::fs::remove_file(log).unwrap();
    }

    #[test]
    fn watched_notices_a_process_that_was_left_behind() {
        let log = log("left");
        let done = watched(shell("sleep 30 & echo $!"), &log, &mut |_, _| ()).unwrap();
        // The shell's own: a bare Debian has no kill program.
        output_of(shell(&format!("kill {}", done.output.trim()))).unwrap();
        std::fs::remove_file(log).unwrap();
        assert!(done.left_processes);
    }

    #[test]
    fn a_try_that_hangs_ends_with_its_time_out() {
        let why = tried_for(Duration::from_millis(100), shell("exec sleep 30")).unwrap_err();
        assert!(why.contains("did not end within"), "{why}");
    }

    #[test]
    fn a_try_that_fails_says_its_last_line() {
        let why =
            tried_for(Duration::from_secs(30), shell("echo no network >&2; echo >&2; exit 1")).unwrap_err();
        assert!(why.ends_with("no network"), "{why}");
    }
}
