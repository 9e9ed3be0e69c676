// SPDX-License-Identifier: MIT OR Apache-2.0
//! A PNG file as one frame.

use std::path::Path;

use png::{BitDepth, ColorType, Decoder, Transformations};
use uncopy::{CopyReason, ErrorKind, Form, PixelFormat};

use super::source::{Opened, Source};
use crate::error::CliError;

/// Endings of files that hold one picture. Those that are not PNG are read like a video of one frame.
const STILL: [&str; 9] = ["png", "jpg", "jpeg", "webp", "bmp", "tif", "tiff", "ppm", "pgm"];

pub(super) fn is_still(path: &Path) -> bool {
    ending(path).is_some_and(|ending| STILL.contains(&ending.as_str()))
}

pub(super) fn is_png(path: &Path) -> bool {
    ending(path).is_some_and(|ending| ending == "png")
}

fn ending(path: &Path) -> Option<String> {
    Some(path.extension()?.to_str()?.to_ascii_lowercase())
}

pub(super) fn open(path: &Path, pixel: Option<PixelFormat>) -> Result<Opened, CliError> {
    let (form, bytes) = read(path)?;
    if let Some(asked) = pixel.filter(|asked| *asked != form.pixel()) {
        let sentence = format!(
            "{} is {} and is sent as it is; {asked} can't be had from it",
            path.display(),
            form.pixel()
        );
        return Err(CliError::said(ErrorKind::Unsupported, sentence));
    }
    Ok(Opened {
        title: format!("{}, {form}", path.display()),
        source: Box::new(Still { form, bytes, is_next: true }),
        rate: super::Rate::new(25, 1),
        frames: Some(1),
        is_still: true,
    })
}

/// Form and bytes of the picture in a PNG file. Palettes and few-bit grays are expanded; gray with alpha becomes RGBA.
fn read(path: &Path) -> Result<(Form, Vec<u8>), CliError> {
    let failed = |error: png::DecodingError| match error {
        png::DecodingError::IoError(source) => CliError::io(format!("read {}", path.display()), source),
        other => CliError::said(ErrorKind::InvalidArgument, format!("{} is no PNG: {other}", path.display())),
    };
    let file = std::fs::File::open(path).map_err(|e| CliError::io(format!("read {}", path.display()), e))?;
    let mut decoder = Decoder::new(std::io::BufReader::new(file));
    decoder.set_transformations(Transformations::EXPAND);
    let mut reader = decoder.read_info().map_err(failed)?;
    let len_bytes = reader.output_buffer_size().ok_or_else(|| too_large(path))?;
    let mut bytes = vec![0; len_bytes];
    let info = reader.next_frame(&mut bytes).map_err(failed)?;
    bytes.truncate(info.buffer_size());
    let is_deep = info.bit_depth == BitDepth::Sixteen;
    if is_deep {
        bytes.as_chunks_mut::<2>().0.iter_mut().for_each(|sample| sample.reverse());
    }
    let pixel = match (info.color_type, is_deep) {
        (ColorType::Grayscale, false) => PixelFormat::GRAY8,
        (ColorType::Grayscale, true) => PixelFormat::GRAY16,
        (ColorType::Rgb, false) => PixelFormat::RGB8,
        (ColorType::Rgb, true) => PixelFormat::RGB16,
        (ColorType::GrayscaleAlpha, false) => {
            bytes =
                bytes.as_chunks().0.iter().flat_map(|[gray, alpha]| [*gray, *gray, *gray, *alpha]).collect();
            PixelFormat::RGBA8
        }
        (ColorType::GrayscaleAlpha, true) => {
            let pixels = bytes.as_chunks().0.iter();
            bytes = pixels.flat_map(|[g, h, a, b]| [*g, *h, *g, *h, *g, *h, *a, *b]).collect();
            PixelFormat::RGBA16
        }
        (_, false) => PixelFormat::RGBA8,
        (_, true) => PixelFormat::RGBA16,
    };
    Ok((Form::image(info.height as usize, info.width as usize, pixel)?, bytes))
}

fn too_large(path: &Path) -> CliError {
    CliError::said(ErrorKind::OutOfMemory, format!("{} is larger than memory can be", path.display()))
}

struct Still {
    form: Form,
    bytes: Vec<u8>,
    is_next: bool,
}

impl Source for Still {
    fn next_form(&mut self) -> Result<Option<Form>, CliError> {
        Ok(std::mem::take(&mut self.is_next).then_some(self.form))
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), CliError> {
        bytes.copy_from_slice(&self.bytes);
        Ok(())
    }

    fn copies(&self) -> Option<CopyReason> {
        Some(CopyReason::SEND)
    }

    fn restart(&mut self) -> Result<(), CliError> {
        self.is_next = true;
        Ok(())
    }
}
