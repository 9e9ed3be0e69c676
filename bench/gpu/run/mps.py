# SPDX-License-Identifier: MIT OR Apache-2.0
"""NVIDIA's multi-process service, as a daemon of our own: started with private directories, stopped at the end.

A daemon that runs already is somebody else's: it is neither used nor stopped. No mode of the card is changed.
"""

import os
import shutil
import tempfile
from pathlib import Path

from process import run

CONTROL = "nvidia-cuda-mps-control"


class Mps:
    """`with Mps() as mps:` runs it; `mps.why_not` says why it does not run, and is empty where it does."""

    def __init__(self):
        self.why_not = ""
        self.directory = None

    def __enter__(self):
        self.why_not = self._start()
        return self

    def __exit__(self, *_):
        if self.directory is None:
            return
        # Also where it failed half-way: a daemon without clients would stay for ever.
        run(["sh", "-c", f"echo quit | {CONTROL}"], env=self.environment(), limit_s=60)
        shutil.rmtree(self.directory, ignore_errors=True)

    def environment(self) -> dict[str, str]:
        """What makes a program a client of this daemon."""
        return {
            "CUDA_MPS_PIPE_DIRECTORY": str(self.directory / "pipe"),
            "CUDA_MPS_LOG_DIRECTORY": str(self.directory / "log"),
        }

    def _start(self) -> str:
        if not shutil.which(CONTROL):
            return f"{CONTROL} is not on this machine"
        if Path("/tmp/nvidia-mps/control").exists() or "CUDA_MPS_PIPE_DIRECTORY" in os.environ:
            return "another MPS daemon seems to run here"
        # Short, since it holds sockets.
        self.directory = Path(tempfile.mkdtemp(prefix="mps-", dir="/tmp"))
        for name in ("pipe", "log"):
            (self.directory / name).mkdir()
        # What it says goes to a file: it keeps its output open for as long as it runs.
        said = self.directory / "log/start"
        done = run(["sh", "-c", f"exec {CONTROL} -d >{said} 2>&1"], env=self.environment(), limit_s=60)
        if not done.is_good():
            return f"{CONTROL} -d {done.why()} {said.read_text().strip()}"
        asked = run(["sh", "-c", f"echo get_server_list | {CONTROL}"], env=self.environment(), limit_s=60)
        return "" if asked.is_good() else f"{CONTROL} started and does not answer: {asked.why()}"
