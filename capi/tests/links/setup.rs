// SPDX-License-Identifier: MIT OR Apache-2.0
//! Compilers, the installed library, and programs that are built with both.

use std::fs::DirBuilder;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The language of a program, which says who compiles it.
#[derive(Clone, Copy, PartialEq)]
pub enum Language {
    C,
    Cpp,
}

impl Language {
    fn of(source: &Path) -> Language {
        if source.extension().is_some_and(|extension| extension == "c") { Language::C } else { Language::Cpp }
    }

    fn compiler(self) -> Command {
        let mut command = Command::new(if self == Language::C { "gcc" } else { "g++" });
        command.arg(if self == Language::C { "-std=c11" } else { "-std=c++17" });
        command.args(["-D_GNU_SOURCE", "-g", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]);
        command
    }
}

/// An installed library.
pub struct Installed(PathBuf);

impl Installed {
    /// The library, or nothing after saying why the test can't run.
    pub fn find() -> Option<Installed> {
        Installed::named("UNCOPY_CAPI_PREFIX")
    }

    /// The one whose calls panic when a test wants them to.
    pub fn find_panicking() -> Option<Installed> {
        Installed::named("UNCOPY_CAPI_PANICKING")
    }

    fn named(variable: &str) -> Option<Installed> {
        let Some(prefix) = std::env::var_os(variable) else {
            println!("SKIP {variable} is not set: run it with `cargo xtask test capi`");
            return None;
        };
        for compiler in ["gcc", "g++"] {
            if !is_there(compiler) {
                println!("SKIP {compiler} is missing, with which the program is built");
                return None;
            }
        }
        Some(Installed(PathBuf::from(prefix)))
    }

    pub fn prefix(&self) -> &Path {
        &self.0
    }

    pub fn include(&self) -> PathBuf {
        self.0.join("include")
    }

    pub fn lib(&self) -> PathBuf {
        self.0.join("lib")
    }

    /// Builds a program of one file below `capi/`, with further arguments for the compiler.
    pub fn build(&self, source: &str, arguments: &[&str]) -> PathBuf {
        let (mut command, program) = self.compile(source, arguments);
        run(&mut command);
        program
    }

    /// The same where it can be built.
    pub fn try_build(&self, source: &str, arguments: &[&str]) -> Option<PathBuf> {
        let (mut command, program) = self.compile(source, arguments);
        let output = command.stdin(Stdio::null()).output().unwrap();
        output.status.success().then_some(program)
    }

    fn compile(&self, source: &str, arguments: &[&str]) -> (Command, PathBuf) {
        let source = manifest().join(source);
        let mut hasher = DefaultHasher::new();
        (arguments, &self.0).hash(&mut hasher);
        let name = format!("{}-{:x}", source.file_name().unwrap().to_string_lossy(), hasher.finish());
        let program = scratch().join(name);
        let mut command = Language::of(&source).compiler();
        command.arg("-I").arg(self.include()).arg("-I").arg(manifest().join("tests/links"));
        command.arg(&source).arg("-o").arg(&program).args(arguments);
        command.arg("-L").arg(self.lib()).args(["-luncopy", "-pthread", "-ldl"]);
        command.arg(format!("-Wl,-rpath,{}", self.lib().display()));
        (command, program)
    }
}

/// A compile of a text alone, that must succeed.
pub fn compile(language: Language, text: &str, arguments: &[&str], name: &str) {
    let extension = if language == Language::C { "c" } else { "cpp" };
    let source = scratch().join(format!("{name}.{extension}"));
    std::fs::write(&source, text).unwrap();
    let mut command = language.compiler();
    command.args(arguments).arg("-c").arg(&source).arg("-o").arg(source.with_extension("o"));
    run(&mut command);
}

/// Runs what must succeed, and returns what it printed.
pub fn run(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{err}", output.status);
    out.into_owned()
}

pub fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

pub fn manifest() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A directory for what is built.
pub fn scratch() -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("capi-links");
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

/// Where the stand-in for a driver lies, or nothing after saying why the test can't run.
pub fn driver() -> Option<String> {
    let found = std::env::var("UNCOPY_CAPI_DRIVER").ok();
    if found.is_none() {
        println!("SKIP UNCOPY_CAPI_DRIVER is not set: run it with `cargo xtask test capi`");
    }
    found
}

/// What a program needs to find it. Each piece of work is done so many microseconds after it was asked for, by stream, so
/// that a wait that is forgotten shows.
pub fn on_stand_in(driver: &str, lag_micros: &str) -> [(&'static str, String); 3] {
    [
        ("UNCOPY_STANDIN", "1".to_owned()),
        ("LD_LIBRARY_PATH", driver.to_owned()),
        ("UNCOPY_STANDIN_LAG_US", lag_micros.to_owned()),
    ]
}

/// A runtime directory of one test's own, removed at its end.
pub struct Links(PathBuf);

impl Links {
    pub fn new(test: &str) -> Links {
        // Sockets have short names: not below the target directory.
        let directory = std::env::temp_dir().join(format!("uncopy-capi-{}-{test}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&directory).unwrap();
        Links(directory)
    }

    /// A program that finds its links here, and no driver.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env("UNCOPY_RUNTIME_DIR", &self.0).env_remove("LD_LIBRARY_PATH");
        command
    }
}

impl Drop for Links {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
