// SPDX-License-Identifier: MIT OR Apache-2.0
//! Each header compiles alone, in each language that it is for, without a warning.

use crate::setup::{Installed, Language, compile, manifest};

/// The headers of the C interface and what is built on it, and whether C programs may include them.
const HEADERS: &[(&str, bool)] = &[("uncopy/uncopy.h", true), ("uncopy/link.hpp", false)];

#[test]
fn each_header_compiles_alone_and_twice() {
    if Installed::find().is_none() {
        return;
    }
    let include = format!("-I{}", manifest().join("include").display());
    for (header, is_for_c) in HEADERS {
        let text = format!("#include <{header}>\n#include <{header}>\nint used;\n");
        let name = format!("alone-{}", header.replace(['/', '.'], "-"));
        compile(Language::Cpp, &text, &[&include], &name);
        compile(Language::Cpp, &text, &[&include, "-std=c++20"], &name);
        if *is_for_c {
            compile(Language::C, &text, &[&include], &name);
        }
    }
}

#[test]
fn every_status_has_its_kind_in_cpp() {
    let read = |name: &str| std::fs::read_to_string(manifest().join("include/uncopy").join(name)).unwrap();
    let (c, cpp) = (read("uncopy.h"), read("link.hpp"));
    let statuses: Vec<_> =
        c.lines().filter_map(|line| line.strip_prefix("#define UNCOPY_ERROR_")?.split(' ').next()).collect();
    assert!(statuses.len() >= 27);
    for status in statuses {
        let line = format!("    {} = UNCOPY_ERROR_{status},", status.to_lowercase());
        assert!(cpp.lines().any(|found| found == line), "{line}");
    }
}

#[test]
fn the_header_goes_with_any_dlpack_header_in_any_order() {
    if Installed::find().is_none() {
        return;
    }
    let (include, tests) = (
        format!("-I{}", manifest().join("include").display()),
        format!("-I{}", manifest().join("tests/links").display()),
    );
    let mut order = ["#include \"dlpack_structs.h\"\n", "#include <uncopy/uncopy.h>\n"];
    for round in 0..2 {
        let text = format!(
            "{}{}void give(DLManagedTensorVersioned *managed, uncopy_array **array);\n\
             void give(DLManagedTensorVersioned *managed, uncopy_array **array) {{ uncopy_array_from_dlpack(managed, array); }}\n",
            order[0], order[1]
        );
        compile(Language::C, &text, &[&include, &tests], &format!("order-{round}"));
        compile(Language::Cpp, &text, &[&include, &tests], &format!("order-{round}"));
        order.reverse();
    }
}
