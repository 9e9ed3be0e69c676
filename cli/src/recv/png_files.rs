// SPDX-License-Identifier: MIT OR Apache-2.0
//! Received frames as PNG files: one file, or one for each frame in a directory.

use std::path::{Path, PathBuf};

use crate::error::CliError;
use crate::gpu::Seen;
use crate::picture::Picture;

/// Where frames are written to.
pub(super) struct PngFiles {
    place: Place,
    tone: bool,
    written: Vec<PathBuf>,
    count: u64,
}

enum Place {
    File(PathBuf),
    Directory { path: PathBuf, link: String },
}

impl PngFiles {
    /// A path that ends in `.png` and is no directory is a file for one frame; anything else is a directory.
    pub fn new(path: &Path, link: &str, frames: Option<u64>, tone: bool) -> Result<Self, CliError> {
        let ends_in_png = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("png"));
        let place = if ends_in_png && !path.is_dir() {
            if let Some(frames @ 2..) = frames {
                let path = path.display();
                return Err(CliError::usage(format!(
                    "{frames} frames don't fit into the one file {path}; name a directory"
                )));
            }
            Place::File(path.to_owned())
        } else {
            let doing = || format!("make the directory {}", path.display());
            std::fs::create_dir_all(path).map_err(|e| CliError::io(doing(), e))?;
            Place::Directory { path: path.to_owned(), link: link.to_owned() }
        };
        Ok(Self { place, tone, written: Vec::new(), count: 0 })
    }

    /// Whether one frame is all that it takes.
    pub fn is_one(&self) -> bool {
        matches!(self.place, Place::File(_))
    }

    pub fn take(&mut self, seen: &mut Seen<'_>) -> Result<(), CliError> {
        let path = match &self.place {
            Place::File(path) => path.clone(),
            Place::Directory { path, link } => path.join(format!("{link}-{:06}.png", seen.frame.seq())),
        };
        Picture::of(seen, self.tone)?.write(&path)?;
        self.count += 1;
        // The first and the newest are all that is told.
        self.written.truncate(1);
        self.written.push(path);
        Ok(())
    }

    /// What was written, for the user.
    pub fn written(&self) -> String {
        match (self.written.first(), self.written.last()) {
            (Some(first), Some(last)) if self.count > 1 => {
                format!("{} files, {} to {}", self.count, first.display(), last.display())
            }
            (Some(only), _) => only.display().to_string(),
            (None, _) => "nothing".to_owned(),
        }
    }
}
