// SPDX-License-Identifier: MIT OR Apache-2.0
//! Decoding by the programs ffmpeg and ffprobe.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::Deserialize;
use uncopy::ErrorKind;

use super::running::Running;
use super::{Details, Rate, is_address};
use crate::error::CliError;

/// The ffmpeg of `PATH`.
#[derive(Clone, Debug)]
pub(crate) struct Ffmpeg {
    version: String,
}

impl Ffmpeg {
    /// Finds it together with ffprobe, which says what is in a file.
    pub fn find() -> Result<Self, CliError> {
        let said = [first_line("ffmpeg"), first_line("ffprobe")];
        match said {
            [Some(ffmpeg), Some(_)] => Ok(Self { version: version_in(&ffmpeg) }),
            _ => Err(CliError::said(
                ErrorKind::Unsupported,
                "ffmpeg and ffprobe are not both on PATH; install ffmpeg (Debian, Ubuntu: apt install ffmpeg)",
            )),
        }
    }

    pub fn name(&self) -> String {
        format!("ffmpeg {}", self.version)
    }

    /// Starts to decode the first video stream as PAM pictures, each frame once.
    pub fn start(&self, path: &Path, pix_fmt: &str) -> Result<Running, CliError> {
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-nostdin", "-i"]).arg(as_input(path)).args(["-map", "0:v:0"]);
        command.args([passthrough_option(&self.version), "passthrough"]);
        command.args(["-f", "image2pipe", "-c:v", "pam", "-pix_fmt", pix_fmt, "-"]);
        Running::start(command)
    }
}

/// What `program -version` says first; `None` where there is no such program.
fn first_line(program: &str) -> Option<String> {
    let mut command = Command::new(program);
    let output = command.arg("-version").stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Some(text.lines().next()?.to_owned()).filter(|_| output.status.success())
}

/// `5.1.9-0+deb12u1` of `ffmpeg version 5.1.9-0+deb12u1 Copyright ...`.
fn version_in(line: &str) -> String {
    line.split_whitespace().nth(2).unwrap_or("of an unknown version").to_owned()
}

/// The option for "each frame once": it was renamed in 5.1, and builds from a checkout are newer than that.
fn passthrough_option(version: &str) -> &'static str {
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) if (major, minor) < (5, 1) => "-vsync",
        _ => "-fps_mode",
    }
}

/// A path so that nothing in it is taken for an option or a protocol.
fn as_input(path: &Path) -> OsString {
    if is_address(path) {
        return path.into();
    }
    let mut text = OsString::from("file:");
    text.push(path);
    text
}

#[derive(Deserialize)]
struct Probed {
    #[serde(default)]
    streams: Vec<Stream>,
    #[serde(default)]
    format: Container,
}

#[derive(Deserialize)]
struct Stream {
    #[serde(default)]
    pix_fmt: String,
    #[serde(default)]
    avg_frame_rate: String,
    #[serde(default)]
    r_frame_rate: String,
    nb_frames: Option<String>,
    duration: Option<String>,
}

#[derive(Deserialize, Default)]
struct Container {
    duration: Option<String>,
}

/// What ffprobe says of the first video stream.
pub(super) fn details(path: &Path) -> Result<Details, CliError> {
    const ENTRIES: &str = "stream=pix_fmt,avg_frame_rate,r_frame_rate,nb_frames,duration:format=duration";
    let mut command = Command::new("ffprobe");
    command.args(["-v", "error", "-select_streams", "v:0", "-show_entries", ENTRIES, "-of", "json"]);
    command.arg(as_input(path)).stdin(Stdio::null());
    let output = command.output().map_err(|e| CliError::io("start ffprobe", e))?;
    let undecodable = |why: &str| {
        CliError::said(ErrorKind::InvalidArgument, format!("{} can't be decoded: {why}", path.display()))
    };
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(undecodable(words.lines().last().unwrap_or("ffprobe fails without a word")));
    }
    let probed: Probed = serde_json::from_slice(&output.stdout).map_err(|e| undecodable(&e.to_string()))?;
    let Some(stream) = probed.streams.first() else { return Err(undecodable("there is no picture in it")) };
    Ok(details_of(stream, &probed.format))
}

fn details_of(stream: &Stream, container: &Container) -> Details {
    let rate = stream.avg_frame_rate.parse().or_else(|_| stream.r_frame_rate.parse()).ok();
    let duration: Option<f64> =
        [&stream.duration, &container.duration].into_iter().flatten().find_map(|text| text.parse().ok());
    let counted = stream.nb_frames.as_deref().and_then(|text| text.parse().ok()).filter(|count| *count > 0);
    let estimated = || Some(Rate::frames_in(rate?, duration?)).filter(|count| *count > 0);
    Details { rate, frames: counted.or_else(estimated), pix_fmt: stream.pix_fmt.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_option_is_the_one_that_the_version_knows() {
        let expected = [
            ("4.4.2-0ubuntu0.22.04.1", "-vsync"),
            ("5.0", "-vsync"),
            ("5.1.9-0+deb12u1", "-fps_mode"),
            ("7.1", "-fps_mode"),
            ("N-118000-g1234567", "-fps_mode"),
        ];
        for (version, option) in expected {
            assert_eq!(passthrough_option(version), option, "{version}");
        }
    }

    #[test]
    fn a_path_is_never_an_option_or_a_protocol() {
        assert_eq!(as_input(Path::new("-i.mp4")), "file:-i.mp4");
        assert_eq!(as_input(Path::new("concat:a|b")), "file:concat:a|b");
        assert_eq!(as_input(Path::new("rtsp://camera/1")), "rtsp://camera/1");
    }

    #[test]
    fn frames_are_counted_or_estimated_from_the_duration() {
        let stream = |nb_frames: Option<&str>, duration: Option<&str>, rate: &str| Stream {
            pix_fmt: "yuv420p".to_owned(),
            avg_frame_rate: rate.to_owned(),
            r_frame_rate: "25/1".to_owned(),
            nb_frames: nb_frames.map(str::to_owned),
            duration: duration.map(str::to_owned),
        };
        let whole = Container { duration: Some("2.0".to_owned()) };
        let frames = |stream: Stream| details_of(&stream, &whole).frames;
        assert_eq!(frames(stream(Some("132"), Some("9"), "25/1")), Some(132));
        assert_eq!(frames(stream(None, Some("4.004"), "30000/1001")), Some(120));
        assert_eq!(frames(stream(Some("N/A"), None, "0/0")), Some(50));
        assert_eq!(details_of(&stream(None, None, "0/0"), &Container::default()).frames, None);
    }
}
