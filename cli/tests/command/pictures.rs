// SPDX-License-Identifier: MIT OR Apache-2.0
//! PNG files in and out, compared pixel by pixel.

use std::path::Path;

use png::{BitDepth, ColorType};
use uncopy::{Form, Meta, PixelFormat};

use crate::place::{Place, png};

fn write(path: &Path, (width, height): (u32, u32), color: ColorType, depth: BitDepth, bytes: &[u8]) {
    let file = std::fs::File::create(path).unwrap();
    let mut encoder = png::Encoder::new(file, width, height);
    encoder.set_color(color);
    encoder.set_depth(depth);
    encoder.write_header().unwrap().write_image_data(bytes).unwrap();
}

#[test]
fn an_image_is_the_same_at_the_other_end() {
    let cases = [
        (ColorType::Grayscale, BitDepth::Eight, 1),
        (ColorType::Grayscale, BitDepth::Sixteen, 2),
        (ColorType::Rgb, BitDepth::Eight, 3),
        (ColorType::Rgb, BitDepth::Sixteen, 6),
        (ColorType::Rgba, BitDepth::Eight, 4),
        (ColorType::Rgba, BitDepth::Sixteen, 8),
    ];
    for (color, depth, pixel_bytes) in cases {
        let place = Place::new();
        let pixels: Vec<u8> = (0..7 * 3 * pixel_bytes).map(|at| (at * 37) as u8).collect();
        write(&place.file("in.png"), (7, 3), color, depth, &pixels);
        let _sender = place.start(&["send", "camera", "in.png"]);
        let args = ["recv", "camera", "--png", "out.png", "--timeout", "60"];
        let done = place.run(&args).ended_with(0);
        assert!(done.text().contains("out.png"), "{done:?}");
        assert_eq!(png(&place.file("out.png")), (7, 3, color, depth, pixels), "{color:?} {depth:?}");
    }
}

#[test]
fn palettes_are_expanded_to_colours() {
    let place = Place::new();
    let file = std::fs::File::create(place.file("in.png")).unwrap();
    let mut encoder = png::Encoder::new(file, 2, 1);
    encoder.set_color(ColorType::Indexed);
    encoder.set_palette([1, 2, 3, 250, 251, 252].as_slice());
    encoder.write_header().unwrap().write_image_data(&[1, 0]).unwrap();
    let _sender = place.start(&["send", "camera", "in.png"]);
    place.run(&["recv", "camera", "--png", "out.png", "--timeout", "60"]).ended_with(0);
    let (.., color, _, pixels) = png(&place.file("out.png"));
    assert_eq!((color, pixels), (ColorType::Rgb, vec![250, 251, 252, 1, 2, 3]));
}

#[test]
fn blue_first_and_bottom_first_come_out_upright() {
    let place = Place::new();
    let args =
        ["send", "camera", "--raw", "--size", "1x2", "--pixel", "bgra8", "--origin", "bottom_left", "--hold"];
    let mut sender = place.start(&args);
    sender.given(&[1, 2, 3, 4, 5, 6, 7, 8]).says("stays open");
    place.run(&["recv", "camera", "--png", "out.png", "--timeout", "60"]).ended_with(0);
    let upright = vec![7, 6, 5, 8, 3, 2, 1, 4];
    assert_eq!(png(&place.file("out.png")), (1, 2, ColorType::Rgba, BitDepth::Eight, upright));
}

#[test]
fn a_directory_takes_each_frame_under_its_number() {
    let place = Place::new();
    let sender = place.start(&[
        "send",
        "camera",
        "--pattern",
        "--size",
        "16x12",
        "--fps",
        "20",
        "--frames",
        "4",
        "--wait",
        "1",
    ]);
    let args = ["recv", "camera", "--png", "frames", "--until-closed", "--timeout", "60", "--json"];
    let received = place.run(&args).ended_with(0).json();
    sender.done().ended_with(0);
    let mut names: Vec<String> = std::fs::read_dir(place.file("frames"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names.len() as u64, received["frames"].as_u64().unwrap());
    assert_eq!(names.last().unwrap(), "camera-000004.png");
    assert_eq!(png(&place.file("frames/camera-000004.png")).4.len(), 16 * 12 * 4);
}

#[test]
fn several_frames_do_not_go_into_one_file() {
    let place = Place::new();
    let done = place.run(&["recv", "camera", "--png", "out.png", "--frames", "2"]).ended_with(2);
    assert!(done.error().contains("2 frames") && done.error().contains("out.png"), "{done:?}");
}

#[test]
fn floating_point_is_refused_and_toned_only_when_asked() {
    let place = Place::new();
    let mut out = uncopy::publish("depth").directory(place.links()).open().unwrap();
    let mut slot = out.loan(&Form::image(1, 3, PixelFormat::GRAY32F)).unwrap();
    let samples: Vec<u8> = [0.0f32, 0.5, 2.0].iter().flat_map(|sample| sample.to_le_bytes()).collect();
    slot.bytes_mut().copy_from_slice(&samples);
    slot.publish(Meta::default()).unwrap();
    let done = place.run(&["recv", "depth", "--png", "out.png"]).ended_with(6);
    assert!(done.error().contains("float32[1, 3] gray32f") && done.error().contains("--tone"), "{done:?}");
    place.run(&["recv", "depth", "--png", "out.png", "--tone"]).ended_with(0);
    assert_eq!(png(&place.file("out.png")).4, [0, 128, 255]);
}

#[test]
fn what_is_no_png_is_refused_by_name() {
    let place = Place::new();
    std::fs::write(place.file("in.png"), "not a picture").unwrap();
    assert!(place.run(&["send", "camera", "in.png"]).ended_with(2).error().contains("in.png"));
    assert!(place.run(&["send", "camera", "missing.png"]).ended_with(3).error().contains("missing.png"));
    place.is_clean();
}

#[test]
fn a_place_that_can_not_be_written_is_named() {
    let place = Place::new();
    let _sender = place.start(&["send", "camera", "--pattern", "--size", "8x8", "--frames", "1", "--hold"]);
    let done =
        place.run(&["recv", "camera", "--png", "no/such/dir/out.png", "--timeout", "60"]).ended_with(3);
    assert!(done.error().contains("no/such/dir/out.png"), "{done:?}");
}
