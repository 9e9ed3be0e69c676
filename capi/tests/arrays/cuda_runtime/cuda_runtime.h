// SPDX-License-Identifier: MIT OR Apache-2.0
// As much of the CUDA runtime as the public tests of pybind11_cuda_array_interface call, over the driver: they can be built
// where there is no toolkit. For tests only.
#pragma once

#include <cstddef>

#include <uncopy/array/driver.hpp>

#define __global__

enum cudaError_t : int { cudaSuccess = 0, cudaErrorInvalidValue = 1 };
enum cudaMemcpyKind {
  cudaMemcpyHostToHost,
  cudaMemcpyHostToDevice,
  cudaMemcpyDeviceToHost,
  cudaMemcpyDeviceToDevice,
  cudaMemcpyDefault
};

namespace fake_runtime {

inline cudaError_t &last() {
  static thread_local cudaError_t code = cudaSuccess;
  return code;
}

inline cudaError_t call(int code) { return last() = static_cast<cudaError_t>(code); }

inline unsigned long long at(const void *pointer) { return reinterpret_cast<std::uintptr_t>(pointer); }

}  // namespace fake_runtime

inline cudaError_t cudaMalloc(void **out, std::size_t bytes) {
  const uncopy::driver::scope in(uncopy::driver::current_device());
  unsigned long long found = 0;
  const int code = in.calls().cuMemAlloc_v2(&found, bytes);
  *out = reinterpret_cast<void *>(static_cast<std::uintptr_t>(found));
  return fake_runtime::call(code);
}

inline cudaError_t cudaFree(void *memory) {
  const uncopy::driver::scope in(uncopy::driver::current_device());
  return fake_runtime::call(memory ? in.calls().cuMemFree_v2(fake_runtime::at(memory)) : 0);
}

inline cudaError_t cudaMemcpy(void *to, const void *from, std::size_t bytes, cudaMemcpyKind kind) {
  using uncopy::driver::direction;
  const direction way = kind == cudaMemcpyHostToDevice   ? direction::host_to_device
                        : kind == cudaMemcpyDeviceToHost ? direction::device_to_host
                                                         : direction::device_to_device;
  try {
    uncopy::driver::copy(uncopy::driver::current_device(), to, from, bytes, way, uncopy::stream::legacy_default());
  } catch (const uncopy::array_error &) {
    return fake_runtime::call(cudaErrorInvalidValue);
  }
  return fake_runtime::call(0);
}

inline cudaError_t cudaGetLastError() {
  const cudaError_t code = fake_runtime::last();
  fake_runtime::last() = cudaSuccess;
  return code;
}

inline const char *cudaGetErrorName(cudaError_t code) {
  const char *name = nullptr;
  uncopy::driver::need().cuGetErrorName(code, &name);
  return name ? name : "unrecognized error code";
}
