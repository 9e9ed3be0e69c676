# SPDX-License-Identifier: MIT OR Apache-2.0
"""A pytest plugin: writes one JSON line per test, at once, for `cargo xtask test`.

Line by line, so that what was finished is known even if the interpreter dies.
"""

import json

import pytest


def pytest_addoption(parser):
    parser.addoption("--case-log", required=True, help="the file to write")


def pytest_configure(config):
    config.addinivalue_line("markers", "fault(id, ...): the faults of the catalogue that the test injects")
    config.pluginmanager.register(CaseLog(config.getoption("--case-log")))


class CaseLog:
    def __init__(self, path):
        self.file = open(path, "w", buffering=1)
        self.open_cases = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item, call):
        report = yield
        faults = [fault for mark in item.iter_markers("fault") for fault in mark.args]
        case = self.open_cases.setdefault(item.nodeid, {"outcome": "passed", "why": "", "faults": faults})
        self.note(case, report)
        if report.when == "teardown":
            self.write(item.nodeid, self.open_cases.pop(item.nodeid))
        return report

    def pytest_collectreport(self, report):
        if not report.passed:
            case = {"outcome": "passed", "why": "", "faults": []}
            self.note(case, report)
            self.write(report.nodeid or "collection", case)

    def pytest_sessionfinish(self):
        self.file.close()

    def note(self, case, report):
        if report.failed:
            case.update(outcome="failed", why=last_line(report.longreprtext))
        elif report.skipped and case["outcome"] == "passed":
            case.update(outcome="skipped", why=skip_reason(report))

    def write(self, name, case):
        self.file.write(json.dumps({"name": name, **case}) + "\n")


def skip_reason(report):
    if hasattr(report, "wasxfail"):
        return f"expected to fail: {report.wasxfail}"
    if isinstance(report.longrepr, tuple):
        return report.longrepr[2].removeprefix("Skipped: ")
    return last_line(report.longreprtext)


def last_line(text):
    """The assertion or exception of a failure: pytest marks its lines with E."""
    lines = [line for line in text.splitlines() if line.strip()]
    marked = [line[1:].strip() for line in lines if line.startswith("E ")]
    return (marked or lines or ["no reason given"])[0].strip()
