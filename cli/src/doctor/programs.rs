// SPDX-License-Identifier: MIT OR Apache-2.0
//! The programs and Python packages that the command can work with.

use std::path::Path;

use super::{Finding, Heading};
use crate::host::Session;
use crate::python::Python;
use crate::send::ffmpeg_name;

pub(super) fn look(python: Option<&Path>, session: &Session<'_>) -> Vec<Finding> {
    let python = Python::find(python, session);
    let mut findings = vec![decoder(python.as_ref().ok())];
    match &python {
        Ok(python) => findings.extend([package(python), frameworks(python)]),
        Err(error) => {
            let advice =
                "install Python 3.11 or later; links of Rust programs and this command don't need it";
            findings.push(Finding::warn("python", Heading::Python, error.to_string(), advice));
        }
    }
    findings
}

fn decoder(python: Option<&Python>) -> Finding {
    const TOPIC: &str = "video";
    if let Some(name) = ffmpeg_name() {
        return Finding::ok(TOPIC, Heading::Video, format!("videos are decoded by {name}"));
    }
    match python.and_then(|python| Some((python, python.modules.get("av")?))) {
        Some((python, module)) => {
            let says =
                format!("videos are decoded by PyAV {} of {}", module.version, python.executable.display());
            Finding::ok(TOPIC, Heading::Video, says)
        }
        None => Finding::warn(
            TOPIC,
            Heading::Video,
            "nothing here decodes video: neither ffmpeg with ffprobe nor PyAV is there",
            "apt install ffmpeg, or pip install av; PNG, raw pixels and the test picture need neither",
        ),
    }
}

/// Whether the Python package is there, and of this version.
fn package(python: &Python) -> Finding {
    const TOPIC: &str = "python";
    const OURS: &str = env!("CARGO_PKG_VERSION");
    let whose = format!("Python {} ({})", python.version, python.executable.display());
    match python.modules.get("uncopy") {
        Some(module) if module.version == OURS => {
            Finding::ok(TOPIC, Heading::Python, format!("{whose} has uncopy {OURS}"))
        }
        Some(module) => Finding::warn(
            TOPIC,
            Heading::Python,
            format!("{whose} has uncopy {}, and this command is {OURS}", module.version),
            python.installing(&["uncopy"]),
        ),
        None => Finding::warn(
            TOPIC,
            Heading::Python,
            format!("{whose} has no uncopy"),
            format!("{}, or name another Python with --python", python.installing(&["uncopy"])),
        ),
    }
}

/// The frameworks that frames can be viewed with. Missing ones are no fault.
fn frameworks(python: &Python) -> Finding {
    let (found, missing): (Vec<&str>, Vec<&str>) =
        ["numpy", "torch", "jax"].iter().partition(|module| python.has(module));
    let version = |module: &&str| {
        let version = python.modules.get(*module).map(|module| module.version.as_str()).unwrap_or_default();
        format!("{module} {version}").trim_end().to_owned()
    };
    let found: Vec<String> = found.iter().map(version).collect();
    let says = match (found.as_slice(), missing.as_slice()) {
        ([], missing) => format!("no framework for frames as arrays is installed ({})", missing.join(", ")),
        (found, []) => format!("frames can be viewed by {}", found.join(", ")),
        (found, missing) => {
            format!("frames can be viewed by {} (not installed: {})", found.join(", "), missing.join(", "))
        }
    };
    Finding::ok("python", Heading::Python, says)
}
