# SPDX-License-Identifier: MIT OR Apache-2.0
"""What the runner takes for figures, and which floors it asks for."""

import json
import re

import bundled
import figures
import pytest
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
    assert [name for name, is_paced in rows if is_paced == "false"] == figures.UNPACED.split(",")
