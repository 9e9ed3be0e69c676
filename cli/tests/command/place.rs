// SPDX-License-Identifier: MIT OR Apache-2.0
//! Where a test runs: a directory for links, one for files, and processes that end with the test.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use uncopy::os::RuntimeDir;

/// Two directories that are gone when the test is.
pub struct Place {
    root: PathBuf,
}

impl Place {
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let root = std::env::temp_dir().join(format!("uncopy-cli-{}-{number}", std::process::id()));
        for dir in ["links", "files"] {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(root.join(dir)).unwrap();
        }
        Self { root }
    }

    /// Where links are found.
    pub fn links(&self) -> PathBuf {
        self.root.join("links")
    }

    pub fn runtime_dir(&self) -> RuntimeDir {
        RuntimeDir::open_at(self.links()).unwrap()
    }

    /// A path for a file of the test.
    pub fn file(&self, name: &str) -> PathBuf {
        self.root.join("files").join(name)
    }

    /// A file of the test that can be run.
    pub fn program(&self, name: &str, script: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt;
        let path = self.file(name);
        std::fs::write(&path, script).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// The built command, that finds no Python and no ffmpeg of this machine's.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_uncopy"));
        command.args(args).current_dir(self.root.join("files"));
        command.env("UNCOPY_RUNTIME_DIR", self.links()).env("PATH", self.root.join("files"));
        command.env_remove("UNCOPY_PYTHON").env_remove("NO_COLOR").env("TERM", "xterm");
        command
    }

    /// Runs the command to its end.
    pub fn run(&self, args: &[&str]) -> Done {
        Done::of(self.command(args))
    }

    /// Starts the command with this action for SIGHUP, whatever the tests were started with.
    pub fn start_with_hang_up(&self, action: &str, args: &[&str]) -> Running {
        let inner = self.command(args);
        let mut command = Command::new("/usr/bin/env");
        command.arg(format!("--{action}-signal=HUP")).arg(inner.get_program()).args(args);
        command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        Running::of(command)
    }

    /// Starts the command.
    pub fn start(&self, args: &[&str]) -> Running {
        Running::of(self.command(args))
    }

    /// Fails if anything was left behind, but for the errors that are kept for whoever reads them.
    pub fn is_clean(&self) {
        let mut left = self.runtime_dir().entries().unwrap();
        left.retain(|file| !file.ends_with(".errors"));
        assert!(left.is_empty(), "left behind: {left:?}");
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.root);
    }
}

/// How a command ended, and what it wrote.
#[derive(Debug)]
pub struct Done {
    pub code: Option<i32>,
    pub out: Vec<u8>,
    pub err: String,
}

impl Done {
    pub fn of(mut command: Command) -> Self {
        let output = command.stdin(Stdio::null()).output().unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        Self { code: output.status.code(), out: output.stdout, err }
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.out.clone()).unwrap()
    }

    /// Standard output, which is nothing but one JSON document.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn ended_with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        self
    }

    /// The only line of standard error that begins with `error:`, without that.
    pub fn error(&self) -> &str {
        let errors: Vec<&str> = self.err.lines().filter_map(|line| line.strip_prefix("error: ")).collect();
        assert_eq!(errors.len(), 1, "{self:?}");
        errors[0]
    }
}

/// A command that runs. It is killed with the test.
pub struct Running {
    child: Child,
    errors: BufReader<ChildStderr>,
    seen: String,
}

impl Running {
    pub fn of(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let errors = BufReader::new(child.stderr.take().unwrap());
        Self { child, errors, seen: String::new() }
    }

    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Waits until it says a line with `words` in it.
    pub fn says(&mut self, words: &str) -> &mut Self {
        loop {
            let mut line = String::new();
            assert_ne!(self.errors.read_line(&mut line).unwrap(), 0, "it ended and said only: {}", self.seen);
            self.seen.push_str(&line);
            if line.contains(words) {
                return self;
            }
        }
    }

    /// Writes to its standard input, and closes that.
    pub fn given(&mut self, bytes: &[u8]) -> &mut Self {
        self.child.stdin.take().unwrap().write_all(bytes).unwrap();
        self
    }

    /// Reads from its standard output.
    pub fn gives(&mut self, len_bytes: usize) -> Vec<u8> {
        let mut bytes = vec![0; len_bytes];
        self.child.stdout.as_mut().unwrap().read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Reads no more of its standard output.
    pub fn closes_output(&mut self) -> &mut Self {
        self.child.stdout = None;
        self
    }

    pub fn signal(&mut self, name: &str) -> &mut Self {
        let status =
            Command::new("kill").args([format!("-{name}"), self.pid().to_string()]).status().unwrap();
        assert!(status.success());
        // A process stops when its threads get to it.
        while name == "STOP" && !self.is_stopped() {
            std::thread::yield_now();
        }
        self
    }

    fn is_stopped(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        stat.rsplit(") ").next().unwrap().starts_with('T')
    }

    /// Waits for its end.
    pub fn done(mut self) -> Done {
        let mut out = Vec::new();
        if let Some(mut output) = self.child.stdout.take() {
            output.read_to_end(&mut out).unwrap();
        }
        let mut err = std::mem::take(&mut self.seen);
        self.errors.read_to_string(&mut err).unwrap();
        Done { code: self.child.wait().unwrap().code(), out, err }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A program of this machine's; without it the test is skipped, with a word.
pub fn tool(name: &str) -> Option<PathBuf> {
    let found = std::env::split_paths(&std::env::var_os("PATH").unwrap())
        .map(|dir| dir.join(name))
        .find(|path| path.is_file());
    if found.is_none() {
        println!("SKIP there is no {name} on PATH");
    }
    found
}

/// The pixels of a PNG file: width, height, colour type, bits, bytes.
pub fn png(path: &Path) -> (u32, u32, png::ColorType, png::BitDepth, Vec<u8>) {
    let file = BufReader::new(std::fs::File::open(path).unwrap());
    let mut reader = png::Decoder::new(file).read_info().unwrap();
    let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut bytes).unwrap();
    bytes.truncate(info.buffer_size());
    (info.width, info.height, info.color_type, info.bit_depth, bytes)
}
