# SPDX-License-Identifier: MIT OR Apache-2.0
"""A whole run of `run.sh` over a small bundle, on a machine whose GPU tools are shell scripts.

What is played is the tools' outside alone: their names, their arguments, what they print. No figure of such a run means
anything; that each part is run, counted, cleaned up after and written down does.
"""

import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
from bundled import HOME

ROW = {"name": "copy_known", "size": "1080p_f32", "unit": "us", "p50": 24.0, "p99": 30.0, "min": 23.0, "n": 400}
DOCUMENT = json.dumps({"program": "floors", "rows": [ROW | {"what": "w"}]})
LIBTEST = (
    "running 1 test\ntest a_frame ... ok\n\n"
    "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n"
)

TOOLS = {
    "nvidia-smi": """
case "$*" in
*query-gpu*) echo 'NVIDIA H200, 580.159.04, 143771, Default, Disabled, Enabled';;
*) echo 'CUDA Version: 13.0';;
esac""",
    # What it "builds" prints figures, or stands for the program with planted mistakes.
    "nvcc": f"""
for last; do :; done
case "$*" in
*--version*) echo 'release 13.0, V13';;
*) printf '#!/bin/sh\\ncat <<END\\n{DOCUMENT}\\nEND\\n' >"$last"; chmod +x "$last";;
esac""",
    "compute-sanitizer": """
case "$*" in
*planted*) exit 97;;
*) while [ "${1#--}" != "$1" ]; do shift 2; done; exec "$@";;
esac""",
    "nvidia-cuda-mps-control": """
echo "$CUDA_MPS_PIPE_DIRECTORY $*" >>"$MPS_CALLS"
[ "$1" = -d ] || cat >>"$MPS_CALLS"
""",
}


@pytest.fixture
def bundle(tmp_path):
    home = tmp_path / "bundle"
    home.mkdir()
    for name in ("run", "floors", "peers"):
        shutil.copytree(HOME / name, home / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("run.sh", "floors.cu", "planted.cu"):
        shutil.copy(HOME / name, home / name)
    programs = tmp_path / "programs"
    programs.mkdir()
    executable(programs / "gpu_links", f"printf '{LIBTEST}'")
    executable(programs / "gpu_ends", f"case $* in --list) echo ending::it: test;; *) printf '{LIBTEST}';; esac")
    with tarfile.open(home / "programs.tar.gz", "w:gz") as tar:
        tar.add(programs, arcname="programs")
    (home / "manifest.json").write_text(json.dumps(manifest()))
    return home


def manifest():
    test = {"program": "gpu_links", "arguments": [], "limit_s": 60, "sanitize": True}
    return {
        "commit": "c" * 40,
        "has_uncommitted_changes": False,
        "uncopy": "0.1.0",
        "rustc": "rustc 1",
        "glibc": "2.34",
        "archive": "programs.tar.gz",
        "tests": [test],
        "measures": [],
        "proofs": [],
        "soaks": [],
        "wheel": None,
        "cuda_link": None,
        "absent": [{"what": "soak", "why": "not yet"}],
    }


def executable(path, script):
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def tools(tmp_path):
    directory = tmp_path / "tools"
    directory.mkdir()
    for name, script in TOOLS.items():
        executable(directory / name, script)
    return directory


def play(bundle, tools, *arguments):
    """Runs it with these tools before all others; what it printed, its exit code, and what it wrote."""
    out = bundle.parent / "out"
    environment = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}", "MPS_CALLS": str(bundle.parent / "mps")}
    environment.pop("CUDA_MPS_PIPE_DIRECTORY", None)
    environment |= {"TMPDIR": str(bundle.parent), "CUDA_VISIBLE_DEVICES": ""}
    command = [bundle / "run.sh", "--out", out, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    written = out / "results.json"
    return done.stdout, done.returncode, json.loads(written.read_text()) if written.is_file() else None


def outcomes(results, part):
    return {case["name"]: (case["outcome"], case["why"]) for case in results["cases"] if case["part"] == part}


def test_each_part_is_run_counted_and_written_down(bundle, tools):
    parts = ["--only", "rust", "--only", "figures", "--only", "mps", "--only", "sanitizer"]
    printed, code, results = play(bundle, tools, *parts, "--rounds", "2")
    assert outcomes(results, "rust") == {"gpu_links a_frame": ("passed", "")}
    assert outcomes(results, "bundle") == {"soak": ("skipped", "not yet")}
    assert outcomes(results, "sanitizer")["memcheck gpu_links"][0] == "passed"
    assert outcomes(results, "figures")["with_cuda_link"] == ("skipped", "this bundle has no cuda-link")
    floors = [(run["round"], run["mps"]) for run in results["runs"] if run["program"] == "floors"]
    assert sorted(set(floors)) == [(1, False), (1, True), (2, False), (2, True)]
    # torch is shown no card, if it is here at all.
    assert outcomes(results, "figures")["with_torch_mp"][0] == "failed" and code == 1
    closing = f"{count(results, 'passed')} passed, 1 failed, {count(results, 'skipped')} skipped"
    assert printed.splitlines()[-1] == closing


def test_leaks_are_not_looked_for_in_tests_of_processes_that_end_with_work_under_way(bundle, tools):
    document = manifest()
    document["tests"] = [document["tests"][0] | {"program": "gpu_ends"}]
    (bundle / "manifest.json").write_text(json.dumps(document))
    tool = tools / "compute-sanitizer"
    tool.write_text(tool.read_text().replace("*) while", f'*) echo "$*" >>{bundle.parent / "asked"}; while'))
    _, _, results = play(bundle, tools, "--only", "sanitizer")
    names = [name for name in outcomes(results, "sanitizer") if "gpu_ends" in name]
    assert names == ["memcheck gpu_ends", "memcheck gpu_ends ending::", "racecheck gpu_ends"]
    with_leaks, of_ends, races = (bundle.parent / "asked").read_text().splitlines()
    assert "--leak-check full" in with_leaks and with_leaks.endswith("--skip ending::")
    assert "--leak-check" not in of_ends and of_ends.endswith(" ending::")
    assert not races.endswith("ending::")


def count(results, outcome):
    return sum(case["outcome"] == outcome for case in results["cases"])


def test_what_is_written_is_what_the_results_are_read_from(bundle, tools):
    """`sample.json` is read by the tests of `cargo xtask gpu-results`."""
    _, code, results = play(bundle, tools, "--only", "mps", "--rounds", "1")
    assert code == 0
    sample = json.loads((HOME / "tests/sample.json").read_text())
    of_versions = [set(map(type, document.pop("versions").values())) for document in (results, sample)]
    assert of_versions[0] == of_versions[1]
    assert kinds(results) == kinds(sample)


def kinds(value):
    """The keys and the types of a document."""
    match value:
        case dict():
            return {key: kinds(each) for key, each in value.items()}
        case list():
            return [kinds(value[0])] if value else []
        case int() | float() if not isinstance(value, bool):
            return "number"
        case _:
            return type(value).__name__


def test_an_mps_daemon_of_ours_has_its_own_directory_and_is_told_to_quit(bundle, tools):
    play(bundle, tools, "--only", "mps", "--rounds", "1")
    lines = (bundle.parent / "mps").read_text().splitlines()
    directories = {line.split()[0] for line in lines if line.startswith("/")}
    assert [line for line in lines if not line.startswith("/")] == ["get_server_list", "quit"]
    assert len(directories) == 1 and not Path(directories.pop()).parent.exists()


def test_mps_that_can_not_start_is_skipped_with_what_it_said(bundle, tools):
    executable(tools / "nvidia-cuda-mps-control", "echo 'no permission'; exit 1")
    printed, code, results = play(bundle, tools, "--only", "mps")
    outcome, why = outcomes(results, "mps")["figures under MPS"]
    assert (outcome, code) == ("skipped", 0) and "no permission" in why


def test_a_checker_that_finds_nothing_planted_is_not_believed(bundle, tools):
    executable(tools / "compute-sanitizer", "echo 'Device not supported'; exit 0")
    _, _, results = play(bundle, tools, "--only", "sanitizer")
    assert [outcome for outcome, _ in outcomes(results, "sanitizer").values()] == ["skipped", "skipped"]


def test_a_machine_without_a_gpu_is_told_so(bundle, tools):
    executable(tools / "nvidia-smi", "echo 'No devices were found'; exit 6")
    printed, code, results = play(bundle, tools)
    assert code == 1 and results is None and "No devices were found" in printed


def test_floors_that_do_not_build_are_a_failure(bundle, tools):
    executable(tools / "nvcc", "echo 'error: no such thing' >&2; exit 1")
    printed, code, results = play(bundle, tools, "--only", "mps")
    assert code == 1 and outcomes(results, "mps")["floors"][0] == "failed"
