# SPDX-License-Identifier: MIT OR Apache-2.0
"""What the bundle holds, and a place to work in. The bundle itself is only read."""

import json
import shutil
import sys
import tarfile
import tempfile
from pathlib import Path

from process import run

HOME = Path(__file__).resolve().parent.parent


class Bundle:
    """The manifest that `cargo xtask gpu-bundle` wrote, and its files. `with` removes what was unpacked."""

    def __init__(self, home: Path = HOME):
        self.home = home
        self.manifest = json.loads((home / "manifest.json").read_text())
        self.work = Path(tempfile.mkdtemp(prefix="uncopy-gpu-"))

    def __enter__(self):
        archive = self.home / self.manifest["archive"]
        if archive.is_file():
            with tarfile.open(archive) as tar:
                tar.extractall(self.work, filter="data")
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.work, ignore_errors=True)

    def program(self, name: str) -> Path:
        """A program of the archive."""
        return self.work / "programs" / name

    def runtime_dir(self) -> Path:
        """A runtime directory for links, so that no link of anybody else is in the way."""
        path = self.work / "links"
        path.mkdir(mode=0o700, exist_ok=True)
        return path

    def environment(self) -> dict[str, str]:
        """What every program of ours is told."""
        return {
            "UNCOPY_RUNTIME_DIR": str(self.runtime_dir()),
            # Where tests find the programs that they start.
            "UNCOPY_TEST_PROGRAMS": str(self.work / "programs"),
            # There is a card, so that a test that finds none has failed.
            "UNCOPY_TEST_NEEDS_CUDA": "1",
        }

    def site(self) -> tuple[Path | None, str]:
        """A directory from which our package is imported, or the reason why there is none."""
        return self._installed("wheel", "ours")

    def cuda_link_site(self) -> tuple[Path | None, str]:
        """The same for cuda-link, which comes as a wheel or as a source tree."""
        tree = self.home / "peers/cuda-link"
        return (tree, "") if tree.is_dir() else self._installed("cuda_link", "theirs")

    def _installed(self, key: str, directory: str) -> tuple[Path | None, str]:
        wheel = self.manifest.get(key)
        if not wheel:
            return None, f"this bundle has no {key.replace('_', '-')}"
        site = self.work / directory
        if site.is_dir():
            return site, ""
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-compile"]
        done = run([*pip, "--target", site, self.home / wheel])
        return (site, "") if done.is_good() else (None, f"pip {done.why()}")
