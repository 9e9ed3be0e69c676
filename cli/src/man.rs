// SPDX-License-Identifier: MIT OR Apache-2.0
//! `uncopy man`: the manual pages, made from the command line's own definition.

use std::path::{Path, PathBuf};

use clap::{Command, CommandFactory};
use serde::Serialize;

use crate::command::CommandLine;
use crate::error::CliError;
use crate::host::Session;

const EXAMPLES: &str = "\
Examples:
  uncopy man | man -l -                        read the page of the command
  uncopy man recv | man -l -                   read the page of a subcommand
  uncopy man --dir ~/.local/share/man/man1     install all of them";

/// Print or write the manual pages
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Options {
    /// The page of this subcommand instead of the page of the whole command
    subcommand: Option<String>,
    /// Write all pages into this directory
    #[arg(long, value_name = "DIR", conflicts_with = "subcommand", value_hint = clap::ValueHint::DirPath)]
    dir: Option<PathBuf>,
    /// Print JSON: the text of the page, or with --dir the files that were written
    #[arg(long)]
    json: bool,
}

/// One page.
#[derive(Serialize)]
struct Page {
    /// `uncopy-recv.1`
    file_name: String,
    /// In the language of man(7).
    text: String,
}

pub(crate) fn run(options: &Options, session: &Session<'_>) -> Result<(), CliError> {
    if let Some(dir) = &options.dir {
        return write(dir, options.json, session);
    }
    let wanted = match &options.subcommand {
        None => "uncopy.1".to_owned(),
        Some(name) => format!("uncopy-{name}.1"),
    };
    let page = pages()?.into_iter().find(|page| page.file_name == wanted).ok_or_else(|| {
        let name = options.subcommand.as_deref().unwrap_or_default();
        CliError::usage(format!("there is no subcommand '{name}'; uncopy --help lists them"))
    })?;
    match options.json {
        true => session.console.json(&page),
        false => session.console.line(page.text.trim_end()),
    }
}

fn write(dir: &Path, as_json: bool, session: &Session<'_>) -> Result<(), CliError> {
    std::fs::create_dir_all(dir).map_err(|e| CliError::io(format!("make {}", dir.display()), e))?;
    let mut written = Vec::new();
    for page in pages()? {
        let path = dir.join(&page.file_name);
        std::fs::write(&path, page.text).map_err(|e| CliError::io(format!("write {}", path.display()), e))?;
        written.push(path);
    }
    if as_json {
        return session.console.json(&serde_json::json!({ "written": written }));
    }
    written.iter().try_for_each(|path| session.console.line(path.display()))
}

/// The page of the command, then those of its subcommands.
fn pages() -> Result<Vec<Page>, CliError> {
    let mut command = CommandLine::command().disable_help_subcommand(true);
    command.build();
    let shown: Vec<Command> =
        command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()).cloned().collect();
    std::iter::once(command).chain(shown).map(page).collect()
}

fn page(command: Command) -> Result<Page, CliError> {
    let man = clap_mangen::Man::new(command);
    let (file_name, mut text) = (man.get_filename(), Vec::new());
    man.render(&mut text).map_err(|e| CliError::io("render a manual page", e))?;
    let text = String::from_utf8_lossy(&text);
    Ok(Page { text: corrected(&text, file_name.trim_end_matches(".1")), file_name })
}

/// What the generator writes, without what readers of man(7) complain about.
fn corrected(text: &str, title: &str) -> String {
    // It leaves an empty date out instead of leaving it empty, and what follows takes its place.
    let heading = concat!("\"1\" \"\" \"uncopy ", env!("CARGO_PKG_VERSION"), "\" \"uncopy\"");
    let lines = text.lines().map(|line| match line.starts_with(".TH ") {
        true => format!(".TH \"{}\" {heading}\n", title.to_uppercase()),
        false => format!("{line}\n"),
    });
    let text: String = lines.collect();
    // What stands below the options in the help has a heading of its own there.
    text.replace(".SH EXTRA\nExamples:\n", ".SH EXAMPLES\n").replace("\n.br\n\n.br\n", "\n.sp\n")
}
