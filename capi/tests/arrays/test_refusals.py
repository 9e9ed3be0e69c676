# SPDX-License-Identifier: MIT OR Apache-2.0
"""What is refused, and in which words: the argument, what it is, what was wanted, which part failed, what to try."""

import types

import numpy as np
import pytest
from capsules import OTHER_NAME, Producer, capsule, floats

UNALIGNED = np.ndarray((1,), np.float32, bytearray(8), offset=1)

WRONG = {
    "dtype": (np.zeros(3), "numpy.ndarray float64[3] on cpu, wanted float32[_] host: dtype is float64"),
    "axes": (np.zeros((1, 3), np.float32), "it has 2 axes, not 1"),
    "both": (np.zeros((1, 3)), "dtype is float64; it has 2 axes, not 1"),
    "big-endian": (np.zeros(3, ">f4"), "big-endian"),
    "unaligned": (UNALIGNED, "is no multiple of 4"),
    "half steps": (np.zeros(3, "f4,i1")["f0"], "no multiple of its elements"),
    "masked": (np.ma.array([1.0]), "lose its mask"),
    "scalar": (np.float32(1), "it is a scalar"),
    "list": ([1.0], "numpy.asarray(value) makes one"),
    "text": (np.array(["a"]), "elements that are no numbers"),
    "objects": (np.array([None]), "elements that are no numbers"),
    "times": (np.array(["2020"], "M8[Y]"), "elements that are no numbers"),
    "records": (np.zeros(3, "f4,i4"), "elements that are no numbers"),
    "long double": (np.zeros(3, np.longdouble), "elements that are no numbers"),
    "nine axes": (np.zeros((1,) * 9, np.float32), "more than 8 axes"),
    "nothing": (object(), "pass an object with __dlpack__"),
}


@pytest.mark.parametrize("name", WRONG)
def test_the_message_says_what_is_wrong(module, name):
    x, said = WRONG[name]
    with pytest.raises(TypeError) as raised:
        module.sum(x)
    text = str(raised.value)
    assert text.startswith("sum(): argument 1: ") and said in text, text


def test_other_arguments_are_converted_as_without_explanations(module):
    x = floats(2)
    module.fill(x, 3)
    module.fill(x, np.float32(4))
    assert x.tolist() == [4, 4]


def test_none_is_refused(module):
    with pytest.raises(TypeError, match="NoneType"):
        module.sum(None)


def test_the_argument_is_named_by_its_keyword(module):
    with pytest.raises(TypeError, match=r"sum\(\): argument x: numpy.ndarray float64\[2\]"):
        module.sum(x=np.zeros(2))


def test_the_argument_that_failed_is_the_one_that_is_named(module):
    x = floats()
    x.flags.writeable = False
    with pytest.raises(TypeError, match="argument 1: numpy.ndarray float32\\[4\\] on cpu, read-only, wanted mut float32\\[_\\] host: it is read-only"):
        module.fill(x, 1.0)
    with pytest.raises(TypeError, match=r"fill\(\): no overload takes \(numpy.ndarray, str\)"):
        module.fill(floats(), "one")
    with pytest.raises(TypeError, match="no overload takes"):
        module.fill()


def test_a_refusal_of_an_earlier_call_is_not_told_again(module):
    x = floats()
    with pytest.raises(TypeError):
        module.of_no_axes(x)
    with pytest.raises(TypeError, match="no overload takes"):
        module.fill(x, "one")


def test_with_several_overloads_the_last_one_that_was_tried_is_told(module):
    with pytest.raises(TypeError, match=r"kind\(\): argument 1: numpy.ndarray int8\[3\]"):
        module.kind(np.zeros(3, np.int8))


def test_without_explanations_the_binding_library_tells_its_signatures(module):
    with pytest.raises(TypeError, match="uncopy.view"):
        module.size_or_none(np.zeros(3))


def test_methods_are_explained_too(module):
    held = module.Holder([1.0])
    assert held.add(floats()) == 6
    with pytest.raises(TypeError, match=r"add\(\): argument 2: numpy.ndarray float64"):
        held.add(np.zeros(2))


@pytest.mark.fault("F21")
def test_what_a_producer_raises_is_told(module):
    class Raises:
        def __dlpack__(self, **_):
            raise BufferError("not today")

    with pytest.raises(TypeError, match=r"did not hand out its memory \(BufferError: not today\)"):
        module.sum(Raises())


@pytest.mark.fault("F21")
@pytest.mark.parametrize(
    "answer, said",
    [
        (lambda: 5, "no capsule but a int"),
        (lambda: capsule(8, OTHER_NAME), "in a capsule that is not DLPack's"),
        (Producer(floats(), major=2).capsule, "another major version of DLPack: 2"),
        (Producer(floats(), ndim=65).capsule, "more than 8 axes"),
        (Producer(floats(), ndim=-1).capsule, "negative number of axes"),
        (Producer(floats(), data=0).capsule, "elements at address 0"),
        (Producer(floats(), shape=None).capsule, "axes without a shape"),
        (Producer(floats(), bits=0).capsule, "items without size"),
    ],
)
def test_absurd_answers_are_refused(module, answer, said):
    class Absurd:
        def __dlpack__(self, **_):
            return answer()

    with pytest.raises(TypeError, match=said):
        module.sum(Absurd())


@pytest.mark.fault("F18")
@pytest.mark.parametrize("change", [{"shape": (2**62,)}, {"shape": (-1,)}, {"shape": (3,), "strides": (2**62,)}, {"shape": (1.5,)}, {"shape": (1,) * 9}, {"data": (0, False)}])
def test_impossible_interfaces_are_refused(module, change):
    described = {**floats().__array_interface__, **change}
    with pytest.raises(TypeError):
        module.sum(types.SimpleNamespace(__array_interface__=described))


def test_torch_tensors_whose_memory_holds_other_numbers_are_refused(module):
    torch = pytest.importorskip("torch")
    c = torch.tensor([1 + 2j, 3 + 4j])
    with pytest.raises((TypeError, ValueError)):
        module.describe(c.conj())
    with pytest.raises(TypeError, match="resolve_neg"):
        module.sum(c.conj().imag)
    with pytest.raises(TypeError, match="resolve_neg"):
        module.sum(c.conj().imag[:1])
    assert module.describe(c) == "complex64[2] on cpu"


def test_a_gradient_matters_to_who_writes_and_keeps_only(module):
    torch = pytest.importorskip("torch")
    t = torch.arange(4.0, requires_grad=True)
    assert module.sum(t) == 6
    with pytest.raises(TypeError, match="detach"):
        module.fill(t, 1)
    with pytest.raises(TypeError):
        module.keep(t)


def test_a_type_that_has_no_protocol_is_remembered_and_an_object_may_still_have_one(module):
    plain = types.SimpleNamespace()
    for _ in range(2):
        with pytest.raises(TypeError, match="can't be taken|can be taken"):
            module.sum(plain)
    plain.__array_interface__ = floats().__array_interface__
    assert module.sum(plain) == 6


def test_errors_of_arrays_become_the_exceptions_of_their_kind(module):
    with pytest.raises(ValueError, match=r"float32\[4\] on cpu, wanted mut float32\[_, _\] host: it has 1 axis, not 2"):
        module.as_matrix(floats())
    with pytest.raises(TypeError, match="unknown dtype 'float'"):
        module.make([2], "float")
    with pytest.raises(ValueError, match="larger than any memory"):
        module.make([2**40, 2**40], "uint8")
    with pytest.raises(ValueError, match="there is no array to return"):
        module.never_made()
