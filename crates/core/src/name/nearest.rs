// SPDX-License-Identifier: MIT OR Apache-2.0
//! "Did you mean": the known name that a mistyped one resembles.
//!
//! ```
//! use uncopy_core::nearest;
//!
//! assert_eq!(nearest("camrea", ["depth", "camera"]), Some("camera"));
//! assert_eq!(nearest("microphone", ["depth", "camera"]), None);
//! ```

/// The known name that `wanted` most resembles, for "did you mean" in messages; `None` when nothing is near.
///
/// Near means: at most one edit, or one for every three characters of the longer text; an edit is a character added,
/// left out, replaced, or swapped with its neighbour; upper and lower case are the same. Of equally near names the
/// first wins. Texts over 256 characters are never near, which bounds the cost.
pub fn nearest<'a>(wanted: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = comparable(wanted)?;
    let mut best: Option<(usize, &'a str)> = None;
    for name in known {
        let Some(candidate) = comparable(name) else { continue };
        let allowed = (wanted.len().max(candidate.len()) / 3).max(1);
        let allowed = best.map_or(allowed, |(edits, _)| allowed.min(edits.saturating_sub(1)));
        if wanted.len().abs_diff(candidate.len()) > allowed {
            continue;
        }
        let edits = count_edits(&wanted, &candidate);
        // one edit turns any single character into any other: that is no resemblance
        let resembles = edits < wanted.len().max(candidate.len());
        if edits <= allowed && resembles && best.is_none_or(|(fewest, _)| edits < fewest) {
            best = Some((edits, name));
        }
    }
    best.map(|(_, name)| name)
}

/// `text` in lower case, or `None` when it is too long to compare.
fn comparable(text: &str) -> Option<Vec<char>> {
    const MAX_CHARS: usize = 256;
    let chars: Vec<char> = text.chars().take(MAX_CHARS + 1).map(|c| c.to_ascii_lowercase()).collect();
    (chars.len() <= MAX_CHARS).then_some(chars)
}

/// Edits that turn `a` into `b`: optimal string alignment, where swapped neighbours count once.
fn count_edits(a: &[char], b: &[char]) -> usize {
    let mut two_back = vec![0; b.len() + 1];
    let mut previous: Vec<usize> = (0..=b.len()).collect();
    for (i, &from) in a.iter().enumerate() {
        let mut current = Vec::with_capacity(b.len() + 1);
        let mut left = i + 1;
        current.push(left);
        for (j, &to) in b.iter().enumerate() {
            let cell = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX - 1);
            let mut edits =
                (cell(&previous, j) + usize::from(from != to)).min(cell(&previous, j + 1) + 1).min(left + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(&to) && b.get(j - 1) == Some(&from);
            if swapped {
                edits = edits.min(cell(&two_back, j - 1) + 1);
            }
            current.push(edits);
            left = edits;
        }
        two_back = std::mem::replace(&mut previous, current);
    }
    previous.last().copied().unwrap_or(a.len())
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn the_nearest_name_is_found_across_every_kind_of_edit() {
        let known = ["rgba8", "gray16", "nv12"];
        for typed in ["rgab8", "rgb8", "rgba", "RGBA8", "rgbaa8", "rgba9"] {
            assert_eq!(nearest(typed, known), Some("rgba8"), "{typed}");
        }
        assert_eq!(nearest("ga", ["gb"]), Some("gb"));
    }

    #[test]
    fn nothing_is_suggested_for_what_resembles_nothing() {
        assert_eq!(nearest("depth", ["camera", "rgba8"]), None);
        assert_eq!(nearest("", ["a"]), None);
        assert_eq!(nearest("a", ["b"]), None);
        assert_eq!(nearest("a", []), None);
        assert_eq!(nearest(&"a".repeat(257), [&*"a".repeat(256)]), None);
    }

    #[test]
    fn the_first_of_equally_near_names_wins_and_an_exact_one_beats_all() {
        assert_eq!(nearest("cam1", ["cam2", "cam3"]), Some("cam2"));
        assert_eq!(nearest("cam3", ["cam2", "cam3"]), Some("cam3"));
        assert_eq!(nearest("cam", ["CAM", "cam"]), Some("CAM"));
    }
}
