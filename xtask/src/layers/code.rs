// SPDX-License-Identifier: MIT OR Apache-2.0
//! Reads Rust source as far as the fence check needs it: what is code, and what is text or comment.

/// The source with every comment, string and character literal blanked, so that what is left is code.
/// Positions and line breaks stay.
pub fn code_of(source: &str) -> String {
    let mut code = String::with_capacity(source.len());
    let mut rest = source;
    let mut previous = ' ';
    while let Some(next) = rest.chars().next() {
        let taken = if previous.is_alphanumeric() || previous == '_' { 0 } else { prefixed_string(rest) };
        let len = if taken > 0 { taken } else { blank_len(rest) };
        let (token, after) = rest.split_at(if len > 0 { len } else { next.len_utf8() });
        if len > 0 {
            code.extend(token.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        } else {
            code.push(next);
        }
        previous = if len > 0 { ' ' } else { next };
        rest = after;
    }
    code
}

/// Whether the code does something unsafe, as the `unsafe_code` lint means it: the type of a pointer to an
/// unsafe function, `unsafe extern "C" fn(...)`, only names such a function.
pub fn has_unsafe(code: &str) -> bool {
    code.match_indices("unsafe").any(|(at, word)| {
        let (before, after) =
            (code.get(..at).unwrap_or_default(), code.get(at + word.len()..).unwrap_or_default());
        let is_in_name = |c: char| c.is_alphanumeric() || c == '_';
        !before.ends_with(is_in_name) && !after.starts_with(is_in_name) && !is_pointer_type(after)
    })
}

fn is_pointer_type(after: &str) -> bool {
    let after = after.trim_start();
    // The ABI string is blank by now.
    let after = after.strip_prefix("extern").unwrap_or(after).trim_start();
    after.strip_prefix("fn").is_some_and(|rest| rest.trim_start().starts_with('('))
}

/// How many bytes from here are a comment, a string or a character; 0 when this is code.
fn blank_len(rest: &str) -> usize {
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment(rest);
    }
    match rest.chars().next() {
        Some('"') => quoted(rest, '"'),
        Some('\'') if is_character(rest) => quoted(rest, '\''),
        _ => 0,
    }
}

/// Block comments nest in Rust.
fn block_comment(rest: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(tail) = rest.get(at..).filter(|tail| !tail.is_empty()) {
        if tail.starts_with("/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if tail.starts_with("*/") {
            (depth, at) = (depth.saturating_sub(1), at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += tail.chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// `'a'` and `'\n'` are characters, `'a` is a lifetime.
fn is_character(rest: &str) -> bool {
    let mut chars = rest.chars().skip(1);
    chars.next() == Some('\\') || chars.next() == Some('\'')
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        if c == quote && !escaped {
            return at + c.len_utf8();
        }
        escaped = c == '\\' && !escaped;
    }
    rest.len()
}

/// The length of a string with a prefix (`r"`, `br#"`, `b"`, `c"`), 0 when there is none.
fn prefixed_string(rest: &str) -> usize {
    let Some(open) = rest.find(['"', '\'', '#']) else { return 0 };
    let (prefix, tail) = rest.split_at(open);
    if !matches!(prefix, "r" | "b" | "c" | "br" | "cr") {
        return 0;
    }
    let hashes = tail.len() - tail.trim_start_matches('#').len();
    let body = tail.trim_start_matches('#');
    if prefix.ends_with('r') && body.starts_with('"') {
        let end = format!("\"{}", "#".repeat(hashes));
        let from = body.get(1..).unwrap_or_default();
        return from.find(&end).map_or(rest.len(), |at| open + hashes + 1 + at + end.len());
    }
    match (hashes, body.chars().next()) {
        (0, Some(quote @ ('"' | '\''))) => open + quoted(body, quote),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_strings_are_no_code() {
        for text in [
            "// unsafe\n",
            "/* a /* nested */ unsafe */",
            "\"unsafe\"",
            "\"\\\" unsafe\"",
            "r#\"a \" unsafe\"#",
            "br\"unsafe\"",
            "b\"unsafe\"",
            "c\"unsafe\"",
            "//! unsafe fn",
        ] {
            assert!(!has_unsafe(&code_of(text)), "{text}");
        }
    }

    #[test]
    fn code_after_a_literal_is_still_code() {
        for text in [
            "let a = 'x'; unsafe { }",
            "let a = '\\''; unsafe { }",
            "let a = '\"'; unsafe { } let b = '\"';",
            "fn f<'a>(x: &'a str) { unsafe { } }",
            "let s = r\"\\\"; unsafe { }",
            "let r = 1; unsafe { }",
            "let b'x' = 1; unsafe { }",
            "let for_ = \"é\"; unsafe { }",
            "r#type; unsafe { }",
        ] {
            assert!(has_unsafe(&code_of(text)), "{text}");
        }
    }

    #[test]
    fn a_longer_name_is_not_the_word() {
        assert!(!has_unsafe("#![deny(unsafe_code)] my_unsafe"));
        assert!(has_unsafe("#[unsafe(no_mangle)]"));
    }

    #[test]
    fn a_pointer_type_only_names_an_unsafe_function() {
        assert!(!has_unsafe(&code_of("deleter: Option<unsafe extern \"C\" fn(*mut T)>")));
        assert!(!has_unsafe("type Deleter = unsafe fn (*mut T);"));
        assert!(has_unsafe(&code_of("unsafe extern \"C\" fn deleter(it: *mut T) {}")));
        assert!(has_unsafe(&code_of("unsafe extern \"C\" { fn strlen(); }")));
    }

    #[test]
    fn lines_stay_where_they_are() {
        let source = "a\n/* b\nc */ d\n\"e\nf\" g\n";
        let code = code_of(source);
        assert_eq!(code.lines().count(), source.lines().count());
        assert_eq!(code.lines().last().map(str::trim), Some("g"));
    }
}
