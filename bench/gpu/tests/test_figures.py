# SPDX-License-Identifier: MIT OR Apache-2.0
"""What the runner takes for figures, and which floors it asks for."""

import json
import re

import bundled
import figures
import machine
import measuring
import others
import pytest
from cases import Cases
from process import Finished

ROW = {"name": "x", "size": "any", "unit": "us", "p50": 1, "p99": 2, "min": 0.5, "n": 3}


def document(rows):
    return Finished(0, json.dumps({"program": "p", "rows": rows}), "")


def test_rows_are_taken_as_they_were_printed():
    read, why = figures.document_of(document([ROW]))
    assert (read["rows"], why) == ([ROW], "")


@pytest.mark.parametrize(
    "done",
    [
        document([]),
        document([{key: value for key, value in ROW.items() if key != "n"}]),
        Finished(0, "no JSON", ""),
        Finished(0, "[]", ""),
        Finished(3, json.dumps({"program": "p", "rows": [ROW]}), "it broke"),
        Finished(None, "", ""),
    ],
)
def test_anything_else_is_refused_with_its_reason(done):
    read, why = figures.document_of(done)
    assert read is None and why


def test_every_row_of_the_floors_is_asked_for_once():
    source = (bundled.HOME / "floors/rows.hpp").read_text()
    rows = re.findall(r'\{Row::\w+, "(\w+)", (?:nullptr|"\w+"), (?:true|false), (true|false),', source)
    assert [name for name, is_paced in rows if is_paced == "true"] == figures.PACED.split(",")
    unpaced = figures.UNPACED.split(",") + figures.TWO_CARDS.split(",")
    assert [name for name, is_paced in rows if is_paced == "false"] == unpaced


@pytest.mark.parametrize(("visible", "count"), [("0,1", 2), ("1", 1), ("", 0)])
def test_cards_are_counted_as_programs_see_them(monkeypatch, visible, count):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert machine.cards() == count


@pytest.mark.parametrize("count", [1, 2])
def test_two_cards_are_measured_where_there_are_two_and_named_where_not(monkeypatch, count):
    class Whole:
        home = bundled.HOME / "nowhere"
        manifest = {"measures": [{"name": "uncopy", "program": "uncopy-bench", "arguments": ["gpu"]}]}

        def program(self, name):
            return name

        def environment(self):
            return {}

        def site(self):
            return None, "none"

    monkeypatch.setattr(machine, "cards", lambda: count)
    monkeypatch.setattr(figures, "build", lambda bundle, source: ("floors", ""))
    cases = Cases()
    programs = [*figures.floors(Whole(), cases, figures.PART), *figures.ours(Whole(), cases, figures.PART)]
    two = [program.name for program in programs if "two cards" in program.name]
    skipped = [(case.name, case.why) for case in cases.all if case.outcome == "skipped"]
    if count == 2:
        assert two == ["floors, two cards", "uncopy, two cards"] and skipped == []
    else:
        assert two == [] and skipped == [("uncopy, two cards", "two cards are needed, and 1 can be used")]


@pytest.mark.parametrize("part", [figures.PART, "mps"])
def test_what_takes_minutes_runs_once_whatever_the_size_and_not_under_mps(monkeypatch, part):
    class Bundle:
        home = bundled.HOME / "nowhere"
        manifest = {
            "measures": [{"name": name, "program": "uncopy-bench", "arguments": [f"gpu-{name}"]} for name in figures.ONCE]
        }

        def program(self, name):
            return name

        def environment(self):
            return {}

        def site(self):
            return None, "none"

    programs = [(program.command, program.rounds) for program in figures.ours(Bundle(), Cases(), part)]
    once = [(["uncopy-bench", "gpu-frames"], 1), (["uncopy-bench", "gpu-deaths"], 1)]
    assert programs == (once if part == figures.PART else [])


def test_torch_is_measured_at_every_size_that_there_is():
    assert others.ALL_SIZES.split(",") == measuring.SIZES
