// SPDX-License-Identifier: MIT OR Apache-2.0
// Arrays of any library in C++17, header-only: nothing to link, nothing but the standard library to include.
//
// | for | header |
// |---|---|
// | who owns memory and until when; DLPack 1.3 in and out | `array/owned.hpp`: `uncopy::array` |
// | memory with dtype, axes, order and place in its type | `array/view.hpp`: `uncopy::view<float, 2, c_order, cuda>` |
// | the CUDA driver at run time; order between streams | `array/driver.hpp` |
// | the vocabulary | `array/dtype.hpp`, `array/device.hpp`, `array/description.hpp`, `array/error.hpp` |
//
// As arguments and results of functions that Python calls: `uncopy/pybind11.hpp` and `uncopy/nanobind.hpp`.
#pragma once

#include "array/description.hpp"
#include "array/device.hpp"
#include "array/driver.hpp"
#include "array/dtype.hpp"
#include "array/error.hpp"
#include "array/owned.hpp"
#include "array/view.hpp"
#include "dlpack.h"
