# SPDX-License-Identifier: MIT OR Apache-2.0
"""Other libraries, each with a script in `peers/`.

They run once: no goal is a ratio to them, and they take long to start.
"""

import os
import sys
import sysconfig
from pathlib import Path

from bundle import Bundle
from cases import Cases
from program import Program, python_path

ALL_SIZES = ",".join(f"{picture}_{dtype}" for picture in ("512", "1080p", "4k") for dtype in ("u8", "f16", "f32"))
RUNTIMES = ("cudart64_13.dll", "cudart64_12.dll", "cudart64_110.dll")
"""The names by which cuda-link looks for the CUDA runtime, on Linux too."""


def programs(bundle: Bundle, cases: Cases) -> list[Program]:
    # Of every size, as the picture of them shows it.
    found = [of(bundle, "with_torch_mp.py", None, {}, "--sizes", ALL_SIZES)]
    site, why_not = bundle.cuda_link_site()
    if site is None:
        cases.skipped("figures", "with_cuda_link", why_not)
    else:
        found.append(of(bundle, "with_cuda_link.py", site, runtime_by_windows_names(bundle)))
    return found


def of(bundle: Bundle, script: str, site: Path | None, environment: dict[str, str], *arguments: str) -> Program:
    path = bundle.home / "peers" / script
    command = [sys.executable, "-B", path, *arguments]
    return Program(path.stem, command, python_path(bundle, site) | environment, rounds=1, limit_s=400)


def runtime_by_windows_names(bundle: Bundle) -> dict[str, str]:
    """Links of those names to the runtime that torch uses, in a directory of ours that the loader searches first."""
    runtimes = sorted(Path(sysconfig.get_path("purelib")).glob("nvidia/**/libcudart.so.*"))
    if not runtimes:
        return {}
    directory = bundle.work / "runtime"
    directory.mkdir(exist_ok=True)
    for name in RUNTIMES:
        (directory / name).symlink_to(runtimes[-1])
    return {"LD_LIBRARY_PATH": ":".join(filter(None, (str(directory), os.environ.get("LD_LIBRARY_PATH"))))}
