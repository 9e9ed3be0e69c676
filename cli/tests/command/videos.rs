// SPDX-License-Identifier: MIT OR Apache-2.0
//! Videos through programs that stand in for ffmpeg and Python: what they are asked, and what is made of their answers.
//! The demo runs the real ones.

use serde_json::json;

use crate::place::Place;

const FFPROBE: &str = r#"#!/bin/sh
if [ "$1" = -version ]; then echo "ffprobe version 7.1 Copyright"; exit; fi
echo '{"streams": [{"pix_fmt": "yuv420p", "avg_frame_rate": "20/1", "r_frame_rate": "20/1", "nb_frames": "2"}], "format": {}}'
"#;
/// Two frames, the second larger than the first.
const FFMPEG: &str = r#"#!/bin/sh
if [ "$1" = -version ]; then echo "ffmpeg version 7.1 Copyright"; exit; fi
echo "$*" >> asked
printf 'P7\nWIDTH 2\nHEIGHT 1\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\nabcdef'
printf 'P7\nWIDTH 1\nHEIGHT 3\nDEPTH 3\nMAXVAL 255\nTUPLTYPE RGB\nENDHDR\nghijklmno'
"#;
const PYTHON: &str = r#"#!/bin/sh
if [ "$1" = -c ]; then
  echo '{"executable": "./python3", "version": "3.11.9", "modules": {"av": {"version": "14.1", "directory": null}}}'
  exit
fi
echo '{"rate": "20/1", "frames": 1, "seconds": 0.05, "pix_fmt": "gray"}'
read pixels
echo "$pixels" > asked
printf 'P7\nWIDTH 3\nHEIGHT 2\nDEPTH 1\nMAXVAL 255\nTUPLTYPE GRAYSCALE\nENDHDR\nabcdef'
"#;

fn with_ffmpeg(ffmpeg: &str) -> Place {
    let place = Place::new();
    place.program("ffprobe", FFPROBE);
    place.program("ffmpeg", ffmpeg);
    std::fs::write(place.file("in.mp4"), "").unwrap();
    place
}

#[test]
fn frames_of_ffmpeg_arrive_as_they_were_decoded() {
    let place = with_ffmpeg(FFMPEG);
    let sender = place.start(&["send", "camera", "in.mp4", "--wait", "1", "--crc", "--json"]);
    let received = place.run(&["recv", "camera", "--raw", "--until-closed", "--timeout", "60"]).ended_with(0);
    let sent = sender.done().ended_with(0);
    assert!(sent.err.contains("in.mp4 by ffmpeg 7.1"), "{sent:?}");
    assert_eq!((&sent.json()["frames"], &sent.json()["form"]["shape"]), (&json!(2), &json!([3, 1, 3])));
    // At 20 frames each second a reader has time for both, unless the machine stands still; the last is never lost.
    assert!(received.out == b"abcdefghijklmno" || received.out == b"ghijklmno", "{received:?}");
    let asked = std::fs::read_to_string(place.file("asked")).unwrap();
    for words in ["-i file:in.mp4", "-fps_mode passthrough", "-c:v pam -pix_fmt rgb24"] {
        assert!(asked.contains(words), "{words}: {asked}");
    }
    place.is_clean();
}

#[test]
fn blue_comes_first_where_it_was_asked_to() {
    let place = with_ffmpeg(FFMPEG);
    let mut sender = place.start(&["send", "camera", "in.mp4", "--pixel", "bgr8", "--frames", "1", "--hold"]);
    sender.says("stays open");
    let received = place.run(&["recv", "camera", "--raw", "--frames", "1"]).ended_with(0);
    assert_eq!(received.out, b"cbafed");
}

#[test]
fn a_loop_begins_again_at_the_end() {
    let place = with_ffmpeg(FFMPEG);
    let sent =
        place.run(&["send", "camera", "in.mp4", "--loop", "--frames", "5", "--fast", "--json"]).ended_with(0);
    assert_eq!(sent.json()["frames"], 5);
    assert_eq!(std::fs::read_to_string(place.file("asked")).unwrap().lines().count(), 3);
}

#[test]
fn a_decoder_that_fails_is_quoted() {
    let broken = format!("{FFMPEG}\necho 'moov atom not found' >&2; exit 1\n");
    let place = with_ffmpeg(&broken);
    let done = place.run(&["send", "camera", "in.mp4", "--fast"]).ended_with(2);
    assert_eq!(done.error(), "in.mp4 can't be decoded: moov atom not found");
    place.is_clean();
}

#[test]
fn a_decoder_that_ends_within_a_frame_is_noticed() {
    let place = with_ffmpeg(&FFMPEG.replace("ghijklmno", "ghi"));
    let done = place.run(&["send", "camera", "in.mp4", "--fast"]).ended_with(1);
    assert!(done.error().contains("ended within a frame"), "{done:?}");
}

#[test]
fn python_decodes_where_ffmpeg_is_missing() {
    let place = Place::new();
    place.program("python3", PYTHON);
    std::fs::write(place.file("in.mp4"), "").unwrap();
    let mut sender = place.start(&["send", "camera", "in.mp4", "--hold"]);
    sender.says("PyAV 14.1").says("stays open");
    let received = place.run(&["recv", "camera", "--raw", "--frames", "1"]).ended_with(0);
    assert_eq!(received.out, b"abcdef");
    assert!(received.err.contains("uint8[2, 3] gray8"), "{received:?}");
    assert_eq!(std::fs::read_to_string(place.file("asked")).unwrap(), "gray\n");
}

#[test]
fn without_a_decoder_it_says_which_to_install() {
    let place = Place::new();
    std::fs::write(place.file("in.mp4"), "").unwrap();
    let done = place.run(&["send", "camera", "in.mp4"]).ended_with(6);
    for words in ["apt install ffmpeg", "pip install av"] {
        assert!(done.error().contains(words), "{words}: {done:?}");
    }
    assert!(place.run(&["send", "camera", "missing.mp4"]).ended_with(3).error().contains("missing.mp4"));
    place.is_clean();
}
