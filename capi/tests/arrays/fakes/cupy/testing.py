# SPDX-License-Identifier: MIT OR Apache-2.0
"""Assertions on arrays of a device."""

import numpy as np


def assert_allclose(actual, desired):
    np.testing.assert_allclose(actual.get(), desired.get())
