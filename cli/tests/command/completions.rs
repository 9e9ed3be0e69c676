// SPDX-License-Identifier: MIT OR Apache-2.0
//! `completions`: scripts that shells read, and what they then offer.

use std::path::Path;
use std::process::Command;

use crate::place::{Done, Place, tool};

const SHELLS: [&str; 5] = ["bash", "zsh", "fish", "elvish", "powershell"];

/// Runs a script in a shell that finds the built command.
fn in_shell(place: &Place, shell: &Path, script: &str) -> Done {
    let mut command = Command::new(shell);
    let built = Path::new(env!("CARGO_BIN_EXE_uncopy")).parent().unwrap();
    let path = std::env::join_paths([built, Path::new("/usr/bin"), Path::new("/bin")]).unwrap();
    command.args(["-c", script]).env("UNCOPY_RUNTIME_DIR", place.links()).env("PATH", path);
    command.env("HOME", place.file("")).env_remove("UNCOPY_COMPLETE").current_dir(place.file(""));
    Done::of(command)
}

#[test]
fn every_shell_has_a_script_that_asks_this_command() {
    let place = Place::new();
    for shell in SHELLS {
        let text = place.run(&["completions", shell]).ended_with(0).text();
        assert!(text.contains("UNCOPY_COMPLETE") && text.contains("uncopy"), "{shell}: {text}");
    }
    place.run(&["completions", "tcsh"]).ended_with(2);
}

#[test]
fn shells_can_parse_their_scripts() {
    let place = Place::new();
    let mut parsed = 0;
    for (shell, check) in [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")] {
        let Some(program) = tool(shell) else { continue };
        let script = place.file(shell);
        std::fs::write(&script, place.run(&["completions", shell]).ended_with(0).out).unwrap();
        let mut command = Command::new(program);
        command.arg(check).arg(&script);
        assert_eq!(Done::of(command).ended_with(0).err, "");
        parsed += 1;
    }
    assert!(parsed > 0 || tool("bash").is_none());
}

/// What bash offers for the words, the last of which is being typed.
fn offered_by_bash(place: &Place, bash: &Path, words: &[&str]) -> Vec<String> {
    let typed = words.last().unwrap();
    let script = format!(
        "source <(uncopy completions bash)\nCOMP_WORDS=({})\nCOMP_CWORD={}\nCOMP_TYPE=9\n\
         _clap_complete_uncopy uncopy '{typed}' ''\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "),
        words.len() - 1,
    );
    let done = in_shell(place, bash, &script).ended_with(0);
    done.text().lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

#[test]
fn bash_offers_subcommands_options_and_the_names_of_links() {
    let Some(bash) = tool("bash") else { return };
    let place = Place::new();
    let camera = uncopy::publish("camera").directory(place.links()).open().unwrap();
    let screen = uncopy::publish("screen").directory(place.links()).open().unwrap();
    let offered = |words: &[&str]| offered_by_bash(&place, &bash, words);
    assert_eq!(offered(&["uncopy", "inf"]), ["info"]);
    for subcommand in ["info", "recv", "hz", "send"] {
        let names = offered(&["uncopy", subcommand, "cam"]);
        assert_eq!(names, ["camera"], "{subcommand}");
        let all = offered(&["uncopy", subcommand, ""]);
        assert!(["camera", "screen"].iter().all(|name| all.iter().any(|offer| offer == name)), "{all:?}");
    }
    assert_eq!(offered(&["uncopy", "hz", "camera", "scr"]), ["screen"]);
    assert!(offered(&["uncopy", "recv", "--until"]).contains(&"--until-closed".to_owned()));
    assert!(offered(&["uncopy", "completions", "f"]).contains(&"fish".to_owned()));
    drop((camera, screen));
    place.is_clean();
}

#[test]
fn fish_offers_the_names_of_links() {
    let Some(fish) = tool("fish") else { return };
    let place = Place::new();
    let camera = uncopy::publish("camera").directory(place.links()).open().unwrap();
    let script = "uncopy completions fish | source; complete --do-complete 'uncopy info cam'";
    assert_eq!(in_shell(&place, &fish, script).ended_with(0).text().trim(), "camera");
    drop(camera);
}
