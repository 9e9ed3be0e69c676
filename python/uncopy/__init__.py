# SPDX-License-Identifier: MIT OR Apache-2.0
"""Frames of one process seen by others, without a copy.

    with uncopy.publish("camera") as pub:
        pub.send(array)                                    # any array: one copy, into shared memory
        with pub.loan((1080, 1920, 4), "uint8") as slot:   # or write straight into it: no copy
            numpy.asarray(slot)[...] = ...

    with uncopy.subscribe("camera") as sub:                # in another process
        for frame in sub:
            frame.numpy(), frame.torch(), frame.jax()      # views, no copy; unchanging while held

Frames on an NVIDIA GPU are sent and received the same way: pub.send(cuda_tensor), pub.loan(..., device="cuda:0"),
frame.torch(), frame.cupy(); frame.numpy() copies such a frame to the host. See docs/concepts/devices.md, and
docs/python.md for every call with its parameters and defaults.

Every error that uncopy finds is an uncopy.Error, and also the built-in that it resembles (TimeoutError,
PermissionError, ...). An argument of another type than a function takes is a TypeError, as everywhere in Python.
No framework is imported unless it is asked for by name.
"""

from . import _interpreter

_interpreter.refuse_sub_interpreter()

from ._uncopy import (  # noqa: E402
    Array,
    Closed,
    ConsumerInfo,
    CopyRecord,
    CopyRequired,
    CorruptLink,
    Description,
    DeviceLost,
    Error,
    ErrorRecord,
    Evicted,
    ForkedProcess,
    FormMismatch,
    Frame,
    Interrupted,
    InvalidArgument,
    InvalidDType,
    InvalidLayout,
    InvalidName,
    LinkInfo,
    NameTaken,
    NoFreeSlot,
    NotFound,
    OutOfMemory,
    OutOfResources,
    PermissionDenied,
    ProducerClosed,
    ProducerLost,
    Publisher,
    PublisherStats,
    ReadOnly,
    Slot,
    Subscriber,
    SubscriberStats,
    Superseded,
    System,
    TimedOut,
    TooManyConsumers,
    Unsupported,
    VersionMismatch,
    __version__,
    describe,
    errors,
    info,
    list,
    publish,
    subscribe,
    wait,
    wrap,
)

__all__ = [
    "Array",
    "Closed",
    "ConsumerInfo",
    "CopyRecord",
    "CopyRequired",
    "CorruptLink",
    "Description",
    "DeviceLost",
    "Error",
    "ErrorRecord",
    "Evicted",
    "ForkedProcess",
    "FormMismatch",
    "Frame",
    "Interrupted",
    "InvalidArgument",
    "InvalidDType",
    "InvalidLayout",
    "InvalidName",
    "LinkInfo",
    "NameTaken",
    "NoFreeSlot",
    "NotFound",
    "OutOfMemory",
    "OutOfResources",
    "PermissionDenied",
    "ProducerClosed",
    "ProducerLost",
    "Publisher",
    "PublisherStats",
    "ReadOnly",
    "Slot",
    "Subscriber",
    "SubscriberStats",
    "Superseded",
    "System",
    "TimedOut",
    "TooManyConsumers",
    "Unsupported",
    "VersionMismatch",
    "__version__",
    "describe",
    "errors",
    "info",
    "list",
    "publish",
    "subscribe",
    "wait",
    "wrap",
]


def __getattr__(name):
    # Not before it is used: asyncio takes longer to import than all of this.
    if name == "aio":
        import importlib

        return importlib.import_module("uncopy.aio")
    raise AttributeError(f"module 'uncopy' has no attribute '{name}'")
