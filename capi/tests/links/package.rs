// SPDX-License-Identifier: MIT OR Apache-2.0
//! The installed library as build systems find it: CMake's package, pkg-config's file, and after the prefix was moved.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::setup::{Installed, Links, is_there, manifest, run, scratch};

/// Builds the examples as a project of its own on the library that lies in `prefix`, which `find_package` has to find.
fn cmake_build(prefix: &Path, build: &Path) {
    let _ = std::fs::remove_dir_all(build);
    let mut configure = Command::new("cmake");
    configure.arg("-S").arg(manifest().join("examples/links")).arg("-B").arg(build);
    configure.arg(format!("-DCMAKE_PREFIX_PATH={}", prefix.display()));
    configure.arg("-DCMAKE_C_FLAGS=-Wall -Wextra -Werror").arg("-DCMAKE_CXX_FLAGS=-Wall -Wextra -Werror");
    run(&mut configure);
    run(Command::new("cmake").arg("--build").arg(build).arg("--parallel"));
}

#[test]
fn cmake_finds_the_package_also_where_the_prefix_was_moved() {
    let Some(installed) = Installed::find() else { return };
    if !is_there("cmake") || !is_there("make") {
        println!("SKIP cmake or make is missing, which build the examples as a project");
        return;
    }
    let moved = scratch().join("moved prefix");
    let _ = std::fs::remove_dir_all(&moved);
    run(Command::new("cp").arg("-a").arg(installed.prefix()).arg(&moved));
    let build = scratch().join("cmake");
    cmake_build(&moved, &build);
    let links = Links::new("cmake");
    for (producer, consumer) in [("producer", "consumer_cpp"), ("producer_cpp", "consumer_static")] {
        let mut producing = links.command(&build.join(producer));
        let mut producing = producing.args(["camera", "3"]).stdin(Stdio::null()).spawn().unwrap();
        let said = run(links.command(&build.join(consumer)).arg("camera"));
        assert!(producing.wait().unwrap().success());
        assert_eq!(said.lines().count(), 3, "{said}");
    }
}

#[test]
fn cmake_refuses_a_version_that_does_not_fit() {
    let Some(installed) = Installed::find() else { return };
    if !is_there("cmake") {
        println!("SKIP cmake is missing, which reads the package");
        return;
    }
    let project = scratch().join("version");
    std::fs::create_dir_all(&project).unwrap();
    for (version, fits) in
        [("0.1", true), ("0.1.0 EXACT", true), ("0.2", false), ("1.0", false), ("0.0.9", false)]
    {
        let text = format!(
            "cmake_minimum_required(VERSION 3.18)\nproject(version LANGUAGES C)\nfind_package(uncopy {version} QUIET)\n\
             message(STATUS \"found=${{uncopy_FOUND}}\")\n"
        );
        std::fs::write(project.join("CMakeLists.txt"), text).unwrap();
        let mut configure = Command::new("cmake");
        configure.arg("-S").arg(&project).arg("-B").arg(project.join("build"));
        configure.arg(format!("-DCMAKE_PREFIX_PATH={}", installed.prefix().display()));
        let said = run(&mut configure);
        assert_eq!(said.contains("found=1"), fits, "{version}: {said}");
    }
}

#[test]
fn pkg_config_names_what_a_compiler_needs() {
    let Some(installed) = Installed::find() else { return };
    let text = std::fs::read_to_string(installed.lib().join("pkgconfig/uncopy.pc")).unwrap();
    assert!(!text.contains('@'), "{text}");
    if !is_there("pkg-config") {
        println!("SKIP pkg-config is missing, which reads the file");
        return;
    }
    let mut command = Command::new("pkg-config");
    command.env("PKG_CONFIG_PATH", installed.lib().join("pkgconfig")).args(["--cflags", "--libs", "uncopy"]);
    let flags = run(&mut command);
    let source = manifest().join("examples/links/producer.c");
    let program = scratch().join("by-pkg-config");
    let mut compile = Command::new("gcc");
    compile.arg(source).args(flags.split_whitespace()).arg("-o").arg(program);
    run(&mut compile);
}

#[test]
fn the_library_is_found_by_the_name_of_its_interface() {
    let Some(installed) = Installed::find() else { return };
    if !is_there("readelf") {
        println!("SKIP readelf is missing, which reads the library");
        return;
    }
    let said = run(Command::new("readelf").arg("--dynamic").arg(installed.lib().join("libuncopy.so")));
    assert!(said.contains("soname: [libuncopy.so.1]"), "{said}");
    // Who unloads it must not unload the code of its thread.
    assert!(said.contains("NODELETE"), "{said}");
    // Neither the driver nor a CUDA runtime is linked.
    let needed: Vec<_> = said.lines().filter(|line| line.contains("(NEEDED)")).collect();
    assert!(!needed.iter().any(|line| line.contains("cuda")), "{needed:?}");
    assert!(installed.lib().join("libuncopy.so.1").exists());
}
