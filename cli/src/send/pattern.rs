// SPDX-License-Identifier: MIT OR Apache-2.0
//! A moving test picture, made in the slot itself: colour bars, a ramp, and a white block that travels.
//!
//! Every frame differs from the one before, so a stuck or torn picture is seen at once. No two corners are alike, so
//! is one that is upside down or mirrored.

use uncopy::{ChannelOrder, CopyReason, DType, ErrorKind, Form, PixelFormat};

use super::Size;
use super::pace::Rate;
use super::source::{Opened, Source};
use crate::error::CliError;

const DEFAULT_SIZE: Size = Size { width: 1280, height: 720 };

/// Colours of the bars as red, green and blue: those of television's bars, in their order.
const BARS: [[u8; 3]; 8] = [
    [191, 191, 191],
    [191, 191, 0],
    [0, 191, 191],
    [0, 191, 0],
    [191, 0, 191],
    [191, 0, 0],
    [0, 0, 191],
    [16, 16, 16],
];
const WHITE: [u8; 3] = [255; 3];

pub(super) fn open(
    size: Option<Size>,
    pixel: Option<PixelFormat>,
    frames: Option<u64>,
) -> Result<Opened, CliError> {
    let size = size.unwrap_or(DEFAULT_SIZE);
    let pixel = pixel.unwrap_or(PixelFormat::RGBA8);
    let (Some(DType::U8), Some(channels @ (1 | 3 | 4))) = (pixel.dtype(), pixel.channels()) else {
        let sentence =
            format!("the test picture can't be made in {pixel}; use gray8, rgb8, bgr8, rgba8 or bgra8");
        return Err(CliError::said(ErrorKind::Unsupported, sentence));
    };
    let form = Form::image(size.height, size.width, pixel)?;
    Ok(Opened {
        title: format!("a test picture, {form}"),
        source: Box::new(Pattern { form, size, channels, number: 0 }),
        rate: Rate::new(30, 1),
        frames,
        is_still: false,
    })
}

struct Pattern {
    form: Form,
    size: Size,
    channels: usize,
    number: usize,
}

impl Source for Pattern {
    fn next_form(&mut self) -> Result<Option<Form>, CliError> {
        Ok(Some(self.form))
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), CliError> {
        let Size { width, height } = self.size;
        let row_bytes = width * self.channels;
        // Three kinds of rows are made once and copied to where they belong: at 4K that is faster than any pixel loop.
        let [bars, ramp, block] =
            [Row::Bars, Row::Ramp, Row::Block].map(|row| self.row(|x| row.at(x, width, self.number)));
        let top = self.number.wrapping_mul(2) % height;
        let tall = (height / 8).max(1);
        for (y, row) in bytes.chunks_exact_mut(row_bytes.max(1)).enumerate() {
            let made = match y {
                y if (top..top + tall).contains(&y) => &block,
                y if y >= height - height / 4 => &ramp,
                _ => &bars,
            };
            row.copy_from_slice(made);
        }
        self.number = self.number.wrapping_add(1);
        Ok(())
    }

    fn copies(&self) -> Option<CopyReason> {
        None
    }

    fn restart(&mut self) -> Result<(), CliError> {
        self.number = 0;
        Ok(())
    }
}

impl Pattern {
    /// One row of pixels in the form of the frame.
    fn row(&self, color_at: impl Fn(usize) -> [u8; 3]) -> Vec<u8> {
        let is_bgr = self.form.channel_order() == ChannelOrder::BGR;
        let pixel = |[red, green, blue]: [u8; 3]| match (self.channels, is_bgr) {
            (1, _) => [luma([red, green, blue]), 0, 0, 0],
            (_, true) => [blue, green, red, 255],
            (_, false) => [red, green, blue, 255],
        };
        (0..self.size.width).flat_map(|x| pixel(color_at(x)).into_iter().take(self.channels)).collect()
    }
}

#[derive(Clone, Copy)]
enum Row {
    Bars,
    Ramp,
    /// The bars with the white block on them.
    Block,
}

impl Row {
    fn at(self, x: usize, width: usize, number: usize) -> [u8; 3] {
        let bar = BARS.get(x * BARS.len() / width).copied().unwrap_or_default();
        match self {
            Self::Bars => bar,
            Self::Ramp => [(x.wrapping_add(number.wrapping_mul(3)) % 256) as u8; 3],
            Self::Block => {
                let left = number.wrapping_mul(5) % width;
                if (left..left + (width / 8).max(1)).contains(&x) { WHITE } else { bar }
            }
        }
    }
}

/// Brightness by the weights of ITU-R BT.601, in 256ths.
fn luma([red, green, blue]: [u8; 3]) -> u8 {
    ((77 * u32::from(red) + 150 * u32::from(green) + 29 * u32::from(blue)) >> 8) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(pixel: PixelFormat, width: usize, height: usize, count: usize) -> Vec<Vec<u8>> {
        let mut opened = open(Some(Size { width, height }), Some(pixel), None).unwrap();
        let form = opened.source.next_form().unwrap().unwrap();
        let one = |_| {
            let mut bytes = vec![0; form.len_bytes()];
            opened.source.fill(&mut bytes).unwrap();
            bytes
        };
        (0..count).map(one).collect()
    }

    #[test]
    fn every_frame_differs_from_the_one_before() {
        for frames in frames(PixelFormat::RGBA8, 64, 48, 200).windows(2) {
            assert_ne!(frames[0], frames[1]);
        }
    }

    #[test]
    fn sizes_down_to_one_pixel_are_filled() {
        for (width, height) in [(1, 1), (3, 1), (1, 3), (177, 143)] {
            let filled = frames(PixelFormat::GRAY8, width, height, 2);
            assert_eq!(filled[0].len(), width * height);
        }
    }

    #[test]
    fn bgr_is_rgb_with_red_and_blue_exchanged() {
        let rgb = frames(PixelFormat::RGB8, 17, 9, 1).remove(0);
        let bgr = frames(PixelFormat::BGR8, 17, 9, 1).remove(0);
        let exchanged: Vec<u8> = bgr.chunks_exact(3).flat_map(|p| [p[2], p[1], p[0]]).collect();
        assert_eq!(rgb, exchanged);
    }

    #[test]
    fn a_planar_format_is_refused_by_name() {
        let refused = open(None, Some(PixelFormat::NV12), None).err().unwrap();
        assert!(refused.to_string().contains("nv12"), "{refused}");
    }
}
