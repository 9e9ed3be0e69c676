# SPDX-License-Identifier: MIT OR Apache-2.0
"""The package as a whole: what it imports, its errors, its names, its command."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import pytest

import uncopy
from conftest import eventually


def python(script, *options):
    done = subprocess.run([sys.executable, *options, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_it_imports_no_framework_and_hardly_anything():
    script = "import sys; before = set(sys.modules); import uncopy; print(*sorted(set(sys.modules) - before))"
    directory = str(pathlib.Path(uncopy.__file__).parent.parent)
    imported = python(f"import sys; sys.path.insert(0, {directory!r}); {script}", "-S").split()
    ours = {"uncopy", "uncopy._interpreter", "uncopy._uncopy"}
    assert set(imported) <= ours | {"atexit", "_interpreters", "_xxsubinterpreters"}


def test_every_public_name_is_there_and_documented():
    for name in uncopy.__all__:
        thing = getattr(uncopy, name)
        assert name == "__version__" or thing.__doc__, name
    for kind in (uncopy.Publisher, uncopy.Subscriber, uncopy.Frame, uncopy.Slot, uncopy.LinkInfo):
        public = [name for name in vars(kind) if not name.startswith("_")]
        assert [name for name in public if not getattr(kind, name).__doc__] == []


BUILTINS = {
    "InvalidArgument": (ValueError, TypeError),
    "InvalidName": (ValueError,),
    "InvalidLayout": (ValueError,),
    "InvalidDType": (TypeError,),
    "FormMismatch": (ValueError,),
    "Unsupported": (NotImplementedError,),
    "NotFound": (FileNotFoundError,),
    "NameTaken": (FileExistsError,),
    "PermissionDenied": (PermissionError,),
    "TimedOut": (TimeoutError,),
    "Interrupted": (InterruptedError,),
    "Closed": (ConnectionError, ValueError),
    "ProducerLost": (ConnectionError, TimeoutError),
    "Superseded": (ConnectionAbortedError,),
    "Evicted": (ConnectionAbortedError,),
    "TooManyConsumers": (ConnectionRefusedError,),
    "NoFreeSlot": (BlockingIOError,),
    "VersionMismatch": (ConnectionError,),
    "CorruptLink": (ConnectionError,),
    "OutOfMemory": (MemoryError,),
    "OutOfResources": (OSError,),
    "ForkedProcess": (RuntimeError,),
    "ReadOnly": (BufferError,),
    "CopyRequired": (BufferError,),
    "System": (OSError,),
    "ProducerClosed": (ConnectionError, TimeoutError),
    "DeviceLost": (RuntimeError,),
}


def test_every_error_is_ours_and_the_built_in_that_it_resembles():
    classes = {name: value for name, value in vars(uncopy).items() if isinstance(value, type)}
    ours = {name for name, value in classes.items() if issubclass(value, uncopy.Error)}
    assert ours == {"Error", *BUILTINS}
    for code, (name, builtins) in enumerate(BUILTINS.items(), 1):
        error = classes[name]
        assert error.__bases__ == (uncopy.Error, *builtins)
        assert (error.__module__, error.code) == ("uncopy", code)
        assert error.kind.replace("_", "") == name.lower()
        assert str(error("a sentence")) == "a sentence"


def test_a_name_that_is_none_is_refused():
    for name in ("", ".hidden", "a/b", "ä", "x" * 65):
        for open_it in (uncopy.publish, uncopy.subscribe, uncopy.info):
            with pytest.raises(uncopy.InvalidName):
                open_it(name)


def test_links_are_seen_by_who_takes_no_part():
    assert uncopy.list() == []
    with uncopy.publish("b", shape=(2, 3, 4), dtype="uint8", pixel="rgba8", slots=5) as pub, uncopy.publish("a"):
        with uncopy.subscribe("b") as sub:
            with pub.loan():
                pass
            frame = sub.recv()
            names = [link.name for link in uncopy.list()]
            assert names == ["a", "b"]
            info = uncopy.info("b")
            assert (info.answer, info.pid, info.slots, info.published) == ("answering", os.getpid(), 5, 1)
            assert (info.dropped, info.epoch, info.shape, info.dtype, info.pixel) == (0, 1, (2, 3, 4), "uint8", "rgba8")
            assert 0 <= info.last_frame_age <= info.uptime
            assert info.memory_bytes >= 5 * 24
            assert (info.memory, info.gpu, info.mirror) == ("host", None, None)
            assert "python" in info.command or "pytest" in info.command
            (consumer,) = info.consumers
            assert (consumer.place, consumer.pid) == (0, os.getpid())
            assert (consumer.received, consumer.missed, consumer.holds) == (1, 0, 1)
            assert frame.seq == 1
        nothing = uncopy.info("a")
        assert (nothing.shape, nothing.dtype, nothing.last_frame_age, nothing.consumers) == (None, None, None, ())
        assert nothing.memory is None
    with pytest.raises(uncopy.NotFound, match="nobody publishes 'b'"):
        uncopy.info("b")


def test_everything_shows_what_it_is(pair):
    pub, sub = pair
    pub.send(b"abc", meta={"a": 1})
    frame = sub.recv()
    assert repr(pub) == "<uncopy.Publisher 'pair'>"
    assert repr(sub) == "<uncopy.Subscriber 'pair'>"
    assert repr(frame) == "<uncopy.Frame 1 of 'pair': uint8[3]>"
    assert repr(pub.stats) == "PublisherStats(published=1, dropped=0, consumers=1)"
    assert repr(sub.stats) == "SubscriberStats(received=1, missed=0)"
    assert repr(frame.copies[0]) == "CopyRecord(reason='send', source='cpu', target='cpu', len_bytes=3)"
    assert "'pair': uint8[3], 1 frames, answering" in repr(uncopy.info("pair"))
    assert f"process {os.getpid()}, received 1" in repr(uncopy.info("pair").consumers[0])


def test_the_command_runs_in_the_interpreter():
    done = subprocess.run([sys.executable, "-m", "uncopy", "--version"], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, f"uncopy {uncopy.__version__}")
    done = subprocess.run([sys.executable, "-m", "uncopy", "no-such-subcommand"], capture_output=True, text=True)
    assert done.returncode == 2 and "no-such-subcommand" in done.stderr


def run_json(*arguments):
    """Runs a subcommand of the command that comes with the package; returns its JSON objects, one a line or one in all."""
    command = [sys.executable, "-m", "uncopy", *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done
    try:
        return [json.loads(done.stdout)]
    except json.JSONDecodeError:
        return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_package_s_command_is_the_whole_command(runtime_dir):
    with uncopy.publish("camera") as pub:
        pub.send(b"abc")
        report, summary = run_json("hz", "camera", "--count", "1", "--every", "0.1")
        assert (report["links"][0]["state"], summary["kind"]) == ("answering", "summary")
        (view,) = run_json("top", "--once")
        assert [link["name"] for link in view["links"]] == ["camera"]
        (cleaned,) = run_json("clean", "--dry-run")
        assert [left["pid"] for left in cleaned["left"]] == [os.getpid()]
        (script,) = run_json("completions", "bash")
        assert "UNCOPY_COMPLETE" in script["script"]
        (page,) = run_json("man", "top")
        assert page["file_name"] == "uncopy-top.1"
    # Its second process is this interpreter again.
    (measured,) = run_json("bench")
    assert all(figure["samples"] for figure in measured["figures"] if "asleep" in figure["name"])


def test_the_package_s_command_answers_a_shell_that_asks(runtime_dir):
    environment = {**os.environ, "UNCOPY_COMPLETE": "bash", "_CLAP_COMPLETE_INDEX": "2"}
    with uncopy.publish("camera"):
        command = [sys.executable, "-m", "uncopy", "--", "uncopy", "info", "cam"]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert (done.returncode, done.stdout.strip()) == (0, "camera"), done


@pytest.mark.fault("F47")
def test_ctrl_c_ends_the_command_in_order(runtime_dir):
    command = [sys.executable, "-m", "uncopy", "recv", "nobody", "--timeout", "1000"]
    # A shell may have left Ctrl-C ignored for its children.
    script = f"import os, signal; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv({command[0]!r}, {command!r})"
    process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True)
    said = process.stderr.readline()
    assert "nobody" in said
    process.send_signal(signal.SIGINT)
    rest = process.communicate()[1]
    assert process.returncode == 130
    assert "Traceback" not in said + rest


def test_what_the_link_left_is_gone(runtime_dir):
    with uncopy.publish("x") as pub:
        pub.send(b"x")
        assert sorted(os.listdir(runtime_dir)) == ["x.lock", "x.sock"]
    eventually(lambda: os.listdir(runtime_dir) == [], "the names are gone")
    assert runtime_dir.stat().st_mode & 0o777 == 0o700
