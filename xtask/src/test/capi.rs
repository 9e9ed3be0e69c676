// SPDX-License-Identifier: MIT OR Apache-2.0
//! The C interface: its header, its library as it is installed, and programs in C and C++ that use it.

use super::{case::Case, context::Context};
use crate::{
    capi::{self, header, prefix, prefix::Profile},
    debian,
    error::{Error, read_text},
    standin,
    toolchain::cargo,
    tools::CBINDGEN,
};

/// What the programs are built with.
const FOR_BUILDING: &[&str] = &["binutils", "cmake", "g++", "gcc", "make"];

pub fn run(context: &Context<'_>) -> Result<Vec<Case>, Error> {
    // What can't be had is skipped by the tests that need it, with the reason.
    if let Err(error) = debian::ensure(FOR_BUILDING, "build C and C++ programs on libuncopy") {
        context.say(&error.to_string());
    }
    let mut cases = vec![the_header_is_what_cbindgen_makes(context)?];
    let repo = context.repo;
    let (ours, panicking) = (prefix::of_this(repo), repo.target().join("capi").join("panicking"));
    context.say("the library whose calls panic when a test wants them to");
    capi::build(repo, Profile::Debug, &["test-panics"])?;
    prefix::install(repo, Profile::Debug, &panicking)?;
    context.say("the library as it is installed");
    capi::build(repo, Profile::Debug, &[])?;
    prefix::install(repo, Profile::Debug, &ours)?;
    let driver = standin::build(repo)?;
    let mut command = cargo(repo);
    command.args(["test", "--package", "uncopy-capi", "--locked", "--lib", "--tests"]);
    command.env("UNCOPY_CAPI_PREFIX", ours).env("UNCOPY_CAPI_PANICKING", panicking);
    command.env("UNCOPY_CAPI_DRIVER", driver);
    cases.extend(context.cargo_test(command, &[])?);
    Ok(cases)
}

fn the_header_is_what_cbindgen_makes(context: &Context<'_>) -> Result<Case, Error> {
    let name = "uncopy.h is what cbindgen makes of the crate";
    if context.quick && !CBINDGEN.is_there(context.repo) {
        return Ok(Case::skipped(name, "cbindgen is not there, and takes a minute to build"));
    }
    context.say("cbindgen");
    let made = match header::generated(context.repo) {
        Ok(made) => made,
        Err(why) => return Ok(Case::skipped(name, why)),
    };
    let kept = read_text(&context.repo.join(header::PATH))?;
    if kept == made {
        return Ok(Case::passed(name));
    }
    let differing = kept.lines().zip(made.lines()).position(|(kept, made)| kept != made);
    let line = differing.unwrap_or(kept.lines().count().min(made.lines().count())) + 1;
    let advice = "make it anew with `cargo xtask capi --header`";
    Ok(Case::failed(name, format!("{} differs from line {line} on; {advice}", header::PATH)))
}
