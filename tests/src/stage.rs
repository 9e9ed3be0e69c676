// SPDX-License-Identifier: MIT OR Apache-2.0
//! One test's own runtime directory and peers, and the check that nothing of them is left.
//!
//! Stages of one test binary take turns, so that descriptors, threads and mappings of the process can be told to be one
//! test's own.

use std::fs;
use std::panic::PanicHookInfo;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

use uncopy::os::RuntimeDir;
use uncopy::{LinkInfo, PublishOptions, SubscribeOptions};

use crate::footprint::Footprint;
use crate::peer::{HANGS_AFTER, Household, Peer};
use crate::wire::{self, Guest};

static TURN: Mutex<()> = Mutex::new(());
static STAGES: AtomicUsize = AtomicUsize::new(0);
/// Panics on threads of uncopy's own, which no test would notice otherwise.
static SERVICE_PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Where one test plays. At its end nothing of ours may be left: no file, descriptor, thread, mapping or process.
pub struct Stage {
    root: PathBuf,
    peer: PathBuf,
    peers: AtomicUsize,
    household: Arc<Household>,
    before: Footprint,
    _turn: MutexGuard<'static, ()>,
}

/// Where a program lies that cargo built beside the tests.
fn placed(program: &str) -> PathBuf {
    let built = PathBuf::from(program);
    match (std::env::var_os("UNCOPY_TEST_PROGRAMS"), built.file_name()) {
        (Some(dir), Some(name)) => PathBuf::from(dir).join(name),
        _ => built,
    }
}

impl Stage {
    /// Opens a stage. `peer` is the path of the peer binary: `env!("CARGO_BIN_EXE_peer")`. Where `UNCOPY_TEST_PROGRAMS`
    /// names a directory, the one in there is taken: tests that run on another machine than they were built on.
    ///
    /// # Panics
    /// When no temporary directory can be made.
    #[must_use]
    pub fn new(peer: &str) -> Self {
        // A test that failed on its stage has not broken ours.
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        watch_for_service_panics();
        let number = STAGES.fetch_add(1, SeqCst);
        let root = std::env::temp_dir().join(format!("uncopy-tests-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(&root).expect("the temporary directory can be written");
        let root = root.canonicalize().expect("it was just made");
        Self {
            root,
            peer: placed(peer),
            peers: AtomicUsize::new(0),
            household: Arc::default(),
            before: Footprint::now(),
            _turn: turn,
        }
    }

    /// The runtime directory of this stage. The product makes it.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.root.join("run")
    }

    /// A path of the test's own beside the runtime directory.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// The runtime directory, opened.
    ///
    /// # Panics
    /// When the product refuses it.
    #[must_use]
    pub fn runtime_dir(&self) -> RuntimeDir {
        RuntimeDir::open_at(self.dir()).expect("a directory of our own")
    }

    /// To publish from this process.
    #[must_use]
    pub fn publish(&self, name: &str) -> PublishOptions {
        uncopy::publish(name).directory(self.dir())
    }

    /// To subscribe in this process, for ever without a producer unless told otherwise.
    #[must_use]
    pub fn subscribe(&self, name: &str) -> SubscribeOptions {
        uncopy::subscribe(name).directory(self.dir()).timeout(None)
    }

    /// The links of this stage.
    ///
    /// # Panics
    /// When they can't be listed.
    #[must_use]
    pub fn list(&self) -> Vec<LinkInfo> {
        uncopy::list_in(&self.runtime_dir()).expect("our own directory can be read")
    }

    /// The one link called `name`.
    ///
    /// # Panics
    /// When it is not listed.
    #[must_use]
    #[track_caller]
    pub fn info(&self, name: &str) -> LinkInfo {
        let links = self.list();
        links
            .iter()
            .find(|link| link.name == name)
            .cloned()
            .unwrap_or_else(|| panic!("no {name} in {links:?}"))
    }

    /// Whether the producer of `name` sleeps because there is no room.
    ///
    /// # Panics
    /// When nobody publishes under the name.
    #[must_use]
    pub fn wants_room(&self, name: &str) -> bool {
        let guest = Guest::join(&self.runtime_dir(), name, wire::OBSERVER);
        wire::u32_of(&guest.bytes(wire::WANTS_ROOM, 8), 0) != 0
    }

    /// How many consumers of `name` sleep, or are about to.
    ///
    /// # Panics
    /// When nobody publishes under the name.
    #[must_use]
    pub fn sleepers(&self, name: &str) -> u32 {
        let guest = Guest::join(&self.runtime_dir(), name, wire::OBSERVER);
        wire::u32_of(&guest.bytes(wire::SLEEPERS, 8), 0).count_ones()
    }

    /// How many consumers of `name` have asked for a ring of their doorbell.
    ///
    /// # Panics
    /// When nobody publishes under the name.
    #[must_use]
    pub fn armed(&self, name: &str) -> u32 {
        let guest = Guest::join(&self.runtime_dir(), name, wire::OBSERVER);
        // The word before it is that of the sleepers.
        wire::u32_of(&guest.bytes(wire::SLEEPERS, 8), wire::ARMED - wire::SLEEPERS).count_ones()
    }

    /// Names in the runtime directory, sorted, but for the errors that are kept for whoever reads them.
    #[must_use]
    pub fn files(&self) -> Vec<String> {
        files_in(&self.dir()).into_iter().filter(|name| !name.ends_with(".errors")).collect()
    }

    /// The errors kept for `name`.
    ///
    /// # Panics
    /// When they can't be read.
    #[must_use]
    pub fn errors(&self, name: &str) -> Vec<uncopy::ErrorRecord> {
        uncopy::errors_in(&self.runtime_dir(), name).expect("our own directory can be read")
    }

    /// Starts a peer in a role.
    #[must_use]
    pub fn peer(&self, role: &[&str]) -> Peer {
        self.peer_in(role, |_| {})
    }

    /// Starts a peer in a role that opens a link, and waits until it has.
    ///
    /// # Panics
    /// When it can't.
    #[must_use]
    #[track_caller]
    pub fn open(&self, role: &[&str]) -> Peer {
        let mut peer = self.peer(role);
        peer.expect("open");
        peer
    }

    /// Starts a peer that kills itself at the `pass`-th pass of a kill point.
    #[must_use]
    pub fn doomed(&self, point: &str, pass: u32, role: &[&str]) -> Peer {
        self.peer_in(role, |command| {
            command.env("UNCOPY_KILL", format!("{point}:{pass}"));
        })
    }

    /// Starts a peer that stops itself at the `pass`-th pass of a kill point.
    #[must_use]
    pub fn halting(&self, point: &str, pass: u32, role: &[&str]) -> Peer {
        self.peer_in(role, |command| {
            command.env("UNCOPY_KILL", format!("{point}:{pass}:stop"));
        })
    }

    /// Starts a peer whose command `change` has changed.
    #[must_use]
    pub fn peer_in(&self, role: &[&str], change: impl FnOnce(&mut Command)) -> Peer {
        let mut command = Command::new(&self.peer);
        change(command.args(role));
        self.start(command, role)
    }

    /// Starts a peer by another program, which becomes the peer at last: `unshare`, or a shell that makes a place for
    /// it.
    ///
    /// # Panics
    /// When `outer` is empty.
    #[must_use]
    pub fn peer_under(&self, outer: &[&str], role: &[&str]) -> Peer {
        let (program, arguments) = outer.split_first().expect("a program");
        let mut command = Command::new(program);
        command.args(arguments).arg(&self.peer).args(role);
        self.start(command, role)
    }

    fn start(&self, mut command: Command, role: &[&str]) -> Peer {
        let number = self.peers.fetch_add(1, SeqCst);
        let is_set = command.get_envs().any(|(name, _)| name == "UNCOPY_KILL");
        command.env("UNCOPY_RUNTIME_DIR", self.dir());
        if !is_set {
            command.env_remove("UNCOPY_KILL");
        }
        let errors = self.path(&format!("peer-{number}.err"));
        Peer::start(
            command,
            format!("peer {number} ({})", role.join(" ")),
            errors,
            Arc::clone(&self.household),
        )
    }

    fn check_nothing_is_left(&self) {
        assert_eq!(self.household.running.load(SeqCst), 0, "peers were not waited for");
        eventually("this process has nothing of the link any more", || {
            let grown = Footprint::now().grown_since(&self.before);
            if grown.is_empty() { Ok(()) } else { Err(format!("{grown:#?}")) }
        });
        let panics = std::mem::take(&mut *lock_panics());
        assert!(panics.is_empty(), "uncopy's own threads panicked: {panics:#?}");
        if self.household.violence.load(SeqCst) && self.dir().is_dir() {
            // Whoever looks next removes what the dead left.
            let live = self.list();
            assert_eq!(live, [], "nobody is left to answer");
        }
        let files = self.files();
        assert!(files.is_empty(), "files are left: {files:?}");
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.check_nothing_is_left();
            // A leftover of the harness's own would only be noticed by whoever cleans the machine.
            fs::remove_dir_all(&self.root).expect("a directory of our own");
        }
    }
}

/// Names in a directory, sorted; none where there is no directory.
#[must_use]
pub fn files_in(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir)
        .map(|entries| entries.filter_map(|e| e.ok()?.file_name().into_string().ok()).collect())
        .unwrap_or_default();
    names.sort();
    names
}

/// Looks until `look` is content. What it waits for must come by itself; a test whose wish never comes true ends with
/// what was seen last.
///
/// # Panics
/// When it never is.
#[track_caller]
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let begun = Instant::now();
    loop {
        match look() {
            Ok(seen) => return seen,
            Err(why) if begun.elapsed() > HANGS_AFTER => panic!("never: {what}: {why}"),
            // Between two looks the others need the processor.
            Err(_) => std::thread::sleep(Duration::from_micros(200)),
        }
    }
}

fn lock_panics() -> MutexGuard<'static, Vec<String>> {
    SERVICE_PANICS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn watch_for_service_panics() {
    static WATCHING: Once = Once::new();
    WATCHING.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info: &PanicHookInfo<'_>| {
            let thread = std::thread::current();
            if thread.name().is_some_and(|name| name.starts_with("uncopy-")) {
                lock_panics().push(info.to_string());
            }
            before(info);
        }));
    });
}
