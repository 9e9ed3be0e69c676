# SPDX-License-Identifier: MIT OR Apache-2.0
"""`import uncopy`, a first frame and `uncopy list` of the wheel, each sample in a fresh process.

Programs come from the page cache, as they do for a user's second command.
"""

import os
import subprocess
import sys
import time

import uncopy
from rounds import FULL_HD_RGBA, ROUNDS, figure, main, series, summary

LINK = "start"
WARM_UP = 3

IMPORT = """
import time
begun = time.perf_counter_ns()
import uncopy
print(time.perf_counter_ns() - begun)
"""

ATTACH = f"""
import time
import uncopy
begun = time.perf_counter_ns()
sub = uncopy.subscribe({LINK!r})
frame = sub.recv(timeout=10.0)
print(time.perf_counter_ns() - begun)
del frame
sub.close()
"""


def timed(command: list[str]) -> tuple[int, str]:
    """How long a process takes from its start to its end, and what it says."""
    begun = time.perf_counter_ns()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return time.perf_counter_ns() - begun, done.stdout


def python(code: str) -> tuple[int, str]:
    return timed([sys.executable, "-I", "-c", code])


def uncopy_list() -> int:
    program = os.path.join(os.path.dirname(sys.executable), "uncopy")
    took, said = timed([program, "list"])
    if LINK not in said:
        raise RuntimeError(f"`uncopy list` did not list {LINK!r}: {said}")
    return took


def samples() -> dict[str, int]:
    bare, _ = python("pass")
    imported, inside = python(IMPORT)
    attached, first_frame = python(ATTACH)
    return {
        "import_uncopy": int(inside),
        "import_uncopy_process": imported,
        "python_process": bare,
        "attach_python": int(first_frame),
        "attach_python_process": attached,
        "list_wheel": uncopy_list(),
    }


WHAT = {
    "import_uncopy": "`import uncopy` by the clock of its own process",
    "import_uncopy_process": "that process from its start to its end",
    "python_process": "a process of the same interpreter that does nothing, from its start to its end",
    "attach_python": "before uncopy.subscribe until the first frame is held",
    "attach_python_process": "that process from its start to its end, with its imports",
    "list_wheel": "`uncopy list` of the wheel from its start to its end, the interpreter included",
}


def measure(run):
    rounds = {name: [] for name in WHAT}
    with uncopy.publish(LINK) as out:
        with out.loan(FULL_HD_RGBA, "uint8"):
            pass
        for _ in range(WARM_UP):
            samples()
        for round_number in range(1, ROUNDS + 1):
            run.say(f"fresh Python processes: round {round_number} of {ROUNDS}")
            taken = [samples() for _ in range(run.count(20, 4))]
            for name, collected in rounds.items():
                collected.append(summary([one[name] for one in taken]))
    return [figure(name, series(WHAT[name], rounds[name]), warm_up=f"{WARM_UP} processes") for name in WHAT]


if __name__ == "__main__":
    main(measure)
