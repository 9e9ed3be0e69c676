// SPDX-License-Identifier: MIT OR Apache-2.0
//! `unsafe` stands only behind fences, and the fences are known.
//!
//! A fence is a module with `#![expect(unsafe_code, reason = "…")]` in its file, or with
//! `#[expect(unsafe_code, reason = "…")]` before its `mod` line. It covers the module's own file and the
//! files of its direct children. The root of a library or program is no fence, since that would cover the
//! whole crate; the root of a test is. ARCHITECTURE.md lists the path of each fence of what we ship.

use super::{
    Check,
    code::{code_of, has_unsafe},
    metadata::Metadata,
};
use crate::{
    error::{Error, read_text},
    repo::Repo,
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// These do without.
const NO_UNSAFE_AT_ALL: &[&str] = &["uncopy-core", "uncopy-link", "uncopy-cli"];

/// How they say so. Loom's cells hand out pointers, so that its models, which are never shipped, need fences.
const FORBIDDEN: &[&str] =
    &["#![forbid(unsafe_code)]", "#![cfg_attr(not(all(test, loom)), forbid(unsafe_code))]"];
const DENIED: &[&str] = &["#![forbid(unsafe_code)]", "#![deny(unsafe_code)]"];

const INNER: &str = "#![expect(unsafe_code";
const OUTER: &str = "#[expect(unsafe_code";

/// Code without comments and strings, by path relative to the checkout.
type Sources = BTreeMap<String, String>;

pub fn check(repo: &Repo, metadata: &Metadata) -> Result<Vec<Check>, Error> {
    let mut sources = Sources::new();
    for path in repo.files("")?.iter().filter(|path| path.extension().is_some_and(|e| e == "rs")) {
        sources.insert(repo.shown(path), joined(&code_of(&read_text(path)?)));
    }
    let mut checks = vec![roots(repo, metadata, &sources), unfenced(&sources)];
    let architecture = repo.join("ARCHITECTURE.md");
    if architecture.is_file() {
        let text = read_text(&architecture)?;
        checks.push(listed(&text, &sources, &|path| repo.join(path).exists()));
    }
    Ok(checks)
}

/// rustfmt may break a long attribute after its parenthesis.
fn joined(code: &str) -> String {
    let mut parts = code.split("expect(");
    let first = parts.next().unwrap_or_default().to_string();
    parts.fold(first, |text, part| text + "expect(" + part.trim_start())
}

/// Each crate says at its root that unsafe code is an error; some may not lift that anywhere.
fn roots(repo: &Repo, metadata: &Metadata, sources: &Sources) -> Check {
    let mut wrong = Vec::new();
    for package in metadata.members() {
        let wanted = if NO_UNSAFE_AT_ALL.contains(&package.name.as_str()) { FORBIDDEN } else { DENIED };
        for root in package.crate_roots().map(|root| repo.shown(root)) {
            let code = sources.get(&root).map_or("", String::as_str);
            if !wanted.iter().any(|line| code.contains(line)) {
                wrong.push(format!("{root} needs {}", wanted.join(" or ")));
            }
        }
    }
    Check::of("each crate root forbids or denies unsafe code", wrong)
}

fn unfenced(sources: &Sources) -> Check {
    let mut wrong = Vec::new();
    for (path, code) in sources {
        if code.contains("allow(unsafe_code") {
            wrong.push(format!("{path} allows unsafe code; a fence is `{INNER}, reason = \"…\")]`"));
        }
        if has_unsafe(code) && fence_of(path, sources).is_none() {
            wrong.push(format!("{path} has unsafe code and no fence"));
        }
    }
    Check::of("unsafe code stands only behind fences", wrong)
}

fn listed(architecture: &str, sources: &Sources, exists: &dyn Fn(&str) -> bool) -> Check {
    let is_shipped = |path: &&String| {
        ["crates/", "python/src/", "cli/src/", "capi/src/"].iter().any(|dir| path.starts_with(dir))
            && path.contains("/src/")
    };
    let mut fences: Vec<String> = sources
        .iter()
        .filter(|(path, code)| is_shipped(path) && has_unsafe(code))
        .filter_map(|(path, _)| fence_of(path, sources))
        .collect();
    fences.sort();
    fences.dedup();
    let missing = fences.iter().filter(|path| !architecture.contains(path.as_str()));
    let mut wrong: Vec<String> =
        missing.map(|path| format!("ARCHITECTURE.md does not list the fence {path}")).collect();
    let named = architecture.split('`').filter(|word| word.ends_with(".rs") && word.contains('/'));
    wrong.extend(
        named.filter(|path| !exists(path)).map(|path| format!("ARCHITECTURE.md names {path}: no such file")),
    );
    Check::of("ARCHITECTURE.md lists the fences", wrong)
}

/// The file that carries the fence around the module in `path`: itself or the module that declares it.
fn fence_of(path: &str, sources: &Sources) -> Option<String> {
    let code = sources.get(path)?;
    if code.contains(INNER) || fenced_modules(code).iter().any(|(_, is_inline)| *is_inline) {
        return Some(path.to_string());
    }
    let module = module_name(path)?;
    for parent in parents(path) {
        let Some(code) = sources.get(&parent) else { continue };
        if !is_shipped_root(&parent) && code.contains(INNER) {
            return Some(parent);
        }
        if fenced_modules(code).iter().any(|(name, is_inline)| *name == module && !is_inline) {
            return Some(path.to_string());
        }
    }
    None
}

/// The modules that an attribute before their `mod` line fences, and whether their body stands right there.
fn fenced_modules(code: &str) -> Vec<(String, bool)> {
    let starts = code.match_indices(OUTER).map(|(at, _)| at);
    starts.filter_map(|at| module_after(code.get(at..)?)).collect()
}

fn module_after(mut rest: &str) -> Option<(String, bool)> {
    while rest.starts_with("#[") {
        rest = rest.get(rest.find(']')? + 1..)?.trim_start();
    }
    if let Some(public) = rest.strip_prefix("pub") {
        rest = public.trim_start();
        if rest.starts_with('(') {
            rest = rest.get(rest.find(')')? + 1..)?.trim_start();
        }
    }
    let rest = rest.strip_prefix("mod ")?;
    let end = rest.find([';', '{'])?;
    Some((rest.get(..end)?.trim().to_string(), rest.get(end..)?.starts_with('{')))
}

fn module_name(path: &str) -> Option<String> {
    let path = Path::new(path);
    let name = if path.file_name()? == "mod.rs" { path.parent()?.file_name()? } else { path.file_stem()? };
    Some(name.to_string_lossy().into_owned())
}

/// Where the module in `path` may be declared.
fn parents(path: &str) -> Vec<String> {
    let path = Path::new(path);
    let mut dir = path.parent().map(Path::to_path_buf).unwrap_or_default();
    if path.file_name().is_some_and(|name| name == "mod.rs") {
        dir.pop();
    }
    let mut files: Vec<PathBuf> = ["mod.rs", "lib.rs", "main.rs"].iter().map(|name| dir.join(name)).collect();
    files.push(dir.with_extension("rs"));
    files.iter().map(|file| file.to_string_lossy().into_owned()).collect()
}

/// `src/lib.rs` and `src/main.rs`; the `main.rs` of a directory below `tests/` is the root of a test.
fn is_shipped_root(path: &str) -> bool {
    path.ends_with("src/lib.rs") || path.ends_with("src/main.rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(files: &[(&str, &str)]) -> Sources {
        files.iter().map(|(path, text)| ((*path).to_string(), joined(&code_of(text)))).collect()
    }

    const FENCE: &str = "#![expect(unsafe_code, reason = \"maps\")]\n";
    const UNSAFE: &str = "fn f() { unsafe { g() } }";

    #[test]
    fn unsafe_in_a_file_with_a_fence_is_accepted() {
        let text = format!("{FENCE}{UNSAFE}");
        assert!(unfenced(&sources(&[("crates/os/src/map.rs", &text)])).wrong.is_empty());
    }

    #[test]
    fn a_fence_that_was_broken_into_lines_is_a_fence() {
        let text = format!("#![expect(\n    unsafe_code,\n    reason = \"maps\"\n)]\n{UNSAFE}");
        assert!(unfenced(&sources(&[("crates/os/src/map.rs", &text)])).wrong.is_empty());
    }

    #[test]
    fn unsafe_below_a_fenced_parent_is_accepted() {
        let files = [("crates/os/src/map/mod.rs", FENCE), ("crates/os/src/map/unix.rs", UNSAFE)];
        assert!(unfenced(&sources(&files)).wrong.is_empty());
        let files = [("crates/os/src/map.rs", FENCE), ("crates/os/src/map/unix.rs", UNSAFE)];
        assert!(unfenced(&sources(&files)).wrong.is_empty());
    }

    #[test]
    fn a_fence_before_the_mod_line_covers_that_module_only() {
        let root = "#[expect(unsafe_code, reason = \"maps\")]\npub(crate) mod map;\nmod wake;\n";
        let files = [("x/src/lib.rs", root), ("x/src/map.rs", UNSAFE), ("x/src/wake.rs", UNSAFE)];
        assert_eq!(unfenced(&sources(&files)).wrong, ["x/src/wake.rs has unsafe code and no fence"]);
    }

    #[test]
    fn a_fence_around_a_whole_crate_covers_no_child() {
        let files = [("x/src/lib.rs", FENCE), ("x/src/map.rs", UNSAFE)];
        assert_eq!(unfenced(&sources(&files)).wrong.len(), 1);
    }

    #[test]
    fn the_root_of_a_test_is_a_fence_for_its_modules() {
        let files = [("x/tests/all/main.rs", FENCE), ("x/tests/all/map.rs", UNSAFE)];
        assert!(unfenced(&sources(&files)).wrong.is_empty());
    }

    #[test]
    fn an_inline_test_module_may_carry_its_own_fence() {
        let text =
            format!("#[cfg(test)]\n#[expect(unsafe_code, reason = \"calls\")]\nmod tests {{ {UNSAFE} }}");
        assert!(unfenced(&sources(&[("x/src/a.rs", &text)])).wrong.is_empty());
    }

    #[test]
    fn unsafe_without_a_fence_and_an_allow_are_refused() {
        assert_eq!(unfenced(&sources(&[("x/src/a.rs", UNSAFE)])).wrong.len(), 1);
        let text = format!("#![allow(unsafe_code)]\n{UNSAFE}");
        assert_eq!(unfenced(&sources(&[("x/src/a.rs", &text)])).wrong.len(), 2);
    }

    #[test]
    fn a_fence_that_architecture_does_not_list_is_named() {
        let text = format!("{FENCE}{UNSAFE}");
        let files = sources(&[
            ("crates/os/src/map.rs", &text),
            ("tests/tests/a.rs", &text),
            ("crates/os/tests/a.rs", &text),
        ]);
        let all = |_: &str| true;
        assert!(listed("- `crates/os/src/map.rs`: maps", &files, &all).wrong.is_empty());
        assert_eq!(
            listed("nothing", &files, &all).wrong,
            ["ARCHITECTURE.md does not list the fence crates/os/src/map.rs"]
        );
    }

    #[test]
    fn a_file_that_architecture_names_but_is_gone_is_named() {
        let wrong = listed("see `crates/os/src/gone.rs`", &Sources::new(), &|_| false).wrong;
        assert_eq!(wrong, ["ARCHITECTURE.md names crates/os/src/gone.rs: no such file"]);
    }
}
