// SPDX-License-Identifier: MIT OR Apache-2.0
//! The interface as compilers see it: sizes, offsets, numbers and symbols, held against a file that is kept.
//!
//! A change of a line here breaks programs that are built already. Lines may be added: a field at the end of a struct that
//! has a size, a function, a constant. `UNCOPY_WRITE_GOLDEN=1 cargo xtask test capi` writes the file anew.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::Command;

use uncopy_names::{CopyReason, ErrorKind, PixelFormat};

use crate::setup::{Installed, Links, is_there, manifest, run, scratch};

const GOLDEN: &str = "tests/golden/abi.txt";

/// The header's text.
pub fn header() -> String {
    std::fs::read_to_string(manifest().join("include/uncopy/uncopy.h")).unwrap()
}

/// The structs of the header with their fields.
fn structs(header: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    let mut fields: Option<Vec<String>> = None;
    for line in header.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
        if line == "typedef struct {" {
            fields = Some(Vec::new());
        } else if let (Some(name), Some(done)) =
            (line.strip_prefix("} "), fields.take_if(|_| line.starts_with("} ")))
        {
            found.push((name.trim_end_matches(';').to_owned(), done));
        } else if let (Some(fields), Some(declaration)) = (&mut fields, line.strip_suffix(';')) {
            fields.push(field_of(declaration));
        }
    }
    found
}

/// The name that a field's declaration declares.
fn field_of(declaration: &str) -> String {
    let declared = match declaration.split_once("(*") {
        Some((_, function)) => function.split(')').next().unwrap(),
        None => declaration.split('[').next().unwrap().rsplit([' ', '*']).next().unwrap(),
    };
    declared.to_owned()
}

/// Names that `#define` gives a number.
fn numbers(header: &str) -> Vec<String> {
    let defined = header.lines().filter_map(|line| line.strip_prefix("#define "));
    let named = defined.filter_map(|rest| rest.split_once(' ').map(|(name, _)| name.to_owned()));
    named.filter(|name| name.starts_with("UNCOPY_") && !name.ends_with("_INIT")).collect()
}

/// What a C compiler makes of the header, one line each.
fn as_compiled(installed: &Installed) -> String {
    let header = header();
    let mut source = "#include <stdio.h>\n#include <uncopy/uncopy.h>\nint main(void) {\n".to_owned();
    for (name, fields) in structs(&header) {
        writeln!(source, "printf(\"{name} %zu\\n\", sizeof({name}));").unwrap();
        for field in fields {
            writeln!(
                source,
                "printf(\"{name}.{field} %zu+%zu\\n\", offsetof({name}, {field}), sizeof((({name} *)0)->{field}));"
            )
            .unwrap();
        }
    }
    for name in numbers(&header) {
        writeln!(source, "printf(\"{name} %lld\\n\", (long long)({name}));").unwrap();
    }
    source += "return 0; }\n";
    let path = scratch().join("abi.c");
    std::fs::write(&path, source).unwrap();
    let program = installed.build(path.to_str().unwrap(), &[]);
    run(&mut Links::new("abi").command(&program))
}

/// The functions that the library gives, and nothing else that it gives.
fn symbols(installed: &Installed) -> Vec<String> {
    let mut command = Command::new("nm");
    command.args(["--dynamic", "--defined-only", "--format=posix"]).arg(installed.lib().join("libuncopy.so"));
    let mut found: Vec<String> =
        run(&mut command).lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    found.sort();
    found
}

/// The functions that the header declares.
pub fn declared(header: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let lines = header.lines().filter(|line| !line.starts_with([' ', '/', '#', '*']));
    for line in lines.filter(|line| !line.starts_with("typedef")) {
        if let Some((before, _)) = line.split_once('(') {
            found.insert(before.rsplit([' ', '*']).next().unwrap().to_owned());
        }
    }
    found
}

#[test]
fn sizes_offsets_numbers_and_functions_are_those_that_programs_were_built_with() {
    let Some(installed) = Installed::find() else { return };
    if !is_there("nm") {
        println!("SKIP nm is missing, which lists the functions of the library");
        return;
    }
    let mut now = as_compiled(&installed);
    for symbol in symbols(&installed) {
        writeln!(now, "{symbol}()").unwrap();
    }
    let path = manifest().join(GOLDEN);
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<BTreeSet<_>>();
    let now = lines(&now);
    if std::env::var_os("UNCOPY_WRITE_GOLDEN").is_some() {
        let text: String = now.iter().map(|line| line.clone() + "\n").collect();
        std::fs::write(&path, text).unwrap();
    }
    let kept = lines(&std::fs::read_to_string(&path).unwrap());
    let (gone, new): (Vec<_>, Vec<_>) = (kept.difference(&now).collect(), now.difference(&kept).collect());
    assert!(gone.is_empty() && new.is_empty(), "{GOLDEN} differs\ngone: {gone:#?}\nnew: {new:#?}");
}

#[test]
fn the_library_gives_exactly_the_functions_of_its_header() {
    let Some(installed) = Installed::find() else { return };
    if !is_there("nm") {
        println!("SKIP nm is missing, which lists the functions of the library");
        return;
    }
    let given: BTreeSet<String> = symbols(&installed).into_iter().collect();
    assert_eq!(given, declared(&header()));
}

#[test]
fn the_header_has_every_kind_pixel_format_and_reason() {
    let header = header();
    let has = |name: String, number: i64| {
        let line = format!("#define {name} {number}");
        assert!(header.lines().any(|found| found == line), "{line}");
    };
    for kind in ErrorKind::ALL {
        has(format!("UNCOPY_ERROR_{}", kind.name().to_uppercase()), kind.code().into());
    }
    for format in PixelFormat::ALL {
        has(format!("UNCOPY_PIXEL_{}", format.name().unwrap().to_uppercase()), format.0.into());
    }
    for reason in CopyReason::ALL {
        has(format!("UNCOPY_COPY_{}", reason.name().unwrap().to_uppercase()), reason.0.into());
    }
}

#[test]
fn every_function_and_field_has_a_comment() {
    let header = header();
    let lines: Vec<&str> = header.lines().collect();
    let functions = declared(&header);
    let mut bare = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let is_function = functions
            .iter()
            .any(|name| line.contains(&format!("{name}(")) && !line.starts_with([' ', '/', '#', '*']));
        let is_field = line.starts_with("    ")
            && !line.starts_with("     ")
            && line.ends_with(';')
            && !line.contains("*/");
        let before = at.checked_sub(1).map_or("", |at| lines[at].trim_start());
        if (is_function || is_field) && !before.starts_with("//") {
            bare.push(*line);
        }
    }
    assert!(bare.is_empty(), "{bare:#?}");
}

#[test]
fn a_reader_of_headers_reads_this_one() {
    let text = "typedef struct {\n    // a\n    void (*release)(void *owner);\n    uint8_t reserved[7];\n    const char *name;\n} it;\n";
    assert_eq!(
        structs(text),
        [("it".to_owned(), ["release", "reserved", "name"].map(str::to_owned).to_vec())]
    );
    // What the tests stand on is there at all.
    assert!(structs(&header()).len() >= 15 && declared(&header()).len() >= 60);
}
