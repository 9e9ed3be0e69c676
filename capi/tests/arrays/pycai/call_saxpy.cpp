// SPDX-License-Identifier: MIT OR Apache-2.0
// What the module of pybind11_cuda_array_interface's own tests calls, in place of its `test_kernels.cu`.
#include "saxpy.hpp"

void call_saxpy(float *s, const float *x, const float *y, int a, int length) {
  saxpy::launch(uncopy::driver::current_device(), uncopy::stream::legacy_default(), s, x, y, static_cast<float>(a),
                static_cast<std::uint64_t>(length));
}
