// SPDX-License-Identifier: MIT OR Apache-2.0
//! Every way in which there can be no driver is a value.

use std::fs;
use std::path::{Path, PathBuf};

use uncopy_core::{DeviceUuid, ErrorKind};
use uncopy_cuda::{CudaDevice, CudaError, DeviceReport, Driver, NoCuda, list_devices};

use crate::support::{Role, play_in_child, standin};

pub const ROLES: &[Role] = &[
    ("absence/no-library", no_library),
    ("absence/no-driver", no_driver),
    ("absence/too-old", too_old),
    ("absence/no-device", no_device),
    ("absence/init", init_fails),
];

/// A directory whose `libcuda.so.1` comes before any other.
struct LibraryPath(PathBuf);

impl LibraryPath {
    fn with(name: &str, library: impl FnOnce(&Path)) -> LibraryPath {
        let directory = std::env::temp_dir().join(format!("uncopy-cuda-{name}-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        library(&directory.join("libcuda.so.1"));
        LibraryPath(directory)
    }
}

impl Drop for LibraryPath {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn f31_a_library_that_does_not_load_is_no_driver() {
    let path = LibraryPath::with("broken", |library| fs::write(library, "no ELF at all").unwrap());
    play_in_child("absence/no-library", |command| {
        command.env("LD_LIBRARY_PATH", &path.0);
    });
}

fn no_library() {
    let reason = Driver::get().unwrap_err();
    assert!(matches!(&reason, NoCuda::NoLibrary { tried: "libcuda.so.1", .. }), "{reason}");
    assert_eq!(reason.kind(), ErrorKind::Unsupported);
    assert_eq!(Driver::get().unwrap_err(), reason, "the answer stays");
    // Everything that needs a driver says the same, and nothing panics.
    let errors = [
        CudaDevice::with_ordinal(0).unwrap_err(),
        CudaDevice::with_uuid(DeviceUuid([7; 16])).unwrap_err(),
        list_devices().unwrap_err(),
        DeviceReport::of(0).unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(&error, CudaError::NoCuda(same) if *same == reason), "{error}");
        assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::Unsupported);
    }
}

#[test]
fn f31_a_library_without_the_drivers_symbols_is_no_driver_and_names_one() {
    let path = LibraryPath::with("other", |library| {
        fs::copy(another_library(), library).unwrap();
    });
    play_in_child("absence/no-driver", |command| {
        command.env("LD_LIBRARY_PATH", &path.0);
    });
}

/// Some library of this process that is no driver: the C library.
fn another_library() -> PathBuf {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let paths = maps.lines().filter_map(|line| line.find('/').map(|at| &line[at..]));
    paths
        .filter(|path| path.contains("libgcc_s") || path.contains("libm.so"))
        .map(PathBuf::from)
        .next()
        .unwrap_or_else(|| {
            maps.lines()
                .find_map(|line| line.find('/').map(|at| &line[at..]).filter(|path| path.contains("libc.so")))
                .unwrap()
                .into()
        })
}

fn no_driver() {
    let reason = Driver::get().unwrap_err();
    assert!(matches!(&reason, NoCuda::MissingSymbol { symbol: "cuDriverGetVersion", .. }), "{reason}");
}

#[test]
fn f31_a_driver_that_is_too_old_says_both_versions() {
    if standin().is_some() {
        play_in_child("absence/too-old", |command| {
            command.env("UNCOPY_STANDIN_VERSION", "11020");
        });
    }
}

fn too_old() {
    let reason = Driver::get().unwrap_err();
    assert!(matches!(reason, NoCuda::TooOld { .. }), "{reason}");
    assert!(reason.to_string().contains("11.2") && reason.to_string().contains("11.4"), "{reason}");
}

#[test]
fn f31_a_driver_without_a_device_is_no_cuda() {
    if standin().is_some() {
        play_in_child("absence/no-device", |command| {
            command.env("CUDA_VISIBLE_DEVICES", "-1");
        });
    }
}

fn no_device() {
    let reason = Driver::get().unwrap_err();
    assert_eq!(reason, NoCuda::NoDevice);
    assert_eq!(reason.kind(), ErrorKind::NotFound);
}

#[test]
fn f31_a_driver_that_does_not_start_says_what_it_answered() {
    if standin().is_some() {
        play_in_child("absence/init", |command| {
            command.env("UNCOPY_STANDIN_FAULTS", "cuInit:1=803");
        });
    }
}

fn init_fails() {
    let reason = Driver::get().unwrap_err();
    assert!(matches!(&reason, NoCuda::InitFailed { code, .. } if code.0 == 803), "{reason}");
}
