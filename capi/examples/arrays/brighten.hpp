// SPDX-License-Identifier: MIT OR Apache-2.0
// Functions over arrays that know nothing of Python: both bindings of the example share them.
#pragma once

#include <uncopy/array.hpp>
#include <uncopy/python/give.hpp>

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <vector>

// Any uint8 image [height, width, channels] in host memory, of any strides; written in place.
inline void brighten(uncopy::view<std::uint8_t, 3> image, int by) {
  for (std::int64_t y = 0; y < image.extent(0); ++y) {
    for (std::int64_t x = 0; x < image.extent(1); ++x) {
      for (std::int64_t c = 0; c < image.extent(2); ++c)
        image(y, x, c) = static_cast<std::uint8_t>(std::clamp(image(y, x, c) + by, 0, 255));
    }
  }
}

// New memory, that NumPy owns from here on.
inline uncopy::as_numpy ramp(int count) {
  uncopy::array made = uncopy::array::empty<float>({count});
  const auto values = made.view<float, 1>();
  for (int i = 0; i < count; ++i) values(i) = static_cast<float>(i);
  return made;
}

// An array of the framework that the argument is of.
inline uncopy::as_like doubled(uncopy::view<const float, 1> x) {
  uncopy::array made = uncopy::array::empty<float>({x.extent(0)});
  const auto values = made.view<float, 1>();
  for (std::int64_t i = 0; i < x.extent(0); ++i) values(i) = 2 * x(i);
  return {std::move(made), x};
}

// Memory on a CUDA device, written in the stream that its library works in: nothing has to wait for it.
inline void overwrite(uncopy::view<float, 1, uncopy::c_order, uncopy::cuda> x, const std::vector<float> &values) {
  if (static_cast<std::int64_t>(values.size()) != x.extent(0))
    throw std::invalid_argument("another number of values than of elements");
  uncopy::driver::copy(x.device().id, x.data(), values.data(), values.size() * sizeof(float),
                       uncopy::driver::direction::host_to_device, x.stream());
}
