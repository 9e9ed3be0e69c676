// SPDX-License-Identifier: MIT OR Apache-2.0
//! The Rust consumer of the demo: receives every frame, checks it, and keeps a few small pictures.

use std::io::Write;
use std::path::{Path, PathBuf};

use uncopy::Where;

use super::shown::Shown;
use crate::error::CliError;
use crate::gpu::{OnHost, Seen};
use crate::host::Session;
use crate::recv::{Reception, Which};
use crate::tally::Tally;

/// Pictures are kept about this wide: pixels are left out, not averaged, which takes no time.
const KEPT_WIDTH: usize = 640;

/// Receive frames for the demo
#[derive(clap::Args)]
pub(crate) struct ConsumerOptions {
    /// Name of the link
    name: String,
    /// Directory for the pictures
    into: PathBuf,
    /// How many frames are expected
    expected: Option<u64>,
}

pub(crate) fn consume(options: &ConsumerOptions, session: &Session<'_>) -> Result<(), CliError> {
    let mut reception = Reception::open(&options.name, Which::Every, Where::Nearest, None, true, session)?;
    let (mut tally, mut on_host) = (Tally::default(), OnHost::new(session));
    let mut pictures = Pictures { dir: &options.into, shown: Shown::new(options.expected) };
    while let Some(frame) = reception.next()? {
        let mut seen = on_host.see(&frame);
        tally.take(&mut seen)?;
        pictures.take(&mut seen, tally.last_frame.unwrap_or_default())?;
        tally.let_go(&seen);
    }
    session.console.json(&tally.report())
}

/// Small pictures of some frames, as files that the demo reads: `rust-65-640x360x3.raw`.
struct Pictures<'d> {
    dir: &'d Path,
    shown: Shown,
}

impl Pictures<'_> {
    fn take(&mut self, seen: &mut Seen<'_>, number: u64) -> Result<(), CliError> {
        let (keep, given_up) = self.shown.take(number);
        if keep && let &[height, width, ref channels @ ..] = seen.frame.form().shape() {
            let channels = channels.first().copied().unwrap_or(1);
            self.write(seen.bytes()?, [height, width, channels], number)?;
        }
        given_up.into_iter().try_for_each(|number| self.remove(number))
    }

    fn write(
        &self,
        pixels: &[u8],
        [height, width, channels]: [usize; 3],
        number: u64,
    ) -> Result<(), CliError> {
        let step = width.div_ceil(KEPT_WIDTH).max(1);
        let size = format!("{}x{}x{channels}", width.div_ceil(step), height.div_ceil(step));
        let path = self.dir.join(format!("rust-{number}-{size}.raw"));
        let failed = |e| CliError::io(format!("write {}", path.display()), e);
        let mut file = std::io::BufWriter::new(std::fs::File::create(&path).map_err(failed)?);
        for row in pixels.chunks_exact((width * channels).max(1)).step_by(step) {
            for pixel in row.chunks_exact(channels.max(1)).step_by(step) {
                file.write_all(pixel).map_err(failed)?;
            }
        }
        file.flush().map_err(failed)
    }

    fn remove(&self, number: u64) -> Result<(), CliError> {
        let start = format!("rust-{number}-");
        let failed = |e| CliError::io(format!("tidy {}", self.dir.display()), e);
        for entry in std::fs::read_dir(self.dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_name().to_string_lossy().starts_with(&start) {
                std::fs::remove_file(entry.path()).map_err(failed)?;
            }
        }
        Ok(())
    }
}
