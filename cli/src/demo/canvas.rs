// SPDX-License-Identifier: MIT OR Apache-2.0
//! A picture to draw on: rectangles, smaller pictures, text.

use super::font;

/// Red, green and blue.
pub(super) type Color = [u8; 3];

pub(super) struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<Color>,
}

impl Canvas {
    pub fn new(width: usize, height: usize, color: Color) -> Self {
        Self { width, height, pixels: vec![color; width * height] }
    }

    /// From samples of 1 (gray), 3 or 4 (red, green, blue) for each pixel; `None` where they don't fit the size.
    pub fn from_samples(width: usize, height: usize, channels: usize, samples: &[u8]) -> Option<Self> {
        if width * height * channels != samples.len() || samples.is_empty() {
            return None;
        }
        let color = |pixel: &[u8]| match *pixel {
            [red, green, blue, ..] => [red, green, blue],
            [gray, ..] => [gray; 3],
            [] => [0; 3],
        };
        Some(Self { width, height, pixels: samples.chunks_exact(channels).map(color).collect() })
    }

    pub fn width(&self) -> usize {
        self.width
    }

    pub fn height(&self) -> usize {
        self.height
    }

    fn set(&mut self, x: usize, y: usize, color: Color) {
        if x < self.width
            && let Some(pixel) = self.pixels.get_mut(y * self.width + x)
        {
            *pixel = color;
        }
    }

    fn get(&self, x: usize, y: usize) -> Color {
        self.pixels.get(y * self.width + x).copied().unwrap_or_default()
    }

    pub fn fill(&mut self, [x, y]: [usize; 2], [width, height]: [usize; 2], color: Color) {
        for y in y..y + height {
            for x in x..x + width {
                self.set(x, y, color);
            }
        }
    }

    /// Draws `picture` with its upper left corner at `x`, `y`.
    pub fn draw(&mut self, [x, y]: [usize; 2], picture: &Self) {
        for row in 0..picture.height {
            for column in 0..picture.width {
                self.set(x + column, y + row, picture.get(column, row));
            }
        }
    }

    /// Writes `text`, its letters `scale` times as large as the font's. Returns its width.
    pub fn write(&mut self, [x, y]: [usize; 2], text: &str, scale: usize, color: Color) -> usize {
        let mut left = x;
        for letter in text.chars() {
            for (column, bits) in font::columns(letter).into_iter().enumerate() {
                for row in (0..font::HEIGHT).filter(|row| bits >> row & 1 == 1) {
                    self.fill([left + column * scale, y + row * scale], [scale, scale], color);
                }
            }
            left += font::ADVANCE * scale;
        }
        left - x
    }

    /// The same picture `width` pixels wide and `height` high, each new pixel the mean of those it stands for.
    pub fn shrunk(&self, width: usize, height: usize) -> Self {
        let mut small = Self::new(width, height, [0; 3]);
        for y in 0..height {
            let rows = covered(y, height, self.height);
            for x in 0..width {
                small.set(x, y, self.mean(covered(x, width, self.width), rows.clone()));
            }
        }
        small
    }

    /// The same picture with pixels `times` as large.
    pub fn enlarged(&self, times: usize) -> Self {
        let mut large = Self::new(self.width * times, self.height * times, [0; 3]);
        for y in 0..large.height {
            for x in 0..large.width {
                large.set(x, y, self.get(x / times, y / times));
            }
        }
        large
    }

    fn mean(&self, columns: std::ops::Range<usize>, rows: std::ops::Range<usize>) -> Color {
        let count = (columns.len() * rows.len()).max(1);
        let mut sums = [0usize; 3];
        for y in rows {
            for x in columns.clone() {
                for (sum, value) in sums.iter_mut().zip(self.get(x, y)) {
                    *sum += usize::from(value);
                }
            }
        }
        sums.map(|sum| (sum / count) as u8)
    }

    /// Rows from the top, three bytes for each pixel.
    pub fn into_bytes(self) -> Vec<u8> {
        self.pixels.into_iter().flatten().collect()
    }
}

/// The old pixels, at least one, that new pixel `at` of `new` stands for.
fn covered(at: usize, new: usize, old: usize) -> std::ops::Range<usize> {
    let start = at * old / new;
    start..((at + 1) * old / new).max(start + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shrunk_picture_keeps_its_mean() {
        let picture = Canvas::from_samples(4, 2, 1, &[0, 100, 10, 30, 100, 200, 50, 70]).unwrap();
        assert_eq!(picture.shrunk(2, 1).pixels, [[100; 3], [40; 3]]);
        assert_eq!(picture.shrunk(4, 2).pixels, picture.pixels);
    }

    #[test]
    fn an_enlarged_picture_has_the_same_pixels_larger() {
        let picture = Canvas::from_samples(2, 1, 1, &[1, 2]).unwrap();
        assert_eq!(picture.enlarged(2).pixels, [[1; 3], [1; 3], [2; 3], [2; 3]].repeat(2));
        assert_eq!(picture.enlarged(1).pixels, picture.pixels);
    }

    #[test]
    fn sizes_that_do_not_divide_are_covered_whole() {
        for (old, new) in [(177, 60), (143, 48), (3, 2), (1, 1), (640, 239)] {
            let all: Vec<usize> = (0..new).flat_map(|at| covered(at, new, old)).collect();
            assert_eq!(all, (0..old).collect::<Vec<_>>(), "{old} to {new}");
        }
    }

    #[test]
    fn what_lies_outside_is_left_out() {
        let mut canvas = Canvas::new(4, 4, [0; 3]);
        canvas.fill([2, 2], [9, 9], [1; 3]);
        canvas.write([3, 3], "8", 3, [2; 3]);
        assert_eq!(canvas.get(1, 1), [0; 3]);
        assert_eq!(canvas.get(2, 2), [1; 3]);
    }

    #[test]
    fn samples_that_do_not_fit_make_no_picture() {
        assert!(Canvas::from_samples(2, 2, 3, &[0; 11]).is_none());
        assert!(Canvas::from_samples(0, 0, 3, &[]).is_none());
    }
}
