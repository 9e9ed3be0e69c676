# SPDX-License-Identifier: MIT OR Apache-2.0
"""What the other process of a test does: each function is a program of its own. They speak in lines."""

import signal
import sys

import uncopy


def say(*words):
    print(*words, flush=True)


def hear():
    return sys.stdin.readline().strip()


def publish_counted(name):
    """Publishes a frame that is filled with its number for each line it hears."""
    with uncopy.publish(name) as pub:
        say("open")
        number = 0
        while hear() == "go":
            number += 1
            with pub.loan((4, 6), "uint8") as slot:
                memoryview(slot).cast("B")[:] = bytes([number]) * 24
            say(slot.seq)


def receive_sums(name, timeout):
    """Says the number and the sum of the bytes of each frame, until there is no producer for some seconds."""
    with uncopy.subscribe(name, timeout=float(timeout)) as sub:
        say("attached")
        for frame in sub:
            say(frame.seq, sum(memoryview(frame).cast("B")))
    say("over")


def hold_one(name):
    """Holds the first frame and says its bytes whenever it is asked to."""
    with uncopy.subscribe(name, timeout=None) as sub:
        say("attached")
        frame = sub.recv()
        say("held")
        while hear():
            say(bytes(frame).hex())


def become_another_program(name):
    """Holds a frame, and runs `exec` without leaving the link."""
    import os

    sub = uncopy.subscribe(name)
    frame = sub.recv()
    say("held", frame.seq)
    hear()
    os.execvp("sh", ["sh", "-c", "echo another; read line"])


def wait_in(where):
    """Waits for something that never comes."""
    # However the test runner was started, Ctrl-C is Python's.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        if where == "subscribe":
            say("waiting")
            uncopy.subscribe("nobody", timeout=None)
        with uncopy.publish("silent") as pub, uncopy.subscribe("silent") as sub:
            say("waiting")
            if where == "recv":
                sub.recv()
            if where == "for":
                for _ in sub:
                    pass
            if where == "wait":
                uncopy.wait([sub])
            if where == "wait_for_consumers":
                pub.wait_for_consumers(2)
        with uncopy.publish("full", slots=2, when_full="block") as pub, uncopy.subscribe("full", read="every"):
            if where == "send":
                while True:
                    pub.send(bytes(8))
            if where == "loan":
                while True:
                    with pub.loan((8,), "uint8"):
                        pass
    except KeyboardInterrupt:
        say("interrupted")


def stray_write(name, how):
    """Writes into a received frame, or into a slot that was published."""
    if how == "torch":
        import torch  # noqa: F401

        with uncopy.subscribe(name) as sub:
            tensor = sub.recv().torch()
            say("writing")
            tensor.fill_(9)
    else:
        with uncopy.publish(name) as pub:
            pub.wait_for_consumers(1)
            with pub.loan((4, 6), "uint8") as slot:
                view = memoryview(slot).cast("B")
                view[:] = bytes([7]) * 24
            say("writing")
            hear()
            view[0] = 9
    say("written")


def send_from_child(start_method):
    """Uses a publisher in a child that multiprocessing starts."""
    import multiprocessing

    with uncopy.publish("parent") as pub, uncopy.subscribe("parent") as sub:
        context = multiprocessing.get_context(start_method)
        answers = context.Queue()
        try:
            child = context.Process(target=send_in_child, args=(pub, answers))
            child.start()
        except TypeError as error:
            say(type(error).__name__, error)
        else:
            say(*answers.get())
            child.join()
        pub.send(b"still here")
        say(bytes(sub.recv()).decode())


def send_in_child(pub, answers):
    try:
        pub.send(b"from the child")
    except uncopy.Error as error:
        answers.put((type(error).__name__, str(error)))
    else:
        answers.put(("sent", "which must not be"))


def fork_and_use():
    """Forks with everything open, uses all of it in the child, and lets the child end in order."""
    import os

    pub = uncopy.publish("forked")
    sub = uncopy.subscribe("forked")
    pub.send(b"before")
    frame = sub.recv()
    slot = pub.loan((4,), "uint8")
    child = os.fork()
    if child == 0:
        uses = [
            lambda: pub.send(b"x"),
            lambda: pub.loan((4,), "uint8"),
            slot.publish,
            sub.recv,
            sub.newest,
            lambda: pub.wait_for_consumers(1),
            lambda: memoryview(frame),
        ]
        for use in uses:
            try:
                use()
            except RuntimeError as error:
                say(type(error).__name__)
        pub.close()
        sub.close()
        # Links of its own are nobody else's business.
        with uncopy.publish("child") as mine, uncopy.subscribe("child") as own:
            mine.send(b"of its own")
            say(bytes(own.recv()).decode())
        sys.exit(0)
    say(os.waitpid(child, 0)[1])
    say(uncopy.info("forked").published)
    slot.publish()
    say(sub.recv().seq)
    pub.close()
    sub.close()


def end_without_close(how):
    """Ends in each of the ways that a program can end, with links open."""
    import threading

    global pub, sub, frame, array
    pub = uncopy.publish("forgotten")
    if how == "exit code":
        sys.exit(3)
    if how == "exception":
        raise RuntimeError("of the program's own")
    sub = uncopy.subscribe("forgotten")
    if how == "views":
        pub.send(b"held")
        frame = sub.recv()
        array = memoryview(frame)
    if how == "thread in recv":
        threading.Thread(target=sub.recv, daemon=True).start()
    if how == "thread in a loop":
        threading.Thread(target=list, args=(sub,), daemon=True).start()
    if how == "busy threads":
        for number in range(4):
            threading.Thread(target=send_for_ever, args=(number,), daemon=True).start()
    if how == "late use":
        import atexit

        class Late:
            def __del__(self):
                use_late("__del__")

        global late
        late = Late()
        # Runs after our own exit handler, which was registered first of all... and so runs last.
        atexit.register(use_late, "atexit")
    if how == "closed":
        sub.close()
        pub.close()
    if how == "signal":
        import os

        signal.signal(signal.SIGTERM, lambda *_: sys.exit(4))
        os.kill(os.getpid(), signal.SIGTERM)


def send_for_ever(number):
    with uncopy.publish(f"busy{number}") as pub:
        say("sending")
        while True:
            pub.send(bytes(1 << 16))


def use_late(where):
    try:
        pub.send(b"late")
        say(where, "sent")
    except uncopy.Error as error:
        say(where, type(error).__name__)


def forget_one():
    """Lets a publisher go without closing it, in the midst of a program."""
    pub = uncopy.publish("gone")
    del pub
    say("gone" in [link.name for link in uncopy.list()])


def give_back_late(link):
    """Leaves a frame to a consumer that lets go of it after the interpreter has ended, on no thread of Python's."""
    import ctypes

    sub = uncopy.subscribe(link)
    late(sub.recv().__dlpack__(max_version=(1, 3)), ctypes)
    say("ending")


def give_back_late_from_extension(directory):
    """As `give_back_late`, with an array of Python's own that an extension passed on."""
    import ctypes

    sys.path.insert(0, directory)
    import blackout

    late(blackout.same(bytearray(b"of python")).__dlpack__(max_version=(1, 3)), ctypes)
    say("ending")


def late(capsule, ctypes):
    """Lets the C library call the deleter of a capsule when the process ends."""
    managed, deleter = taken(capsule, ctypes)
    ctypes.CDLL(None).__cxa_atexit(deleter, ctypes.c_void_p(managed), None)


def taken(capsule, ctypes):
    """Takes a versioned capsule as a consumer does; address of the struct, and its deleter."""
    api = ctypes.pythonapi
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    api.PyCapsule_SetName.argtypes = [ctypes.py_object, ctypes.c_char_p]
    managed = api.PyCapsule_GetPointer(capsule, b"dltensor_versioned")
    assert api.PyCapsule_SetName(capsule, USED) == 0
    # version (8 bytes), manager_ctx, deleter
    address = ctypes.c_void_p.from_address(managed + 16).value
    return managed, ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address)


USED = b"used_dltensor_versioned"


def load_other(site):
    """Another copy of the package, from `site`, beside the one that is loaded."""
    import importlib

    ours = {name: sys.modules.pop(name) for name in list(sys.modules) if name.split(".")[0] == "uncopy"}
    sys.path.insert(0, site)
    try:
        other = importlib.import_module("uncopy")
    finally:
        sys.path.remove(site)
        sys.modules.update(ours)
    assert other.__file__.startswith(site) and other.Publisher is not uncopy.Publisher
    return other


def threads_of_ours(name):
    from pathlib import Path

    names = [path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm")]
    return names.count(name)


def eventually(condition):
    import time

    begun = time.monotonic()
    while not condition():
        assert time.monotonic() - begun < 30, "this never came true"
        time.sleep(0.001)


def two_copies(site):
    """Each copy publishes and the other one receives, small frames and some that are copied by two threads."""
    import os
    from pathlib import Path

    other = load_other(site)
    small, large = bytes(range(100)), bytes(range(256)) * (1 << 15)
    with uncopy.publish("ours") as our_pub, other.subscribe("ours") as other_sub:
        with other.publish("others") as other_pub, uncopy.subscribe("others") as our_sub:
            eventually(lambda: threads_of_ours("uncopy-service") == 2)
            say("services", threads_of_ours("uncopy-service"))
            for content in (small, large, small):
                for pub, sub in ((our_pub, other_sub), (other_pub, our_sub)):
                    pub.send(content)
                    frame = sub.recv(timeout=30)
                    assert bytes(frame) == content and type(frame) is not type(pub)
                    frame.release()
            assert {link.name for link in uncopy.list()} == {link.name for link in other.list()} == {"ours", "others"}
            say("passed")
            has_two_cores = len(os.sched_getaffinity(0)) > 1
            assert threads_of_ours("uncopy-copy") == (2 if has_two_cores else 0)
    eventually(lambda: threads_of_ours("uncopy-service") == 0)
    assert "memfd:uncopy" not in Path("/proc/self/maps").read_text()
    say("closed")


def fork_two_copies(site):
    """Forks with links of both copies open, and uses them in the child."""
    import os

    other = load_other(site)
    our_pub, other_sub = uncopy.publish("ours"), other.subscribe("ours")
    our_pub.send(b"before")
    held = other_sub.recv()
    child = os.fork()
    if child == 0:
        told = []
        for use in (lambda: our_pub.send(b"x"), other_sub.recv):
            try:
                use()
            except RuntimeError as error:
                told.append(type(error).__name__)
        say(*told)
        our_pub.close()
        other_sub.close()
        with other.publish("child") as pub, uncopy.subscribe("child") as sub:
            pub.send(b"of its own")
            say(bytes(sub.recv()).decode())
        sys.stdout.flush()
        os._exit(0)
    say(os.waitpid(child, 0)[1])
    assert bytes(held) == b"before"
    our_pub.send(b"still here")
    say(bytes(other_sub.recv()).decode())
    other_sub.close()
    our_pub.close()


def stray_write_in_two_copies(site, where):
    """Holds a frame of each copy, and writes into one of them."""
    import ctypes

    other = load_other(site)
    frames = {}
    for name, pub_of, sub_of in (("first", other, uncopy), ("second", uncopy, other)):
        pub, sub = pub_of.publish(name), sub_of.subscribe(name)
        pub.send(bytes(64))
        frames[name] = (sub.recv(), pub, sub)
    address = frames[where][0].__array_interface__["data"][0]
    say("writing")
    ctypes.memset(address, 9, 1)
    say("written")


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
