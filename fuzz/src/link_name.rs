// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names of links: what is accepted is safe as one component of a path.
//!
//! Input: the name.

use uncopy::{LinkName, Scheme};

use crate::{Body, Seed, Target};

/// See the [module](self).
pub const TARGET: Target = Target { name: "link_name", begin: || -> Body { Box::new(check) }, seeds };

fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let expected = parts(&text);
    match LinkName::parse(&text) {
        Ok(name) => {
            let scheme = name.scheme_text().map(str::as_bytes);
            assert_eq!(Some((scheme, name.local().as_bytes())), expected, "{text:?}");
            assert_eq!(name.as_str(), text);
            assert_eq!(name.scheme() == Scheme::Native, scheme.is_none());
            let path = std::path::Path::new("dir").join(name.local());
            assert_eq!(path.parent(), Some(std::path::Path::new("dir")), "{text:?}");
        }
        Err(error) => {
            assert_eq!(expected, None, "{text:?}: {error}");
            let shown = error.to_string();
            assert!(!shown.contains('\n') && shown.len() < 2000, "{shown}");
        }
    }
}

/// Scheme and name by the rule; `None` where it is broken.
fn parts(text: &str) -> Option<(Option<&[u8]>, &[u8])> {
    let bytes = text.as_bytes();
    let colon = bytes.iter().position(|byte| *byte == b':');
    let (scheme, local) = match colon {
        Some(at) => (Some(&bytes[..at]), &bytes[at + 1..]),
        None => (None, bytes),
    };
    let is_scheme = |scheme: &[u8]| {
        (1..=16).contains(&scheme.len())
            && scheme[0].is_ascii_lowercase()
            && scheme.iter().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9'))
    };
    let is_name = (1..=64).contains(&local.len())
        && local[0] != b'.'
        && local
            .iter()
            .all(|byte| matches!(byte, b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-'));
    (is_name && scheme.is_none_or(is_scheme)).then_some((scheme, local))
}

fn seeds() -> Vec<Seed> {
    let texts = [
        "camera",
        "cipd:camera-0",
        "tdshm:a.b_c",
        "../camera",
        ".hidden",
        "a/b",
        "a:b:c",
        "1x:name",
        ":name",
        "scheme:",
        "n\0l",
        "ä",
        "line\nbreak",
        "",
    ];
    let mut seeds: Vec<Seed> = texts
        .iter()
        .enumerate()
        .map(|(at, text)| (format!("name-{at:02}"), text.as_bytes().to_vec()))
        .collect();
    seeds.push(("longest".into(), vec![b'a'; 64]));
    seeds.push(("too-long".into(), vec![b'a'; 65]));
    seeds
}
