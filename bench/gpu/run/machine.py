# SPDX-License-Identifier: MIT OR Apache-2.0
"""The machine that measures: enough to judge a figure by, and nothing that tells whose it is.

Nothing here changes a setting.
"""

import importlib.metadata
import os
import platform
import re
from pathlib import Path

from process import run

QUERY = ["name", "driver_version", "memory.total", "compute_mode", "mig.mode.current", "persistence_mode"]


def describe() -> tuple[dict | None, str]:
    """The machine, or the reason why nothing can be measured here."""
    done = run(["nvidia-smi", f"--query-gpu={','.join(QUERY)}", "--format=csv,noheader,nounits"], limit_s=60)
    cards = [[field.strip() for field in line.split(",")] for line in done.output.splitlines() if line.strip()]
    if not done.is_good() or not cards:
        return None, f"nvidia-smi {done.why()}"
    gpu = dict(zip(QUERY, cards[0]))
    cpu_info = _text("/proc/cpuinfo")
    load = _text("/proc/loadavg").split()
    return {
        "cpu": _field(cpu_info, "model name") or "unknown CPU",
        "cores": len(os.sched_getaffinity(0)),
        "is_virtual": "hypervisor" in (_field(cpu_info, "flags") or "").split(),
        "kernel": platform.release(),
        "memory_gib": -(-int(_number(_field(_text("/proc/meminfo"), "MemTotal"))) // (1 << 20)),
        "load_before": float(load[0]) if load else None,
        "pinning": places() or "none",
        "gpu": {
            "card": gpu["name"],
            "count": len(cards),
            "driver": gpu["driver_version"],
            "cuda": _cuda_version(),
            "memory_mib": int(_number(gpu["memory.total"])),
            "compute_mode": gpu["compute_mode"],
            "mig": gpu["mig.mode.current"],
        },
    }, ""


def cards() -> int:
    """How many cards the programs may use: those of the machine, or those that `CUDA_VISIBLE_DEVICES` names."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return sum(bool(name.strip()) for name in named.split(","))
    listed = run(["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"], limit_s=60)
    return len(listed.output.split()) if listed.is_good() else 0


def places() -> str | None:
    """Processors for the producer and for the consumer of a measurement, as the programs are told: the first quarter and
    the second. Whether two in a row share a core, or two that are half of all apart, these never do. `None` where there
    are too few."""
    usable = sorted(os.sched_getaffinity(0))
    quarter = len(usable) // 4
    if quarter < 2 or usable[2 * quarter - 1] != usable[0] + 2 * quarter - 1:
        return None
    first = usable[0]
    return f"{first}-{first + quarter - 1}/{first + quarter}-{first + 2 * quarter - 1}"


def versions() -> dict:
    """Of what is measured with."""
    found = {"python": platform.python_version(), "glibc": platform.libc_ver()[1]}
    for package in ("torch", "cupy-cuda13x", "cupy-cuda12x", "cupy", "jax", "numba", "numba-cuda", "numpy", "pytest"):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    nvcc = re.search(r"release ([\d.]+)", run(["nvcc", "--version"], limit_s=60).output)
    if nvcc:
        found["nvcc"] = nvcc[1]
    return found


def _cuda_version() -> str:
    """The newest CUDA that the driver speaks."""
    found = re.search(r"CUDA Version:\s*([\d.]+)", run(["nvidia-smi"], limit_s=60).output)
    return found[1] if found else "unknown"


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def _field(text: str, name: str) -> str | None:
    found = re.search(rf"^{re.escape(name)}\s*:\s*(.*)$", text, re.M)
    return found[1].strip() if found else None


def _number(text: str | None) -> float:
    found = re.search(r"[\d.]+", text or "")
    return float(found[0]) if found else 0.0
