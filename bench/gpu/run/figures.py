# SPDX-License-Identifier: MIT OR Apache-2.0
"""The measurements: the floors, ours and others', in turns, so that each round's figures are of the same minute."""

import json
import sys

import machine
import others
from bundle import Bundle
from cases import Cases
from process import Finished, complain, run, say
from program import Program, python_path
from rust_tests import build

PART = "figures"
PACED = "copy_known_60hz,futex_60hz"
UNPACED = (
    "copy_known,copy_then_kernel,copy_stream_waits,fill_known,fill_ring_known,copy_then_host,mirror_known,signal_known,"
    "copy_done,host_copy_done"
)
TWO_CARDS = "peer_copy_known"
OURS_ON_TWO_CARDS = "send_known_two_cards,send_copied_two_cards"
ONCE = ("frames", "deaths")
"""They count what is wrong and kill processes, which takes minutes; neither depends on the size, nor is of the same minute."""
PYTHON_ROUNDS = 3
"""Each imports torch in several processes, which takes most of its time."""
GOALS_SIZE = "1080p_f32"
"""The size that the goals are about. Other sizes are measured once."""
OTHER_SIZES = ",".join(
    size
    for picture in ("512", "1080p", "4k")
    for dtype in ("u8", "f16", "f32")
    if (size := f"{picture}_{dtype}") != GOALS_SIZE
)


def measure(bundle: Bundle, cases: Cases, runs: list[dict], rounds: int, mps: dict[str, str] | None = None) -> None:
    """Appends what each program printed to `runs`. With `mps`, its clients' environment, only what the goals need."""
    part = PART if mps is None else "mps"
    if mps is None:
        prove(bundle, cases)
    programs = [*floors(bundle, cases, part), *ours(bundle, cases, part)]
    if mps is None:
        programs += others.programs(bundle, cases)
    places = machine.places()
    bound = {"UNCOPY_BENCH_CPUS": places} if places else {}
    failed = set()
    for round_number in range(1, rounds + 1):
        for program in programs:
            if program.name in failed or round_number > program.rounds:
                continue
            complain(f"{part}: round {round_number} of {rounds}, {program.name}")
            done = run(program.command, env=program.environment | bound | (mps or {}), limit_s=program.limit_s)
            document, why = document_of(done)
            if document is None:
                failed.add(program.name)
                cases.failed(part, program.name, why)
                complain(done.errors)
                continue
            runs.append({"mps": mps is not None, "round": round_number, **document})
    for program in programs:
        if program.name not in failed:
            cases.passed(part, f"{program.name} measured")


def prove(bundle: Bundle, cases: Cases) -> None:
    """Shows that the check of frames notices a build that overwrites what is held."""
    for proof in bundle.manifest["proofs"]:
        command = [bundle.program(proof["program"]), *proof["arguments"]]
        document, why = document_of(run(command, env=bundle.environment(), limit_s=120))
        if document is None:
            cases.failed(PART, proof["name"], why)
            continue
        found = {row["name"]: row["p50"] for row in document["rows"] if row["name"].startswith("frames_not_right")}
        missed = [name for name, count in found.items() if count == 0]
        if missed or not found:
            cases.failed(PART, proof["name"], f"nothing wrong was found in {', '.join(missed) or 'no row'}")
        else:
            cases.passed(PART, proof["name"], ", ".join(f"{name}: {count:.0f}" for name, count in found.items()))


def document_of(done: Finished) -> tuple[dict | None, str]:
    """What a program printed, where it ended well and printed rows."""
    if not done.is_good():
        return None, done.why()
    try:
        document = json.loads(done.output)
        rows = document["rows"]
        if not rows or any(not {"name", "size", "unit", "p50", "p99", "min", "n"} <= row.keys() for row in rows):
            return None, "printed no rows, or rows without what each must have"
        return document, ""
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return None, f"printed something else than rows: {error!r}"


def floors(bundle: Bundle, cases: Cases, part: str) -> list[Program]:
    program, why_not = build(bundle, "floors.cu")
    if program is None:
        cases.failed(part, "floors", why_not)
        return []
    programs = [
        Program("floors", [program, "--rows", UNPACED, "--sizes", GOALS_SIZE]),
        Program("floors, paced", [program, "--rows", PACED, "--sizes", GOALS_SIZE]),
    ]
    if part == PART:
        programs.append(Program("floors, other sizes", [program, "--rows", UNPACED, "--sizes", OTHER_SIZES], rounds=1))
        if machine.cards() > 1:
            programs.append(Program("floors, two cards", [program, "--rows", TWO_CARDS, "--sizes", GOALS_SIZE]))
    return programs


def ours(bundle: Bundle, cases: Cases, part: str) -> list[Program]:
    """uncopy's own: programs that the manifest names, and every script of `python/`."""
    measures = bundle.manifest["measures"]
    programs = []
    for entry in measures:
        name, command = entry["name"], [bundle.program(entry["program"]), *entry["arguments"]]
        if name in ONCE:
            if part == PART:
                programs.append(Program(name, command, bundle.environment(), rounds=1, limit_s=600))
            continue
        programs.append(Program(name, [*command, "--sizes", GOALS_SIZE], bundle.environment()))
        if part == PART:
            others_too = [*command, "--sizes", OTHER_SIZES]
            programs.append(Program(f"{name}, other sizes", others_too, bundle.environment(), rounds=1))
            two_cards = [*command, "--rows", OURS_ON_TWO_CARDS, "--sizes", GOALS_SIZE]
            if machine.cards() > 1:
                programs.append(Program(f"{name}, two cards", two_cards, bundle.environment()))
            else:
                cases.skipped(part, f"{name}, two cards", f"two cards are needed, and {machine.cards()} can be used")
    site, why_not = bundle.site()
    scripts = sorted((bundle.home / "python").glob("*.py"))
    if scripts and site is None:
        cases.failed(part, "uncopy in Python", why_not)
    elif scripts:
        environment = bundle.environment() | python_path(bundle, site)
        for script in scripts:
            command = [sys.executable, "-B", script, "--sizes", GOALS_SIZE]
            programs.append(Program(script.stem, command, environment, rounds=PYTHON_ROUNDS))
    if not programs:
        cases.skipped(part, "uncopy's own figures", "this bundle has no program that measures uncopy on a GPU")
    return programs


def table(runs: list[dict]) -> None:
    """The worst round of each row of the goals' size and of those that have none."""
    found: dict[tuple, list[dict]] = {}
    for document in runs:
        for row in document["rows"]:
            if row["size"] in (GOALS_SIZE, "any"):
                key = (document["program"], row["name"], document["mps"])
                found.setdefault(key, []).append(row)
    if not found:
        return
    say(f"\nworst round of each, {GOALS_SIZE} where it has a size")
    for (program, name, is_mps), rows in found.items():
        p50, p99 = (max(row[key] for row in rows) for key in ("p50", "p99"))
        label = f"{program} {name}{' (MPS)' if is_mps else ''}"
        say(f"  {label:<44} p50 {p50:10.3f}  p99 {p99:10.3f} {rows[0]['unit']}")
