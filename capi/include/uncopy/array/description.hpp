// SPDX-License-Identifier: MIT OR Apache-2.0
// What an array is, without who owns it: address, dtype, shape, strides, device, read-only, stream. Plain data.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>

#include "device.hpp"
#include "dtype.hpp"

namespace uncopy {

// An array has at most so many axes.
inline constexpr int max_ndim = 8;

struct description {
  void *data = nullptr;  // the element of index 0 along every axis; strides may lead below it
  uncopy::dtype dtype;
  uncopy::device device;
  int ndim = 0;
  bool read_only = false;
  bool has_stream = false;         // the content is made in `stream`; without one it is there already
  uncopy::stream stream;           // work that is put here may read it
  std::int64_t shape[max_ndim];    // as many as there are axes; the rest is undefined
  std::int64_t strides[max_ndim];  // in elements

  // Leaves shape and strides alone: clearing them costs more than taking an array.
  description() noexcept {}

  std::int64_t size() const noexcept {
    std::int64_t product = 1;
    for (int axis = 0; axis < ndim; ++axis) product *= shape[axis];
    return product;
  }
  // Bytes of all elements, packed.
  std::size_t size_bytes() const noexcept {
    return (static_cast<std::size_t>(size()) * dtype.bits * dtype.lanes + 7) / 8;
  }

  // Strides of axes that are never stepped along don't count.
  bool is_c_contiguous() const noexcept {
    std::int64_t step = 1;
    for (int axis = ndim - 1; axis >= 0; --axis) {
      if (shape[axis] == 0) return true;
      if (shape[axis] != 1 && strides[axis] != step) return size() == 0;
      step *= shape[axis];
    }
    return true;
  }
  bool is_f_contiguous() const noexcept {
    std::int64_t step = 1;
    for (int axis = 0; axis < ndim; ++axis) {
      if (shape[axis] == 0) return true;
      if (shape[axis] != 1 && strides[axis] != step) return size() == 0;
      step *= shape[axis];
    }
    return true;
  }

  // Strides that step nowhere: for a shape that is only counted, since it may overflow.
  void set_no_order() noexcept {
    for (int axis = 0; axis < ndim; ++axis) strides[axis] = 0;
  }
  void set_c_order() noexcept {
    std::int64_t step = 1;
    for (int axis = ndim - 1; axis >= 0; --axis) {
      strides[axis] = step;
      step *= shape[axis] > 0 ? shape[axis] : 1;
    }
  }
};

// "float32[480, 640, 3] on cuda:0", with strides when it is not in C order, and "read-only".
inline std::string text_of(const description &array) {
  auto listed = [&](const std::int64_t *values) {
    std::string text = "[";
    for (int axis = 0; axis < array.ndim; ++axis) text += (axis ? ", " : "") + std::to_string(values[axis]);
    return text + "]";
  };
  std::string text = name_of(array.dtype) + listed(array.shape) + " on " + name_of(array.device);
  if (!array.is_c_contiguous()) text += ", strides " + listed(array.strides);
  return array.read_only ? text + ", read-only" : text;
}

namespace detail {

inline bool multiply(std::int64_t a, std::int64_t b, std::int64_t &out) noexcept {
#if defined(__GNUC__) || defined(__clang__)
  return !__builtin_mul_overflow(a, b, &out);
#else
  constexpr std::int64_t most = (std::numeric_limits<std::int64_t>::max)(),
                         least = (std::numeric_limits<std::int64_t>::min)();
  if (a != 0 && b != 0) {
    if (a == -1              ? b == least
        : b == -1            ? a == least
        : (a > 0) == (b > 0) ? (a > 0 ? a > most / b : a < most / b)
                             : (a > 0 ? b < least / a : a < least / b)) {
      return false;
    }
  }
  out = a * b;
  return true;
#endif
}

inline bool add(std::int64_t a, std::int64_t b, std::int64_t &out) noexcept {
  constexpr std::int64_t most = (std::numeric_limits<std::int64_t>::max)(),
                         least = (std::numeric_limits<std::int64_t>::min)();
  if (b > 0 ? a > most - b : a < least - b) return false;
  out = a + b;
  return true;
}

}  // namespace detail

// What is impossible about a description that a stranger gave, or null. Nothing else looks at numbers again.
inline const char *problem_of(const description &array) noexcept {
  if (array.dtype.bits == 0 || array.dtype.lanes == 0) return "items without size";
  std::int64_t items = 1, below = 0, above = 0;
  bool empty = false;
  for (int axis = 0; axis < array.ndim; ++axis) {
    if (array.shape[axis] < 0) return "a negative extent";
    if (array.shape[axis] == 0) empty = true;
  }
  if (empty) return nullptr;
  for (int axis = 0; axis < array.ndim; ++axis) {
    std::int64_t reach = 0;
    if (!detail::multiply(items, array.shape[axis], items)) return "a shape larger than any memory";
    if (!detail::multiply(array.shape[axis] - 1, array.strides[axis], reach)) return "strides larger than any memory";
    std::int64_t &end = reach < 0 ? below : above;
    if (!detail::add(end, reach, end)) return "strides larger than any memory";
  }
  const std::int64_t item_bits = std::int64_t{array.dtype.bits} * array.dtype.lanes;
  std::int64_t bits = 0, span = 0;
  if (!detail::multiply(items, item_bits, bits)) return "a shape larger than any memory";
  if (!detail::add(above, -(below + 1), span) || !detail::multiply(span, item_bits, bits))
    return "strides larger than any memory";
  if (array.data == nullptr) return "elements at address 0";
  return nullptr;
}

}  // namespace uncopy
