// SPDX-License-Identifier: MIT OR Apache-2.0
//! The contact sheet: some frames as each consumer received them, with their numbers.

use std::path::{Path, PathBuf};

use png::{BitDepth, ColorType};

use super::canvas::{Canvas, Color};
use super::processes::Received;
use crate::error::CliError;
use crate::picture::Picture;
use crate::units;

const FILE_NAME: &str = "uncopy-demo.png";
const BACKGROUND: Color = [18, 20, 24];
const TEXT: Color = [232, 234, 237];
const QUIET: Color = [140, 146, 156];
const GOOD: Color = [126, 200, 140];
const BAD: Color = [255, 92, 80];
/// No picture is wider or higher.
const TILE: [usize; 2] = [256, 192];
/// Smaller pictures are enlarged, so that they can be seen and their numbers fit.
const LEAST_SIDE: usize = 96;
const GAP: usize = 12;
const MARGIN: usize = 24;
const TITLE_HEIGHT: usize = 52;
const ROW_TITLE_HEIGHT: usize = 28;
const ROW_GAP: usize = 24;

/// A frame that a consumer kept.
struct Kept {
    consumer: String,
    number: u64,
    picture: Canvas,
}

/// Writes the sheet into `out` and says where it is.
pub(super) fn write(
    out: &Path,
    title: &str,
    received: &[Received],
    pictures: &Path,
) -> Result<PathBuf, CliError> {
    let kept = read_all(pictures)?;
    let canvas = draw(title, received, &kept);
    let path = out.join(FILE_NAME);
    // A canvas of ours is a few thousand pixels wide.
    let (width, height) = (canvas.width() as u32, canvas.height() as u32);
    let bytes = canvas.into_bytes();
    Picture { width, height, color: ColorType::Rgb, depth: BitDepth::Eight, bytes }.write(&path)?;
    Ok(path)
}

/// Reads `rust-65-640x360x3.raw` and its likes, in the order of their numbers, shrunk to tiles.
fn read_all(pictures: &Path) -> Result<Vec<Kept>, CliError> {
    let failed = |e| CliError::io(format!("read {}", pictures.display()), e);
    let mut kept = Vec::new();
    for entry in std::fs::read_dir(pictures).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let Some((consumer, number, [width, height, channels])) = parsed(&path) else { continue };
        let samples = std::fs::read(&path).map_err(failed)?;
        if let Some(picture) = Canvas::from_samples(width, height, channels, &samples) {
            kept.push(Kept { consumer, number, picture: fitted(&picture) });
        }
    }
    kept.sort_by_key(|one| one.number);
    Ok(kept)
}

fn parsed(path: &Path) -> Option<(String, u64, [usize; 3])> {
    let mut words = path.file_name()?.to_str()?.strip_suffix(".raw")?.split('-');
    let (consumer, number, size) = (words.next()?, words.next()?.parse().ok()?, words.next()?);
    let sizes: Vec<usize> = size.split('x').map_while(|text| text.parse().ok()).collect();
    Some((consumer.to_owned(), number, sizes.try_into().ok()?))
}

/// The picture no larger than a tile, its sides in their proportion; a very small one with larger pixels.
fn fitted(picture: &Canvas) -> Canvas {
    let (width, height) = (picture.width(), picture.height());
    let [most_width, most_height] = TILE;
    if width <= most_width && height <= most_height {
        return picture.enlarged(LEAST_SIDE.div_ceil(width).min(most_height / height).max(1));
    }
    let by_width = (most_width, (height * most_width / width).max(1));
    let by_height = ((width * most_height / height).max(1), most_height);
    let (width, height) = if by_width.1 <= most_height { by_width } else { by_height };
    picture.shrunk(width, height)
}

fn draw(title: &str, received: &[Received], kept: &[Kept]) -> Canvas {
    let widest = |size: fn(&Canvas) -> usize| kept.iter().map(|one| size(&one.picture)).max().unwrap_or(1);
    let tile = [widest(Canvas::width).max(LEAST_SIDE), widest(Canvas::height)];
    let of = |one: &Received| kept.iter().filter(|kept| kept.consumer == one.name).collect::<Vec<_>>();
    let columns = received.iter().map(|one| of(one).len()).max().unwrap_or(0).max(1);
    let row_height = ROW_TITLE_HEIGHT + tile[1] + ROW_GAP;
    let title_width = 6 * 2 * title.chars().count().max(72);
    let width = 2 * MARGIN + (columns * (tile[0] + GAP) - GAP).max(title_width);
    let height = 2 * MARGIN + TITLE_HEIGHT + received.len() * row_height - ROW_GAP;
    let mut canvas = Canvas::new(width, height, BACKGROUND);
    canvas.write([MARGIN, MARGIN], "uncopy", 3, TEXT);
    canvas.write([MARGIN + 132, MARGIN + 6], title, 2, QUIET);
    for (row, one) in received.iter().enumerate() {
        let top = MARGIN + TITLE_HEIGHT + row * row_height;
        draw_row(&mut canvas, top, tile, one, &of(one));
    }
    canvas
}

fn draw_row(canvas: &mut Canvas, top: usize, tile: [usize; 2], one: &Received, kept: &[&Kept]) {
    let name_width = canvas.write([MARGIN, top], &one.name, 2, TEXT);
    let color = if one.torn == 0 { GOOD } else { BAD };
    canvas.write([MARGIN + name_width + 12, top], &row_title(one), 2, color);
    for (column, kept) in kept.iter().enumerate() {
        let corner = [MARGIN + column * (tile[0] + GAP), top + ROW_TITLE_HEIGHT];
        draw_tile(canvas, corner, tile, kept, one.torn_frames.contains(&kept.number));
    }
}

fn row_title(one: &Received) -> String {
    let latency = one.latency_nanos.map(|latency| {
        format!(", latency p50 {}, p99 {}", units::nanos(latency.p50), units::nanos(latency.p99))
    });
    format!("{}, {} torn{}", units::count(one.frames, "frame"), one.torn, latency.unwrap_or_default())
}

/// The picture in the middle of its tile, with its number in the lower left corner.
fn draw_tile(canvas: &mut Canvas, [x, y]: [usize; 2], tile: [usize; 2], kept: &Kept, is_torn: bool) {
    const FRAME: usize = 3;
    let (width, height) = (kept.picture.width(), kept.picture.height());
    let [x, y] = [x + (tile[0] - width) / 2, y + (tile[1] - height) / 2];
    if is_torn {
        canvas.fill([x - FRAME, y - FRAME], [width + 2 * FRAME, height + 2 * FRAME], BAD);
    }
    canvas.draw([x, y], &kept.picture);
    let text = if is_torn { format!("{} torn", kept.number) } else { kept.number.to_string() };
    let label = [text.chars().count() * 12 + 6, 22];
    let place = [x, (y + height).saturating_sub(label[1])];
    canvas.fill(place, label, if is_torn { BAD } else { BACKGROUND });
    canvas.write([place[0] + 4, place[1] + 4], &text, 2, TEXT);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_pictures_say_who_which_and_how_large() {
        let parsed = |name: &str| parsed(Path::new(name));
        assert_eq!(parsed("a/rust-65-640x360x3.raw"), Some(("rust".to_owned(), 65, [640, 360, 3])));
        for wrong in ["rust-65-640x360x3.png", "rust-65-640x360.raw", "rust-x-1x1x1.raw", "rust.raw"] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn pictures_fit_their_tiles_in_proportion() {
        let fitted = |width, height| {
            let small = fitted(&Canvas::new(width, height, BACKGROUND));
            (small.width(), small.height())
        };
        assert_eq!(fitted(640, 360), (256, 144));
        assert_eq!(fitted(360, 640), (108, 192));
        assert_eq!(fitted(177, 143), (177, 143));
        assert_eq!(fitted(6400, 1), (256, 1));
        assert_eq!(fitted(2, 2), (96, 96));
        assert_eq!(fitted(1, 150), (1, 150));
    }
}
