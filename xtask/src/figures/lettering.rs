// SPDX-License-Identifier: MIT OR Apache-2.0
//! How wide a text will be, and where it must be broken, without knowing the font that it is shown in.
//!
//! A picture names several fonts and whoever shows it takes the first one that is there. Widths are those of DejaVu Sans, the widest
//! of them, so that a text takes less than what is left for it rather than more.

/// Size and weight of letters.
#[derive(Clone, Copy)]
pub struct Letters {
    pub size: f64,
    pub is_bold: bool,
}

/// Letters of the usual weight.
pub const fn plain(size: f64) -> Letters {
    Letters { size, is_bold: false }
}

/// Bold letters.
pub const fn bold(size: f64) -> Letters {
    Letters { size, is_bold: true }
}

/// Advance widths of the characters from space to tilde in thousandths of the size (DejaVu Sans Book, table hmtx).
const BOOK: [u16; 95] = [
    318, 401, 460, 838, 636, 950, 780, 275, 390, 390, 500, 838, 318, 361, 318, 337, 636, 636, 636, 636, 636,
    636, 636, 636, 636, 636, 337, 337, 838, 838, 838, 531, 1000, 684, 686, 698, 770, 632, 575, 775, 752, 295,
    295, 656, 557, 863, 748, 787, 603, 787, 695, 635, 611, 732, 684, 989, 685, 611, 685, 390, 337, 390, 838,
    500, 500, 613, 635, 550, 635, 615, 352, 635, 634, 278, 278, 579, 278, 974, 634, 612, 635, 635, 411, 521,
    392, 634, 592, 818, 592, 592, 525, 636, 337, 636, 838,
];

/// Of DejaVu Sans Bold.
const BOLD: [u16; 95] = [
    348, 456, 521, 838, 696, 1002, 872, 306, 457, 457, 523, 838, 380, 415, 380, 365, 696, 696, 696, 696, 696,
    696, 696, 696, 696, 696, 400, 400, 838, 838, 838, 580, 1000, 774, 762, 734, 830, 683, 683, 821, 837, 372,
    372, 775, 637, 995, 837, 850, 733, 850, 770, 720, 682, 812, 774, 1103, 771, 724, 725, 457, 365, 457, 838,
    500, 500, 675, 716, 593, 716, 678, 435, 716, 712, 343, 343, 665, 343, 1042, 712, 687, 716, 716, 493, 595,
    478, 712, 652, 924, 645, 652, 582, 712, 365, 712, 838,
];

/// Of a character that the tables do not hold: as wide as the letters are high.
const OTHER: u16 = 1000;

impl Letters {
    /// How wide `text` is, in the unit of the size.
    pub fn width(self, text: &str) -> f64 {
        let table = if self.is_bold { &BOLD } else { &BOOK };
        let of = |letter: char| (letter as usize).checked_sub(' ' as usize).and_then(|at| table.get(at));
        let thousandths = text.chars().map(|letter| f64::from(*of(letter).unwrap_or(&OTHER))).sum::<f64>();
        thousandths * self.size / 1000.0
    }

    /// `text` in lines of at most `width`, broken between words; a word that is wider than a line is broken too.
    pub fn lines(self, text: &str, width: f64) -> Vec<String> {
        let mut lines = Vec::new();
        let mut line = String::new();
        for word in text.split_whitespace() {
            let longer = if line.is_empty() { word.to_string() } else { format!("{line} {word}") };
            if self.width(&longer) <= width {
                line = longer;
                continue;
            }
            if !line.is_empty() {
                lines.push(std::mem::take(&mut line));
            }
            for letter in word.chars() {
                if !line.is_empty() && self.width(&format!("{line}{letter}")) > width {
                    lines.push(std::mem::take(&mut line));
                }
                line.push(letter);
            }
        }
        if !line.is_empty() {
            lines.push(line);
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_letters_take_more_room_than_narrow_ones_and_bold_ones_more_than_plain_ones() {
        assert!(plain(13.0).width("WWW") > plain(13.0).width("iii") * 3.0);
        assert!(bold(13.0).width("goal") > plain(13.0).width("goal"));
        // In DejaVu Sans a word of ten digits is 6.36 times as wide as high.
        assert!((plain(10.0).width("0123456789") - 63.6).abs() < 0.001);
        assert!((plain(10.0).width("→") - 10.0).abs() < 0.001);
    }

    #[test]
    fn lines_are_broken_between_words_and_hold_all_of_them() {
        let text = "a copy on the card and a word that the card writes, read by the other CPU";
        let lines = plain(12.0).lines(text, 150.0);
        assert!(lines.len() > 2 && lines.iter().all(|line| plain(12.0).width(line) <= 150.0), "{lines:?}");
        assert_eq!(lines.join(" "), text);
    }

    #[test]
    fn a_word_that_is_wider_than_a_line_is_broken_and_nothing_of_it_is_lost() {
        let word = "frames_not_right_".repeat(20);
        let lines = bold(13.0).lines(&format!("see {word} there"), 200.0);
        assert!(lines.iter().all(|line| bold(13.0).width(line) <= 200.0), "{lines:?}");
        assert_eq!(lines.concat().replace(' ', ""), format!("see{word}there"));
    }

    #[test]
    fn of_no_text_there_are_no_lines() {
        assert!(plain(12.0).lines("", 100.0).is_empty());
    }
}
