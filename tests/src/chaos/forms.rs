// SPDX-License-Identifier: MIT OR Apache-2.0
//! The forms that frames of a chaos run take in turn: same memory, more memory, less memory again.

use std::fmt;
use std::str::FromStr;

use uncopy::{DType, Form, Layout, PixelFormat};

use crate::form;
use crate::pattern::next_random;

/// Which forms there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forms {
    /// All of 64 bytes: what matters is the machine of slots.
    Small,
    /// From nothing to megabytes, other dtypes, pictures, padded rows: epochs come and go.
    Mixed,
    /// 1080p RGBA8.
    Video,
}

impl Forms {
    /// The list that both sides number in the same way.
    ///
    /// # Panics
    /// Never: every form of it fits memory.
    #[must_use]
    pub fn list(self) -> Vec<Form> {
        let texts: &[&str] = match self {
            Self::Small => &["64", "8x8", "float32:16", "uint16:4x8"],
            Self::Mixed => &[
                "64x48x4",
                "0x4",
                "31x17x3",
                "float32:120x160",
                "uint16:256x256",
                "float16:64x64x4",
                "512x512x4",
                "1",
                "float64:3x5x7x2",
            ],
            Self::Video => &[],
        };
        let mut forms: Vec<Form> = texts.iter().map(|text| form(text)).collect();
        let picture = |height, width| Form::image(height, width, PixelFormat::RGBA8).expect("it fits");
        match self {
            Self::Small => {}
            Self::Mixed => {
                // Rows of 200 bytes that begin every 256.
                let padded = Layout::strided(DType::U8, &[50, 200], &[256, 1]).expect("it fits");
                forms.extend([picture(270, 480), Form::from_layout(padded), form("768x1024x4")]);
            }
            Self::Video => forms.push(picture(1080, 1920)),
        }
        forms
    }
}

impl FromStr for Forms {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::Small, Self::Mixed, Self::Video];
        all.into_iter().find(|forms| forms.to_string() == text).ok_or_else(|| format!("no forms '{text}'"))
    }
}

impl fmt::Display for Forms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Small => "small",
            Self::Mixed => "mixed",
            Self::Video => "video",
        })
    }
}

/// A producer's walk over the forms: a while with each, shorter with large ones.
pub(super) struct Walk {
    forms: Vec<Form>,
    at: usize,
    left: u64,
}

impl Walk {
    pub(super) fn new(forms: Forms) -> Self {
        Self { forms: forms.list(), at: 0, left: 0 }
    }

    /// The next frame's form and its index.
    pub(super) fn next(&mut self, random: &mut u64) -> (u32, Form) {
        if self.left == 0 {
            self.at = (next_random(random) % self.forms.len() as u64) as usize;
            let longest = if self.forms[self.at].len_bytes() > 1 << 18 { 12 } else { 400 };
            self.left = 1 + next_random(random) % longest;
        }
        self.left -= 1;
        (self.at as u32, self.forms[self.at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_has_forms_that_a_producer_can_write() {
        for forms in [Forms::Small, Forms::Mixed, Forms::Video] {
            assert_eq!(forms.to_string().parse(), Ok(forms));
            assert!(forms.list().iter().all(Form::is_writable), "{forms}");
        }
        assert!(Forms::Small.list().iter().all(|form| form.len_bytes() == 64));
    }

    #[test]
    fn a_walk_comes_to_every_form() {
        let (mut walk, mut random) = (Walk::new(Forms::Mixed), 1);
        let mut seen = vec![false; Forms::Mixed.list().len()];
        for _ in 0..20_000 {
            seen[walk.next(&mut random).0 as usize] = true;
        }
        assert!(seen.iter().all(|seen| *seen), "{seen:?}");
    }
}
