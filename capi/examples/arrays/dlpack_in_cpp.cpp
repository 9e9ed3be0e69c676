// SPDX-License-Identifier: MIT OR Apache-2.0
// Arrays between two C++ libraries, by DLPack: no Python, nothing linked.
#include <uncopy.hpp>

#include <cstdio>
#include <utility>
#include <vector>

// A library that hands an array out. Whoever takes the struct calls its deleter.
static DLManagedTensorVersioned *produce() {
  uncopy::array made = uncopy::array::from_vector(std::vector<float>{1, 2, 3, 4, 5, 6}, {2, 3});
  return made.to_dlpack();
}

int main() {
  // Another one that takes it, without a copy.
  const uncopy::array taken = uncopy::array::from_dlpack(produce());
  std::printf("%s\n", uncopy::text_of(taken.describe()).c_str());
  const auto rows = taken.view<const float, 2, uncopy::c_order>();
  std::printf("row sums:");
  for (std::int64_t i = 0; i < rows.extent(0); ++i)
    std::printf(" %g", static_cast<double>(rows(i, 0) + rows(i, 1) + rows(i, 2)));
  std::printf("\n");
}
