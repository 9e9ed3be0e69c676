// SPDX-License-Identifier: MIT OR Apache-2.0
//! Frames as PNG files: which frames are pictures, and how their bytes become a PNG's.
//!
//! PNG knows gray, RGB and RGBA with 8 or 16 bits, first row on top. Frames whose first row is at the bottom are
//! turned, blue-first channels are swapped, and 16-bit samples change their byte order. Everything else is refused with
//! a sentence; floating point is written only when the caller asked for 8-bit tones.

use std::path::Path;

use half::f16;
use png::{BitDepth, ColorType};
use uncopy::{ChannelOrder, DType, ErrorKind, Form, Origin, PixelFormat};

use crate::error::CliError;
use crate::gpu::Seen;

/// A picture as PNG has it.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct Picture {
    pub width: u32,
    pub height: u32,
    pub color: ColorType,
    pub depth: BitDepth,
    /// Rows from the top, without padding; 16-bit samples with their high byte first.
    pub bytes: Vec<u8>,
}

/// How the samples of a frame are read as a picture's.
#[derive(Clone, Copy)]
struct Reading {
    height: usize,
    width: usize,
    channels: usize,
    sample: Sample,
}

#[derive(Clone, Copy, PartialEq)]
enum Sample {
    U8,
    U16,
    F16,
    F32,
}

impl Sample {
    const fn is_float(self) -> bool {
        matches!(self, Self::F16 | Self::F32)
    }
}

impl Picture {
    /// The picture in a frame. With `tone`, floating point samples from 0 to 1 become 0 to 255, linearly.
    pub fn of(seen: &mut Seen<'_>, tone: bool) -> Result<Self, CliError> {
        let form = *seen.frame.form();
        Self::from_packed(&form, seen.packed()?, tone)
    }

    /// The picture in the packed bytes of a frame of `form`.
    fn from_packed(form: &Form, packed: &[u8], tone: bool) -> Result<Self, CliError> {
        let reading = Reading::of(form)?;
        if reading.sample.is_float() && !tone {
            let why = "its samples are floating point, and PNG has none; --tone writes 0 to 1 as 8-bit tones";
            return Err(refused(form, why));
        }
        let (width, height) = reading.size(form)?;
        let mut bytes: Vec<u8> = match reading.sample {
            Sample::U8 => packed.to_vec(),
            Sample::U16 => packed.as_chunks().0.iter().flat_map(|[low, high]| [*high, *low]).collect(),
            Sample::F16 => {
                packed.as_chunks().0.iter().map(|b| toned(f16::from_le_bytes(*b).into())).collect()
            }
            Sample::F32 => packed.as_chunks().0.iter().map(|b| toned(f32::from_le_bytes(*b))).collect(),
        };
        let depth = if reading.sample == Sample::U16 { BitDepth::Sixteen } else { BitDepth::Eight };
        let sample_bytes = if depth == BitDepth::Sixteen { 2 } else { 1 };
        if form.channel_order() == ChannelOrder::BGR {
            swap_red_and_blue(&mut bytes, reading.channels * sample_bytes, sample_bytes);
        }
        if form.origin() == Origin::BOTTOM_LEFT {
            turn_rows(&mut bytes, reading.width * reading.channels * sample_bytes);
        }
        Ok(Self { width, height, color: reading.color(form)?, depth, bytes })
    }

    /// Writes it as a PNG file, in place of what may be there.
    pub fn write(&self, path: &Path) -> Result<(), CliError> {
        let doing = || format!("write {}", path.display());
        let file = std::fs::File::create(path).map_err(|e| CliError::io(doing(), e))?;
        let mut encoder = png::Encoder::new(std::io::BufWriter::new(file), self.width, self.height);
        encoder.set_color(self.color);
        encoder.set_depth(self.depth);
        encoder.set_compression(png::Compression::Fast);
        let written = encoder.write_header().and_then(|mut writer| {
            writer.write_image_data(&self.bytes)?;
            writer.finish()
        });
        written.map_err(|e| CliError::io(doing(), e.into()))
    }
}

impl Reading {
    fn of(form: &Form) -> Result<Self, CliError> {
        let pixel = form.pixel();
        let is_bayer = pixel.name().is_some_and(|name| name.starts_with("bayer"));
        if pixel.is_planar() || is_bayer {
            let why = "its colours have to be computed first; convert it to rgb8 or rgba8 where it is made";
            return Err(refused(form, why));
        }
        let sample = match form.dtype() {
            DType::U8 => Sample::U8,
            DType::U16 => Sample::U16,
            DType::F16 => Sample::F16,
            DType::F32 => Sample::F32,
            _ => {
                return Err(refused(
                    form,
                    "PNG has samples of 8 or 16 bits without a sign; --raw writes it as it is",
                ));
            }
        };
        let (height, width, channels) = match *form.shape() {
            [height, width] => (height, width, 1),
            [height, width, channels] => (height, width, channels),
            _ => {
                return Err(refused(
                    form,
                    "a picture has 2 axes, or 3 with the channels last; --raw writes it as it is",
                ));
            }
        };
        Ok(Self { height, width, channels, sample })
    }

    fn color(self, form: &Form) -> Result<ColorType, CliError> {
        match self.channels {
            1 => Ok(ColorType::Grayscale),
            3 => Ok(ColorType::Rgb),
            4 => Ok(ColorType::Rgba),
            2 if form.pixel() != PixelFormat::UNSPECIFIED => {
                Err(refused(form, "two channels are no picture; --raw writes it as it is"))
            }
            _ => Err(refused(form, "a picture has 1, 3 or 4 channels; --raw writes it as it is")),
        }
    }

    fn size(self, form: &Form) -> Result<(u32, u32), CliError> {
        let fits = |size: usize| u32::try_from(size).ok().filter(|size| (1..1 << 31).contains(size));
        match (fits(self.width), fits(self.height)) {
            (Some(width), Some(height)) => Ok((width, height)),
            _ => Err(refused(form, "a PNG has 1 to 2147483647 pixels along each axis")),
        }
    }
}

fn refused(form: &Form, why: &str) -> CliError {
    CliError::said(ErrorKind::Unsupported, format!("a frame of {form} can't be written as PNG: {why}"))
}

fn toned(value: f32) -> u8 {
    // `as` saturates, and turns what is not a number into 0.
    (value.clamp(0.0, 1.0) * 255.0 + 0.5) as u8
}

fn swap_red_and_blue(bytes: &mut [u8], pixel_bytes: usize, sample_bytes: usize) {
    for pixel in bytes.chunks_exact_mut(pixel_bytes.max(1)) {
        if let Some((first, rest)) = pixel.split_at_mut_checked(2 * sample_bytes)
            && let (Some(red), Some(blue)) = (first.get_mut(..sample_bytes), rest.get_mut(..sample_bytes))
        {
            red.swap_with_slice(blue);
        }
    }
}

fn turn_rows(bytes: &mut [u8], row_bytes: usize) {
    let mut rows: Vec<&mut [u8]> = bytes.chunks_exact_mut(row_bytes.max(1)).collect();
    let half = rows.len() / 2;
    let (top, bottom) = rows.split_at_mut(half);
    for (upper, lower) in top.iter_mut().zip(bottom.iter_mut().rev()) {
        upper.swap_with_slice(lower);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(form: Form, packed: &[u8]) -> Picture {
        Picture::from_packed(&form, packed, false).unwrap()
    }

    fn refusal(form: Form, tone: bool) -> String {
        let packed = vec![0; form.len_bytes()];
        Picture::from_packed(&form, &packed, tone).unwrap_err().to_string()
    }

    #[test]
    fn bgra_becomes_rgba_and_the_first_row_comes_on_top() {
        let form = Form::image(2, 1, PixelFormat::BGRA8).unwrap();
        let pixels = [1, 2, 3, 4, 5, 6, 7, 8];
        let upright = picture(form, &pixels);
        assert_eq!((upright.color, upright.bytes), (ColorType::Rgba, vec![3, 2, 1, 4, 7, 6, 5, 8]));
        let turned = picture(form.with_origin(Origin::BOTTOM_LEFT), &pixels);
        assert_eq!(turned.bytes, [7, 6, 5, 8, 3, 2, 1, 4]);
    }

    #[test]
    fn rows_of_an_odd_number_turn_around_the_middle_one() {
        let form = Form::image(3, 2, PixelFormat::GRAY8).unwrap().with_origin(Origin::BOTTOM_LEFT);
        assert_eq!(picture(form, &[1, 2, 3, 4, 5, 6]).bytes, [5, 6, 3, 4, 1, 2]);
    }

    #[test]
    fn samples_of_16_bits_have_their_high_byte_first() {
        let form = Form::image(1, 2, PixelFormat::GRAY16).unwrap();
        let gray = picture(form, &[0x34, 0x12, 0xFF, 0x00]);
        assert_eq!((gray.depth, gray.bytes), (BitDepth::Sixteen, vec![0x12, 0x34, 0x00, 0xFF]));
    }

    #[test]
    fn plain_arrays_are_pictures_by_their_channels() {
        let shapes: [(&[usize], ColorType); 4] = [
            (&[2, 3], ColorType::Grayscale),
            (&[2, 3, 1], ColorType::Grayscale),
            (&[2, 3, 3], ColorType::Rgb),
            (&[2, 3, 4], ColorType::Rgba),
        ];
        for (shape, color) in shapes {
            let form = Form::new(DType::U8, shape).unwrap();
            let read = picture(form, &vec![9; form.len_bytes()]);
            assert_eq!((read.color, read.height, read.width), (color, 2, 3));
        }
    }

    #[test]
    fn floating_point_needs_to_be_asked_for() {
        let form = Form::image(1, 5, PixelFormat::GRAY32F).unwrap();
        assert!(refusal(form, false).contains("--tone"));
        let samples: Vec<u8> =
            [0.0f32, 0.5, 1.0, 7.0, f32::NAN].iter().flat_map(|sample| sample.to_le_bytes()).collect();
        assert_eq!(Picture::from_packed(&form, &samples, true).unwrap().bytes, [0, 128, 255, 255, 0]);
        let half = Form::image(1, 2, PixelFormat::GRAY16F).unwrap();
        let samples: Vec<u8> = [0.25, -3.0].iter().flat_map(|s| f16::from_f32(*s).to_le_bytes()).collect();
        assert_eq!(Picture::from_packed(&half, &samples, true).unwrap().bytes, [64, 0]);
    }

    #[test]
    fn what_png_does_not_have_is_refused_with_the_form() {
        let refused = [
            Form::image(2, 2, PixelFormat::NV12).unwrap(),
            Form::image(2, 2, PixelFormat::BAYER_RGGB8).unwrap(),
            Form::image(2, 2, PixelFormat::RG8).unwrap(),
            Form::new(DType::I32, &[2, 2]).unwrap(),
            Form::new(DType::U8, &[2, 2, 5]).unwrap(),
            Form::new(DType::U8, &[7]).unwrap(),
            Form::new(DType::U8, &[0, 4]).unwrap(),
        ];
        for form in refused {
            assert!(refusal(form, true).contains(&form.to_string()), "{form}");
        }
    }
}
