// SPDX-License-Identifier: MIT OR Apache-2.0
//! Strangers' text inside our messages: quoted, escaped and cut, so that a message stays one short line.

/// Characters of a stranger's text that a message shows.
const MAX_SHOWN_CHARS: usize = 80;

/// `text` in quotes, with control characters escaped and everything after 80 characters left out.
pub(crate) fn quoted(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN_CHARS) {
        None => format!("{text:?}"),
        Some((end, _)) => format!("{:?}...", text.get(..end).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn line_breaks_are_escaped_and_long_text_is_cut_between_characters() {
        assert_eq!(quoted("a\nb"), r#""a\nb""#);
        assert_eq!(quoted(&"é".repeat(81)), format!("\"{}\"...", "é".repeat(80)));
        assert_eq!(quoted(&"é".repeat(80)), format!("\"{}\"", "é".repeat(80)));
    }
}
