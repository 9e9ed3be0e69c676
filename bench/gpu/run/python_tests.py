# SPDX-License-Identifier: MIT OR Apache-2.0
"""The Python package on this machine's own Python and frameworks: that it imports, and its tests on a GPU."""

import json
import sys

from bundle import Bundle
from cases import Case, Cases
from process import run

PART = "python"
IMPORT = "import uncopy; print(uncopy.__version__)"


def run_tests(bundle: Bundle, cases: Cases) -> None:
    site, why_not = bundle.site()
    if site is None:
        (cases.skipped if not bundle.manifest.get("wheel") else cases.failed)(PART, "the wheel installs", why_not)
        return
    environment = bundle.environment() | {"PYTHONPATH": str(site)}
    done = run([sys.executable, "-B", "-c", IMPORT], env=environment)
    if not done.is_good():
        cases.failed(PART, "the wheel imports", done.why())
        return
    cases.passed(PART, "the wheel imports", done.output.strip())
    tests = bundle.home / "tests/python"
    if not tests.is_dir():
        cases.skipped(PART, "Python tests on a GPU", "this bundle has none")
        return
    for case in pytest_cases(bundle, environment, tests):
        cases.add(case, is_quiet=True)


def pytest_cases(bundle: Bundle, environment: dict[str, str], tests) -> list[Case]:
    log = bundle.work / "pytest.jsonl"
    environment["PYTHONPATH"] += f":{bundle.home / 'plugins'}"
    pytest = [sys.executable, "-B", "-m", "pytest", "-q", "-p", "case_log", "-p", "no:cacheprovider"]
    done = run([*pytest, "--case-log", log, tests], env=environment, cwd=bundle.work, limit_s=900, joined=True)
    lines = log.read_text().splitlines() if log.is_file() else []
    read = [json.loads(line) for line in lines]
    cases = [Case(PART, case["name"], case["outcome"], case["why"]) for case in read]
    # 0 is success, 1 a failed test, 5 none found.
    if done.code not in (0, 1) or not cases:
        cases.append(Case(PART, "pytest", "failed", done.why()))
    return cases
