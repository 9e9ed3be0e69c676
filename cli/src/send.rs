// SPDX-License-Identifier: MIT OR Apache-2.0
//! `uncopy send`: publish a video, an image, raw bytes or a moving test picture.
//!
//! Pixels go from where they come straight into a slot of the link. Where they come over a pipe or are unpacked from a
//! file, that is the one copy, and it is recorded with the frame.

use std::path::PathBuf;
use std::time::Duration;

use uncopy::{Device, LinkError, Origin, PixelFormat, Publisher, WhenFull};

use crate::error::CliError;
use crate::host::{SLICE, Session};
use crate::recv::seconds;
use crate::units;

mod feeder;
mod image;
mod pace;
mod pattern;
mod raw;
mod sender;
mod slot;
mod source;
mod video;

pub(crate) use pace::Rate;
use sender::{Sender, Summary};
use source::Opened;
pub(crate) use video::{ffmpeg_name, outlook_of_video};

const EXAMPLES: &str = "\
Examples:
  uncopy send camera video.mp4                     at its own frame rate, then close
  uncopy send camera video.mp4 --loop              again and again
  uncopy send camera video.mp4 --wait 2 --crc      wait for two consumers, and let them check every frame
  uncopy send camera picture.png                   one frame, kept until Ctrl-C
  uncopy send camera --pattern --size 640x480 --fps 60
  uncopy send camera --pattern --device cuda --mirror     on a GPU, and in host memory for those without one
  ffmpeg -i in.mkv -f rawvideo -pix_fmt rgba - | uncopy send camera --raw --size 1920x1080 --fps 30

Video is decoded by ffmpeg where ffmpeg and ffprobe are on PATH, else by PyAV, where Python has it (pip install \
av).";

/// Publish a video, an image, raw bytes or a moving test picture
///
/// The link is there from the start of the command to its end. A consumer that holds frames never slows it down (a
/// frame that finds every slot held is dropped and counted), unless --when-full block says so.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES, override_usage = "uncopy send [OPTIONS] <NAME> <SOURCE | --pattern | --raw>")]
pub(crate) struct Options {
    /// Name of the link: 1 to 64 of A-Z a-z 0-9 . _ -
    #[arg(add = crate::completions::link_names())]
    name: String,
    /// A video or an image; else --pattern or --raw
    #[arg(required_unless_present_any = ["pattern", "raw"], conflicts_with_all = ["pattern", "raw"])]
    source: Option<PathBuf>,
    /// Send a moving test picture
    #[arg(long, conflicts_with = "raw")]
    pattern: bool,
    /// Send raw pixels from standard input; needs --size
    #[arg(long, requires = "size")]
    raw: bool,
    /// Width and height of --raw or --pattern, in pixels
    #[arg(long, value_name = "WxH", value_parser = size)]
    size: Option<Size>,
    /// Pixel format; for --raw rgba8 unless told, for the others what suits the source
    #[arg(long, value_name = "FORMAT", value_parser = pixel)]
    pixel: Option<PixelFormat>,
    /// With --raw: where the first row of the picture is
    #[arg(long, value_name = "WHERE", requires = "raw", value_parser = ["top_left", "bottom_left"])]
    origin: Option<String>,
    /// Frames each second; unless told, the video's own, 30 for --pattern, and for --raw as they come
    #[arg(long, value_name = "F", conflicts_with = "fast")]
    fps: Option<Rate>,
    /// As fast as they can be made
    #[arg(long)]
    fast: bool,
    /// Stop after this many frames; an image is sent that many times
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), allow_negative_numbers = true)]
    frames: Option<u64>,
    /// Begin again when the video or image is over
    #[arg(long = "loop", conflicts_with_all = ["pattern", "raw"])]
    again: bool,
    /// After the last frame, keep the link open until Ctrl-C; an image is kept unless --frames is given
    #[arg(long)]
    hold: bool,
    /// Wait for this many consumers before the first frame
    #[arg(long, value_name = "N", value_parser = places, allow_negative_numbers = true)]
    wait: Option<usize>,
    /// Give up --wait after this long
    #[arg(long, value_name = "SECONDS", value_parser = seconds, requires = "wait", allow_negative_numbers = true)]
    timeout: Option<Duration>,
    /// Number of slots, 2 to 64: at least 2 more than frames that consumers hold at once
    #[arg(long, value_name = "N", default_value_t = 4)]
    slots: usize,
    /// What to do when every slot is held: drop the frame, or wait (and keep what `recv --read every` has not received)
    #[arg(long, value_enum, default_value = "drop")]
    when_full: OnFull,
    /// Take the place of a consumer away that keeps slots for so long without receiving a frame
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    evict_after: Option<Duration>,
    /// Where frames lie: cpu, cuda or cuda:N; to a GPU each frame is copied once
    #[arg(long, value_name = "DEVICE", value_parser = crate::gpu::device, default_value = "cpu")]
    device: Device,
    /// With --device cuda: keep a copy of each frame in host memory, for consumers without the GPU
    #[arg(long)]
    mirror: bool,
    /// Send the CRC-32C of each frame as metadata {"crc32c": ..., "frame": ...}
    #[arg(long)]
    crc: bool,
    /// Ask the process that holds the name to give it up
    #[arg(long)]
    takeover: bool,
    /// Which program decodes video
    #[arg(long, value_enum, default_value = "auto")]
    decoder: video::Decoder,
    /// The Python that has PyAV; else $UNCOPY_PYTHON, the one beside this command, python3 on PATH
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,
    /// Print a summary as JSON at the end
    #[arg(long)]
    json: bool,
    /// Change one byte of this frame after its checksum was taken, to show that consumers notice
    #[arg(long, value_name = "FRAME", hide = true, requires = "crc")]
    break_frame: Option<u64>,
}

/// What a producer does without room.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub(crate) enum OnFull {
    Drop,
    Block,
}

impl OnFull {
    fn policy(self) -> WhenFull {
        match self {
            Self::Drop => WhenFull::Drop,
            Self::Block => WhenFull::Block(None),
        }
    }
}

/// Width and height in pixels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Size {
    pub width: usize,
    pub height: usize,
}

fn size(text: &str) -> Result<Size, String> {
    let numbers = text.split_once(['x', 'X']).map(|(width, height)| (width.parse(), height.parse()));
    match numbers {
        Some((Ok(width @ 1..), Ok(height @ 1..))) => Ok(Size { width, height }),
        _ => Err("width and height in pixels, such as 1280x720".to_owned()),
    }
}

fn places(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(wanted @ 0..=uncopy::MAX_CONSUMERS) => Ok(wanted),
        _ => Err(format!("a number up to {}, the most consumers of a link", uncopy::MAX_CONSUMERS)),
    }
}

fn pixel(text: &str) -> Result<PixelFormat, String> {
    text.parse().map_err(|error: uncopy::PixelError| error.to_string())
}

pub(crate) fn run(options: Options, session: &Session<'_>) -> Result<(), CliError> {
    if options.mirror && options.device.is_host_accessible() {
        return Err(CliError::usage(
            "--mirror is for frames on a GPU (--device cuda): these are in host memory",
        ));
    }
    let opened = open(&options, session)?;
    let side = slot::Side::of(options.device)?;
    let publisher = uncopy::publish(&options.name)
        .slots(options.slots)
        .takeover(options.takeover)
        .when_full(options.when_full.policy())
        .evict_after(options.evict_after)
        .mirror(options.mirror)
        .open()?;
    let on = if options.device == Device::CPU { String::new() } else { format!(" on {}", options.device) };
    session.console.say(format_args!("sending {} to '{}'{on}", opened.title, options.name));
    wait_for_consumers(&options, &publisher, session)?;
    let hold = options.hold || (opened.is_still && options.frames.is_none() && !options.again);
    let plan = sender::Plan {
        rate: if options.fast { None } else { options.fps.or(opened.rate) },
        frames: options.frames,
        again: options.again || (opened.is_still && options.frames.is_some()),
        expected: expected(&options, &opened),
        crc: options.crc,
        break_frame: options.break_frame,
    };
    let mut sender = Sender::new(publisher, side, opened, plan, session);
    let mut ended = sender.run();
    if ended.is_ok() && hold {
        session.console.say("the link stays open; Ctrl-C closes it");
        ended = keep_open(session);
    }
    tell(&sender.summary(), &options, session)?;
    ended
}

fn open(options: &Options, session: &Session<'_>) -> Result<Opened, CliError> {
    if options.pattern {
        return pattern::open(options.size, options.pixel, options.frames);
    }
    if options.raw {
        let origin = match options.origin.as_deref() {
            Some("bottom_left") => Origin::BOTTOM_LEFT,
            _ => Origin::TOP_LEFT,
        };
        return raw::open(options.size, options.pixel, origin);
    }
    let Some(path) = &options.source else {
        return Err(CliError::usage("nothing to send: name a file, or use --pattern or --raw"));
    };
    if options.size.is_some() {
        return Err(CliError::usage("--size is for --pattern and --raw; a file has its own size"));
    }
    if image::is_png(path) {
        return image::open(path, options.pixel);
    }
    video::open(path, options.pixel, options.decoder, options.python.as_deref(), session)
}

/// How many frames will come, where that can be told.
fn expected(options: &Options, opened: &Opened) -> Option<u64> {
    let known = if options.again { None } else { opened.frames };
    match (known, options.frames) {
        (Some(known), Some(asked)) if !opened.is_still => Some(known.min(asked)),
        (known, asked) => asked.or(known),
    }
}

fn wait_for_consumers(
    options: &Options,
    publisher: &Publisher,
    session: &Session<'_>,
) -> Result<(), CliError> {
    let Some(wanted) = options.wait else { return Ok(()) };
    let begun = std::time::Instant::now();
    session.console.say(format_args!("waiting for {}", units::count(wanted as u64, "consumer")));
    loop {
        session.check()?;
        match publisher.wait_for_consumers(wanted, SLICE) {
            Err(LinkError::FewConsumers { name, wanted, found, .. }) => {
                if let Some(timeout) = options.timeout.filter(|timeout| begun.elapsed() >= *timeout) {
                    return Err(LinkError::FewConsumers { name, wanted, found, waited: timeout }.into());
                }
            }
            other => return Ok(other?),
        }
    }
}

/// Waits until the user wants it to end.
fn keep_open(session: &Session<'_>) -> Result<(), CliError> {
    loop {
        session.check()?;
        std::thread::sleep(SLICE);
    }
}

fn tell(summary: &Summary, options: &Options, session: &Session<'_>) -> Result<(), CliError> {
    if options.json {
        return session.console.json(summary);
    }
    session.console.say(summary.in_words());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_two_numbers_above_zero() {
        assert_eq!(size("1280x720"), Ok(Size { width: 1280, height: 720 }));
        for wrong in ["1280", "1280x", "0x720", "1280x0", "-1x2", "1280x720x3", "x"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_unknown_pixel_format_names_a_near_one() {
        assert!(pixel("rgba9").unwrap_err().contains("rgba8"));
    }
}
