// SPDX-License-Identifier: MIT OR Apache-2.0
//! Running other programs: a short one for its output, an uncertain one with a time-out.

use crate::error::Error;
use std::{
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

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
    Err(format!("`{shown}` failed: {}", said.lines().last().unwrap_or("no message").trim()))
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
    fn a_try_that_hangs_ends_with_its_time_out() {
        let why = tried_for(Duration::from_millis(100), shell("exec sleep 30")).unwrap_err();
        assert!(why.contains("did not end within"), "{why}");
    }

    #[test]
    fn a_try_that_fails_says_its_last_line() {
        let why = tried_for(Duration::from_secs(30), shell("echo no network >&2; exit 1")).unwrap_err();
        assert!(why.ends_with("no network"), "{why}");
    }
}
