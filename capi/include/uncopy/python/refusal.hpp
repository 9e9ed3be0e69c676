// SPDX-License-Identifier: MIT OR Apache-2.0
// Why an object was not taken, in words that complete "the numpy.ndarray ...". Costs nothing until it is read.
#pragma once

#include "object.hpp"

#include <string>

namespace uncopy::python {

struct refusal {
  const char *what = nullptr;  // lives as long as the program
  std::string detail;
  bool names_type = false;  // completes "numpy.float32 ...", without "the"

  // Each returns false, so that `return why.because(...)` refuses.
  bool because(const char *text) noexcept {
    what = text;
    return false;
  }
  bool because(const char *text, std::string more) {
    detail = std::move(more);
    return because(text);
  }
  // Takes the exception that is set.
  bool because_of_exception(const char *text) {
    const std::string said = take_exception();
    return because(text, said.empty() ? "" : " (" + said + ")");
  }

  std::string text() const { return what ? what + detail : detail; }
};

}  // namespace uncopy::python
