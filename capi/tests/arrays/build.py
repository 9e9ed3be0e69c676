# SPDX-License-Identifier: MIT OR Apache-2.0
"""Builds what the array tests run: `python build.py OUT`. Needs g++, Python's headers, pybind11 and nanobind.

Each product is made again only when its command or a file of `capi` has changed. Nothing of CUDA is needed.
"""

import concurrent.futures
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

HERE = Path(__file__).parent
CAPI = HERE.parents[1]
INCLUDE = CAPI / "include"
EXAMPLES = CAPI / "examples" / "arrays"
COMPILER = os.environ.get("CXX", "g++")
WARNINGS = ["-std=c++17", "-Wall", "-Wextra", "-Werror"]
SANITIZERS = ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")


def python_flags():
    return ["-isystem", sysconfig.get_path("include")]


def pybind11_flags():
    import pybind11

    return ["-isystem", pybind11.get_include(), *python_flags()]


def nanobind_flags():
    import nanobind

    return ["-isystem", nanobind.include_dir(), *python_flags()]


def command(out, sources, flags=(), optimise="-O1"):
    kind = ["-shared", "-fPIC", "-fvisibility=hidden"] if out.suffix == ".so" else []
    kind = ["-c", "-fPIC", "-fvisibility=hidden"] if out.suffix == ".o" else kind
    link = [] if out.suffix == ".o" else ["-ldl", "-pthread"]
    return [COMPILER, *WARNINGS, optimise, *kind, f"-I{INCLUDE}", f"-I{HERE}", *flags, *map(str, sources), "-o", str(out), *link]


def nanobind_library(out):
    """nanobind's own code, in one file, which our warnings are not for."""
    import nanobind

    robin_map = Path(nanobind.include_dir()).parent / "ext" / "robin_map" / "include"
    source = Path(nanobind.source_dir()) / "nb_combined.cpp"
    flags = ["-std=c++17", "-O1", "-fno-strict-aliasing", "-fPIC", "-fvisibility=hidden", "-c"]
    return [COMPILER, *flags, *nanobind_flags(), "-I", str(robin_map), str(source), "-o", str(out)]


def products(out):
    """Commands by product: first those that others need."""
    library = out / "nanobind.o"
    first = {library: nanobind_library(library)}
    pycai, arrays = out / f"pycai{SUFFIX}", out / "test_arrays"
    with_pybind11, with_nanobind = out / f"casters_pybind11{SUFFIX}", out / f"casters_nanobind{SUFFIX}"
    second = {
        pycai: command(pycai, [HERE / "pycai/pycai.cpp"], pybind11_flags()),
        arrays: command(arrays, sorted((HERE / "cpp").glob("*.cpp")), SANITIZERS),
        with_pybind11: command(with_pybind11, [HERE / "casters/with_pybind11.cpp"], pybind11_flags()),
        with_nanobind: command(with_nanobind, [HERE / "casters/with_nanobind.cpp", library], nanobind_flags()),
    }
    for source in sorted(EXAMPLES.glob("*.cpp")):
        text = source.read_text()
        if "nanobind" in text:
            product, extra, flags = out / f"{source.stem}{SUFFIX}", [library], nanobind_flags()
        elif "pybind11" in text:
            product, extra, flags = out / f"{source.stem}{SUFFIX}", [], pybind11_flags()
        else:
            product, extra, flags = out / source.stem, [], []
        second[product] = command(product, [source, *extra], flags)
    return [first, second]


def newest_source():
    files = [path for path in CAPI.rglob("*") if path.suffix in (".hpp", ".h", ".cpp")]
    return max(path.stat().st_mtime for path in files)


def make(product, arguments):
    """None, or what the compiler said."""
    stamp = product.with_suffix(product.suffix + ".command")
    asked = "\0".join(arguments)
    of_ours = product.name != "nanobind.o"
    if product.exists() and stamp.exists() and stamp.read_text() == asked:
        if not of_ours or product.stat().st_mtime > newest_source():
            return None
    done = subprocess.run(arguments, capture_output=True, text=True)
    if done.returncode != 0:
        product.unlink(missing_ok=True)
        return f"{' '.join(arguments)}\n{done.stderr}"
    stamp.write_text(asked)
    return None


def main(out):
    out.mkdir(parents=True, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for stage in products(out):
            said = [text for text in pool.map(lambda item: make(*item), stage.items()) if text]
            if said:
                sys.exit("\n".join(said))
    print("\n".join(str(path) for path in sorted(out.iterdir()) if not path.name.endswith(".command")))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
