// SPDX-License-Identifier: MIT OR Apache-2.0
//! Videos, decoded by a program that the user has: ffmpeg, or PyAV in a Python.
//!
//! Either writes each frame to a pipe as a PAM picture (<https://netpbm.sourceforge.net/doc/pam.html>): a few lines of
//! text that say the size, then the pixels, which are read straight into a slot. So the size comes with the frame, also
//! when a player would turn the video. Frames come as they are decoded, none repeated and none left out, and are paced
//! at the mean rate that the file states.

use std::path::{Path, PathBuf};

use uncopy::{ChannelOrder, CopyReason, ErrorKind, Form, PixelFormat};

use super::pace::Rate;
use super::source::{Opened, Source};
use crate::error::CliError;
use crate::host::Session;
use crate::python::Python;

mod ffmpeg;
mod pam;
mod pyav;
mod running;

use ffmpeg::Ffmpeg;
use running::Running;

/// Which program decodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(super) enum Decoder {
    /// ffmpeg where it is on PATH, else PyAV
    Auto,
    /// ffmpeg and ffprobe of PATH
    Ffmpeg,
    /// PyAV of a Python
    Pyav,
}

/// The program that was found.
#[derive(Clone)]
enum Program {
    Ffmpeg(Ffmpeg),
    Pyav(Box<Python>),
}

/// What a program says of a video before it decodes it.
struct Details {
    rate: Option<Rate>,
    /// May be an estimate.
    frames: Option<u64>,
    /// ffmpeg's name for how its pixels are coded.
    pix_fmt: String,
}

/// Used where a video states no rate.
const USUAL_RATE: (u64, u64) = (25, 1);

pub(super) fn open(
    path: &Path,
    pixel: Option<PixelFormat>,
    decoder: Decoder,
    python: Option<&Path>,
    session: &Session<'_>,
) -> Result<Opened, CliError> {
    if !is_address(path) {
        std::fs::metadata(path).map_err(|e| CliError::io(format!("read {}", path.display()), e))?;
    }
    let program = find(decoder, python, session)?;
    let (details, running) = match &program {
        Program::Ffmpeg(_) => (ffmpeg::details(path)?, None),
        Program::Pyav(python) => {
            let (details, running) = pyav::begin(python, path)?;
            (details, Some(running))
        }
    };
    let pixels = Pixels::of(pixel.unwrap_or_else(|| pixel_for(&details.pix_fmt)))?;
    let is_still = super::image::is_still(path);
    let mut video = Video { program, path: path.to_owned(), pixels, running: None, next: None };
    video.running = Some(video.start(running)?);
    if details.rate.is_none() && !is_still {
        session.console.note(format_args!(
            "{} states no frame rate; {} is used, --fps gives another",
            path.display(),
            USUAL_RATE.0
        ));
    }
    let rate = details.rate.or(Rate::new(USUAL_RATE.0, USUAL_RATE.1));
    Ok(Opened {
        title: format!("{} by {}", path.display(), video.program.name()),
        source: Box::new(video),
        rate,
        frames: if is_still { Some(1) } else { details.frames },
        is_still,
    })
}

/// Which program would decode a video, and how many frames it says there are, where it does; it may be an estimate.
pub(crate) fn outlook_of_video(
    path: &Path,
    python: Option<&Path>,
    session: &Session<'_>,
) -> Result<(String, Option<u64>), CliError> {
    let program = find(Decoder::Auto, python, session)?;
    let details = match &program {
        Program::Ffmpeg(_) => ffmpeg::details(path)?,
        Program::Pyav(python) => pyav::begin(python, path)?.0,
    };
    Ok((program.name(), details.frames))
}

/// The ffmpeg that would decode videos, where there is one.
pub(crate) fn ffmpeg_name() -> Option<String> {
    Ffmpeg::find().ok().map(|ffmpeg| ffmpeg.name())
}

/// Whether it is for the decoder to fetch: `rtsp://camera/1`.
fn is_address(path: &Path) -> bool {
    path.to_str().is_some_and(|text| text.contains("://"))
}

fn find(decoder: Decoder, python: Option<&Path>, session: &Session<'_>) -> Result<Program, CliError> {
    if decoder != Decoder::Pyav {
        match Ffmpeg::find() {
            Ok(ffmpeg) => return Ok(Program::Ffmpeg(ffmpeg)),
            Err(error) if decoder == Decoder::Ffmpeg => return Err(error),
            Err(_) => {}
        }
    }
    let python = Python::find(python, session);
    match python {
        Ok(python) if python.has("av") => Ok(Program::Pyav(Box::new(python))),
        Ok(python) => Err(no_decoder(decoder, &format!("{} has no PyAV", python.executable.display()))),
        Err(error) => Err(no_decoder(decoder, &error.to_string())),
    }
}

fn no_decoder(decoder: Decoder, why: &str) -> CliError {
    let ffmpeg = match decoder {
        Decoder::Auto => "ffmpeg and ffprobe are not both on PATH, and ",
        _ => "",
    };
    CliError::said(
        ErrorKind::Unsupported,
        format!(
            "nothing here decodes video: {ffmpeg}{why}; install ffmpeg (Debian, Ubuntu: apt install ffmpeg) or PyAV \
             (pip install av)"
        ),
    )
}

/// The format that loses nothing that 8 bits can hold: gray stays gray, and transparency is kept.
fn pixel_for(pix_fmt: &str) -> PixelFormat {
    const ALPHA: [&str; 9] = ["rgba", "bgra", "argb", "abgr", "yuva", "gbrap", "ya8", "ya16", "pal8"];
    if pix_fmt.starts_with("gray") || pix_fmt.starts_with("mono") {
        PixelFormat::GRAY8
    } else if ALPHA.iter().any(|start| pix_fmt.starts_with(start)) {
        PixelFormat::RGBA8
    } else {
        PixelFormat::RGB8
    }
}

/// What the decoder is asked for, and what is made of it.
#[derive(Clone, Copy)]
struct Pixels {
    format: PixelFormat,
    /// ffmpeg's name of it, or of the same with red first: PAM knows no other order.
    asked: &'static str,
}

impl Pixels {
    fn of(format: PixelFormat) -> Result<Self, CliError> {
        let asked = match format {
            PixelFormat::GRAY8 => "gray",
            PixelFormat::RGB8 | PixelFormat::BGR8 => "rgb24",
            PixelFormat::RGBA8 | PixelFormat::BGRA8 => "rgba",
            other => {
                let sentence =
                    format!("video can't be sent as {other}; use gray8, rgb8, bgr8, rgba8 or bgra8");
                return Err(CliError::said(ErrorKind::Unsupported, sentence));
            }
        };
        Ok(Self { format, asked })
    }

    /// Brings the channels into the order that was asked for.
    fn order(self, bytes: &mut [u8]) {
        if ChannelOrder::from_pixel_format(self.format) == ChannelOrder::BGR {
            let channels = self.format.channels().unwrap_or(3);
            bytes.chunks_exact_mut(channels).for_each(|pixel| {
                if let [first, _, third, ..] = pixel {
                    std::mem::swap(first, third);
                }
            });
        }
    }
}

impl Program {
    fn name(&self) -> String {
        match self {
            Self::Ffmpeg(ffmpeg) => ffmpeg.name(),
            Self::Pyav(python) => {
                let version = python.modules.get("av").map(|module| module.version.as_str());
                format!("PyAV {} of {}", version.unwrap_or_default(), python.executable.display())
            }
        }
    }
}

/// A video that is being decoded.
struct Video {
    program: Program,
    path: PathBuf,
    pixels: Pixels,
    running: Option<Running>,
    next: Option<Form>,
}

impl Video {
    /// The decoder at the first frame; `begun` is one that has started and waits to be told the pixel format.
    fn start(&self, begun: Option<Running>) -> Result<Running, CliError> {
        match &self.program {
            Program::Ffmpeg(ffmpeg) => ffmpeg.start(&self.path, self.pixels.asked),
            Program::Pyav(python) => {
                let mut running = match begun {
                    Some(running) => running,
                    None => pyav::begin(python, &self.path)?.1,
                };
                running.tell(self.pixels.asked)?;
                Ok(running)
            }
        }
    }
}

impl Source for Video {
    fn next_form(&mut self) -> Result<Option<Form>, CliError> {
        let Some(running) = &mut self.running else { return Ok(None) };
        self.next = match running.next_header()? {
            Some(header) => Some(header.form(self.pixels.format)?),
            None => {
                self.running.take().map_or(Ok(()), |running| running.finish(&self.path))?;
                None
            }
        };
        Ok(self.next)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), CliError> {
        let Some(running) = &mut self.running else { return Ok(()) };
        if running.fill(bytes)? {
            self.pixels.order(bytes);
            return Ok(());
        }
        // It ended within a frame. Its own words say why, if it has any.
        self.running.take().map_or(Ok(()), |running| running.finish(&self.path))?;
        let sentence = format!("the decoder of {} ended within a frame", self.path.display());
        Err(CliError::said(ErrorKind::System, sentence))
    }

    fn copies(&self) -> Option<CopyReason> {
        Some(CopyReason::SEND)
    }

    fn restart(&mut self) -> Result<(), CliError> {
        self.running = Some(self.start(None)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gray_stays_gray_and_transparency_is_kept() {
        let expected = [
            ("gray", PixelFormat::GRAY8),
            ("gray10le", PixelFormat::GRAY8),
            ("yuv420p", PixelFormat::RGB8),
            ("yuva420p", PixelFormat::RGBA8),
            ("rgba64be", PixelFormat::RGBA8),
            ("rgb24", PixelFormat::RGB8),
            ("pal8", PixelFormat::RGBA8),
        ];
        for (pix_fmt, pixel) in expected {
            assert_eq!(pixel_for(pix_fmt), pixel, "{pix_fmt}");
        }
    }

    #[test]
    fn blue_comes_first_where_it_was_asked_to() {
        let mut bytes = [1, 2, 3, 4, 5, 6, 7, 8];
        Pixels::of(PixelFormat::BGRA8).unwrap().order(&mut bytes);
        assert_eq!(bytes, [3, 2, 1, 4, 7, 6, 5, 8]);
        Pixels::of(PixelFormat::RGBA8).unwrap().order(&mut bytes);
        assert_eq!(bytes, [3, 2, 1, 4, 7, 6, 5, 8]);
    }

    #[test]
    fn an_address_is_not_looked_for_on_disk() {
        assert!(is_address(Path::new("rtsp://camera/1")));
        assert!(!is_address(Path::new("video.mp4")));
    }
}
