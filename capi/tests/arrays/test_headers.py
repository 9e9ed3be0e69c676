# SPDX-License-Identifier: MIT OR Apache-2.0
"""Each header compiles alone, without a warning; those for C++ alone with nothing but the standard library."""

import concurrent.futures
import os
import subprocess

import pytest
from build import COMPILER, INCLUDE, WARNINGS, nanobind_flags, pybind11_flags, python_flags

def flags_of(header):
    name = header.relative_to(INCLUDE).as_posix()
    if "pybind11" in name:
        return pybind11_flags()
    if name.endswith("nanobind.hpp"):
        return nanobind_flags()
    if "/python/" in name:
        return python_flags()
    return []


def headers():
    """Ours; `uncopy.h` and `link.hpp` belong to the library and are tested with it."""
    found = [*INCLUDE.rglob("*.hpp"), *INCLUDE.rglob("dlpack.h")]
    return sorted(path for path in found if path.name not in ("uncopy.h", "link.hpp"))


def names():
    return [path.relative_to(INCLUDE).as_posix() for path in headers()]


def compiled(text, flags, language="c++"):
    command = [COMPILER if language == "c++" else os.environ.get("CC", "gcc"), "-x", language, "-fsyntax-only", *flags, "-"]
    return subprocess.run(command, input=text, capture_output=True, text=True)


@pytest.fixture(scope="module")
def results():
    """All at once, since each takes a compiler some seconds."""

    def one(header):
        return compiled(f"#include <{header.relative_to(INCLUDE)}>\n", [*WARNINGS, f"-I{INCLUDE}", *flags_of(header)])

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(names(), pool.map(one, headers())))


@pytest.mark.parametrize("name", names())
def test_a_header_compiles_alone(results, name):
    assert results[name].returncode == 0, results[name].stderr


@pytest.mark.parametrize("name", [name for name in names() if "python" not in name and "bind" not in name])
def test_headers_for_cpp_need_nothing_but_the_standard_library(name):
    done = subprocess.run(
        [COMPILER, "-x", "c++", "-std=c++17", "-M", f"-I{INCLUDE}", "-"],
        input=f"#include <{name}>\n",
        capture_output=True,
        text=True,
        check=True,
    )
    needed = done.stdout.replace("\\\n", " ").split()[1:]
    version = subprocess.run([COMPILER, "-x", "c++", "-E", "-v", "-"], input="", capture_output=True, text=True).stderr
    standard = version.split("search starts here:\n", 2)[-1].split("End of search list.")[0].split()
    strangers = [path for path in needed if path != "-" and not path.startswith((str(INCLUDE), *standard))]
    assert not strangers
    assert not [path for path in needed if "cuda" in path.lower() or "python" in path.lower()]


def test_dlpack_compiles_as_c():
    assert compiled("#include <uncopy/dlpack.h>\nDLTensor t;\n", ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", f"-I{INCLUDE}"], "c").returncode == 0


# As in dlpack 0.8, before the versioned struct.
OLD_DLPACK = """
#ifndef DLPACK_DLPACK_H_
#define DLPACK_DLPACK_H_
#include <stdint.h>
#include <stddef.h>
#define DLPACK_VERSION 80
typedef enum { kDLCPU = 1, kDLCUDA = 2 } DLDeviceType;
typedef struct { DLDeviceType device_type; int device_id; } DLDevice;
typedef struct { uint8_t code; uint8_t bits; uint16_t lanes; } DLDataType;
typedef struct { void *data; DLDevice device; int ndim; DLDataType dtype; int64_t *shape; int64_t *strides; uint64_t byte_offset; } DLTensor;
typedef struct DLManagedTensor { DLTensor dl_tensor; void *manager_ctx; void (*deleter)(struct DLManagedTensor *self); } DLManagedTensor;
#endif
"""
USE = "\nDLManagedTensorVersioned *f(const uncopy::array &a) { return a.to_dlpack(); }\nint x = kDLCPU;\n"


@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_a_vendored_dlpack_header_may_come_before_or_after(first):
    ours = "#include <uncopy/array.hpp>\n"
    text = ours + OLD_DLPACK if first == "ours" else OLD_DLPACK + ours
    done = compiled(text + USE, [*WARNINGS, f"-I{INCLUDE}"])
    assert done.returncode == 0, done.stderr


def test_torchs_dlpack_header_may_come_before_or_after():
    torch = pytest.importorskip("torch")
    from pathlib import Path

    vendored = Path(torch.__file__).parent / "include/ATen/dlpack.h"
    if not vendored.exists():
        pytest.skip("this torch has no header of DLPack")
    ours, theirs = "#include <uncopy/array.hpp>\n", f'#include "{vendored}"\n'
    for text in (ours + theirs, theirs + ours):
        done = compiled(text + USE, [*WARNINGS, f"-I{INCLUDE}"])
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("first", ["uncopy/array.hpp", "uncopy/link.hpp"])
def test_arrays_and_links_go_into_one_file(first):
    text = f"#include <{first}>\n#include <uncopy/array.hpp>\n#include <uncopy/link.hpp>\n"
    text += "uncopy_status f(const uncopy::array &a, uncopy_array **out) { return uncopy_array_from_dlpack(a.to_dlpack(), out); }\n"
    done = compiled(text, [*WARNINGS, f"-I{INCLUDE}"])
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "code",
    [
        "uncopy::array a; uncopy::array b = a;",
        "uncopy::view<const float, 1> v; uncopy::view<float, 1> w = v;",
        "uncopy::view<float, 1, uncopy::strided, uncopy::cuda> v; float x = v(0);",
        "uncopy::view<float, 1, uncopy::strided, uncopy::cuda> v; uncopy::view<float, 1> w = v;",
        "uncopy::view<float, 9> v;",
        "uncopy::view<float, 2> v; float x = v(0);",
        "uncopy::view<wchar_t, 1> v;",
    ],
)
def test_what_can_not_be_right_does_not_compile(code):
    text = "#include <uncopy/array.hpp>\nvoid f() { %s }\n"
    assert compiled(text % "uncopy::view<float, 1> v; static_cast<void>(v);", ["-std=c++17", f"-I{INCLUDE}"]).returncode == 0
    assert compiled(text % code, ["-std=c++17", f"-I{INCLUDE}"]).returncode != 0
