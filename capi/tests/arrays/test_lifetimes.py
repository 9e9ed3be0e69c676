# SPDX-License-Identifier: MIT OR Apache-2.0
"""Reference counts, deleters and memory: exact, on any thread, and at the end of the interpreter."""

import gc
import sys
import threading
import weakref

import numpy as np
import pytest
from capsules import Producer, capsule, floats, name_of
from conftest import run_alone

MANY = 100_000


def test_reference_counts_are_exact_after_many_round_trips(module):
    x, described = floats(), module.describe
    before = sys.getrefcount(x), sys.getrefcount(type(x)), sys.getrefcount(x.dtype)
    for _ in range(MANY):
        module.same(x)
    assert (sys.getrefcount(x), sys.getrefcount(type(x)), sys.getrefcount(x.dtype)) == before
    for _ in range(1000):
        described(x)
        module.sum(memoryview(x))
        with pytest.raises(TypeError):
            module.address_c(x)
    assert sys.getrefcount(x) == before[0]


def test_reference_counts_of_tensors_are_exact(module):
    torch = pytest.importorskip("torch")
    t = torch.arange(4.0)
    before = sys.getrefcount(t)
    for _ in range(MANY):
        module.sum(t)
    for _ in range(1000):
        assert module.same(t) is t
    assert sys.getrefcount(t) == before


def test_new_arrays_are_freed_by_whoever_has_them_last(module):
    for made in (module.make_counted, module.make_numpy):
        x = made(8)
        y = np.asarray(x)[2:]
        assert module.count_alive() == 1
        del x
        assert module.count_alive() == 1
        del y
        assert module.count_alive() == 0
    for _ in range(MANY // 10):
        np.from_dlpack(module.make_counted(2))
        memoryview(module.make_counted(2))
        module.make_counted(2).__dlpack__(max_version=(1, 0))
        module.make_counted(2).__dlpack__()
    assert module.count_alive() == 0


def test_frameworks_free_new_arrays(module):
    torch = pytest.importorskip("torch")
    t = module.make_torch(4)
    view = t[1:]
    del t
    assert module.count_alive() == 1 and view.tolist() == [1, 1, 1]
    del view
    assert module.count_alive() == 0
    jax = pytest.importorskip("jax")
    x = module.make_jax(4)
    assert x.tolist() == [1, 1, 1, 1]
    del x
    jax.effects_barrier()
    gc.collect()
    assert module.count_alive() == 0


def test_a_kept_array_keeps_its_object(module):
    class Mine(np.ndarray):
        pass

    x = floats().view(Mine)
    gone = weakref.ref(x)
    module.keep(x)
    del x
    assert gone() is not None and module.count_kept() == 1
    module.forget()
    assert gone() is None


@pytest.mark.fault("F21")
def test_a_deleter_is_called_once_for_each_struct(module):
    for legacy in (False, True):
        x = Producer(floats(), legacy=legacy)
        module.keep(x)
        assert (x.given, x.deleted) == (1, 0)
        module.forget()
        assert (x.given, x.deleted) == (1, 1)


@pytest.mark.fault("F21")
def test_a_deleter_may_be_missing(module):
    x = Producer(floats(), deleter=False)
    module.keep(x)
    module.forget()
    assert module.sum(x) == 6


@pytest.mark.fault("F21")
def test_a_capsule_is_consumed_once(module):
    x = Producer(floats())
    held = x.capsule()
    module.keep(held)
    assert name_of(held) == "used_dltensor_versioned"
    with pytest.raises(TypeError):
        module.keep(held)
    with pytest.raises(TypeError, match="consumed before"):
        module.sum(held)
    module.forget()
    assert x.deleted == 1


def test_a_capsule_that_is_only_read_is_not_consumed(module):
    x = Producer(floats())
    held = x.capsule()
    assert module.sum(held) == module.sum(held) == 6
    assert name_of(held) == "dltensor_versioned" and x.deleted == 0


def test_a_buffer_is_locked_as_long_as_it_is_kept(module):
    memory = bytearray(8)
    module.keep(memory)
    with pytest.raises(BufferError):
        memory.append(1)
    module.forget()
    memory.append(1)
    module.describe(memory)
    memory.append(1)


@pytest.mark.fault("F46")
def test_arrays_are_dropped_where_the_gil_is_not_held(module):
    x = floats()
    before = sys.getrefcount(x)
    for _ in range(100):
        module.keep(x)
    assert sys.getrefcount(x) == before + 100
    module.dropped_elsewhere()
    # The main thread gives the references up as soon as it comes by.
    while sys.getrefcount(x) != before:
        pass
    assert sys.getrefcount(x) == before


@pytest.mark.fault("F46")
def test_arrays_are_taken_and_dropped_by_many_threads(module):
    x = floats(1000)
    before = sys.getrefcount(x)
    wrong = []

    def work():
        for _ in range(2000):
            if module.sum(x) != 499500 or module.same(x) is not x:
                wrong.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and sys.getrefcount(x) == before


@pytest.mark.fault("F46")
@pytest.mark.parametrize("name", ["casters_pybind11", "casters_nanobind"])
def test_arrays_that_are_kept_beyond_the_interpreter_end_quietly(name):
    program = f"""
import numpy as np, {name} as module
for _ in range(10):
    module.keep(np.zeros(100, np.float32))
    module.keep(bytearray(8))
kept = [module.make_counted(3) for _ in range(10)] + [module.make_numpy(3)]
held = np.asarray(module.make_counted(5))
print("end")
"""
    assert run_alone(program) == "end\n"


def test_types_that_come_and_go_are_not_mistaken_for_each_other(module):
    for i in range(2000):
        if i % 2:
            made = type("Array", (), {"__dlpack__": lambda self, **_: Producer(floats()).capsule()})()
            assert module.sum(made) == 6
        else:
            made = type("Nothing", (), {"__slots__": ()})()
            with pytest.raises(TypeError):
                module.sum(made)
