// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which frames the contact sheet shows, though nobody knows for certain how many will come.
//!
//! Frames 1, 1 + step, 1 + 2 step, ... are kept. When there are more than eight of them, the step doubles and every
//! second one is given up. So each consumer ends with the same frames, spread evenly. The Python consumers do the same.

/// The most frames that a consumer keeps.
const MOST: u64 = 8;

/// The frames that are kept so far.
pub(super) struct Shown {
    step: u64,
    kept: Vec<u64>,
}

impl Shown {
    /// Begins with a step that suits `expected` frames, so that few are kept only to be given up.
    pub fn new(expected: Option<u64>) -> Self {
        Self { step: step_for(expected), kept: Vec::new() }
    }

    /// Whether to keep frame `number`, counted from 1, and which to give up for it.
    pub fn take(&mut self, number: u64) -> (bool, Vec<u64>) {
        if !is_on(number, self.step) {
            return (false, Vec::new());
        }
        self.kept.push(number);
        let mut given_up = Vec::new();
        while self.kept.len() as u64 > MOST {
            self.step *= 2;
            let step = self.step;
            given_up.extend(self.kept.extract_if(.., |number| !is_on(*number, step)));
        }
        (self.kept.last() == Some(&number), given_up)
    }
}

fn is_on(number: u64, step: u64) -> bool {
    number.saturating_sub(1).is_multiple_of(step)
}

/// The step between frames that are kept, when so many come.
pub(super) fn step_for(frames: Option<u64>) -> u64 {
    frames.unwrap_or(1).max(1).div_ceil(MOST).next_power_of_two()
}

/// A frame in the middle of so many that will be shown; the first where their number is not known.
pub(super) fn one_in_the_middle(frames: Option<u64>) -> u64 {
    let step = step_for(frames);
    let frames = frames.unwrap_or(1).max(1);
    1 + step * (frames.div_ceil(step) / 2).min((frames - 1) / step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(frames: u64) -> Vec<u64> {
        kept_of(frames, None)
    }

    fn kept_of(frames: u64, expected: Option<u64>) -> Vec<u64> {
        let mut shown = Shown::new(expected);
        let mut kept = Vec::new();
        for number in 1..=frames {
            let (keep, given_up) = shown.take(number);
            kept.extend(keep.then_some(number));
            kept.retain(|number| !given_up.contains(number));
        }
        kept
    }

    #[test]
    fn up_to_eight_frames_are_kept_evenly() {
        assert_eq!(kept(3), [1, 2, 3]);
        assert_eq!(kept(132), [1, 33, 65, 97, 129]);
        assert_eq!(kept(250), [1, 33, 65, 97, 129, 161, 193, 225]);
        for frames in 1..600 {
            let kept = kept(frames);
            assert!(kept[0] == 1 && (kept.len() as u64) <= MOST, "{frames}: {kept:?}");
            assert!(frames < MOST || kept.len() > 4, "{frames}: {kept:?}");
        }
    }

    #[test]
    fn what_was_expected_does_not_change_what_is_kept_in_the_end() {
        for frames in 1..300 {
            assert_eq!(kept_of(frames, Some(frames)), kept(frames), "{frames}");
            assert!(kept_of(frames, Some(frames / 2)).len() as u64 <= MOST);
        }
    }

    #[test]
    fn the_frame_in_the_middle_exists_and_is_shown() {
        for frames in 1..600 {
            assert!(kept(frames).contains(&one_in_the_middle(Some(frames))), "{frames}");
        }
        assert_eq!(one_in_the_middle(None), 1);
        assert_eq!(one_in_the_middle(Some(132)), 65);
    }
}
