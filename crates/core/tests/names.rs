// SPDX-License-Identifier: MIT OR Apache-2.0
//! Names of any text: what is accepted is safe as a file name, and suggestions keep their promise.

use proptest::prelude::*;
use uncopy_core::{Device, LinkName, MAX_NAME_LEN, PixelFormat, Scheme, nearest};

/// Texts around the rules: mostly right, with something wrong now and then.
fn any_name() -> impl Strategy<Value = String> {
    prop_oneof!["[A-Za-z0-9._-]{0,70}", "[a-z0-9]{0,18}:[A-Za-z0-9._:-]{0,66}", ".{0,20}"]
}

/// Levenshtein distance by its definition; without swaps it is never less than what `nearest` counts.
fn edits(a: &[char], b: &[char]) -> usize {
    match (a, b) {
        ([], rest) | (rest, []) => rest.len(),
        ([x, a @ ..], [y, b @ ..]) if x == y => edits(a, b),
        ([_, a_rest @ ..], [_, b_rest @ ..]) => {
            1 + edits(a_rest, b).min(edits(a, b_rest)).min(edits(a_rest, b_rest))
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_accepted_name_is_one_safe_path_component(text in any_name()) {
        let Ok(name) = LinkName::parse(&text) else { return Ok(()) };
        prop_assert_eq!(name.as_str(), &text);
        let local = name.local();
        prop_assert!((1..=MAX_NAME_LEN).contains(&local.len()));
        prop_assert!(local.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)));
        prop_assert!(!local.starts_with('.'));
        prop_assert_eq!(name.scheme() == Scheme::Native, local == text);
        let rebuilt = name.scheme_text().map_or(local.to_owned(), |scheme| format!("{scheme}:{local}"));
        prop_assert_eq!(rebuilt, text);
    }

    #[test]
    fn every_name_within_the_rules_is_accepted(text in "[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}") {
        prop_assert!(LinkName::parse(&text).is_ok());
    }

    #[test]
    fn a_refusal_is_one_short_line(text in any_name()) {
        let refusals = [
            LinkName::parse(&text).err().map(|error| error.to_string()),
            text.parse::<Device>().err().map(|error| error.to_string()),
            text.parse::<PixelFormat>().err().map(|error| error.to_string()),
        ];
        for shown in refusals.into_iter().flatten() {
            prop_assert!(!shown.contains('\n') && shown.len() < 1500, "{}", shown);
        }
    }

    #[test]
    fn a_known_name_is_its_own_nearest(
        name in "[a-z0-9_]{1,20}", others in prop::collection::vec("[a-z0-9_]{0,20}", 0..6)
    ) {
        let known: Vec<&str> = others.iter().map(String::as_str).chain([name.as_str()]).collect();
        prop_assert_eq!(nearest(&name, known), Some(name.as_str()));
    }

    #[test]
    fn a_single_mistake_in_a_longer_name_is_found(name in "[a-z]{3,20}", at in 0_usize..20, put in "[0-9]") {
        let at = at % name.len();
        let replaced = format!("{}{put}{}", &name[..at], &name[at + 1..]);
        let added = format!("{}{put}{}", &name[..at], &name[at..]);
        let left_out = format!("{}{}", &name[..at], &name[at + 1..]);
        for typed in [replaced, added, left_out] {
            prop_assert_eq!(nearest(&typed, [name.as_str()]), Some(name.as_str()), "{}", typed);
        }
    }

    #[test]
    fn whatever_is_within_a_third_is_found(a in "[ab]{3,7}", b in "[ab]{3,7}") {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        let near = edits(&chars(&a), &chars(&b)) <= a.len().max(b.len()) / 3;
        prop_assert!(!near || nearest(&a, [b.as_str()]).is_some());
    }
}

#[test]
fn swapped_neighbours_count_as_one_edit_and_two_edits_are_too_many_for_a_short_name() {
    assert_eq!(nearest("ofo", ["foo"]), Some("foo"));
    assert_eq!(nearest("oof", ["foo"]), None);
    assert_eq!(nearest("abcd", ["badc"]), None);
}
