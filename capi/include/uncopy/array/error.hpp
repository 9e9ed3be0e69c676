// SPDX-License-Identifier: MIT OR Apache-2.0
// Why something was refused: one exception type, whose kind is the same number in Rust, C and Python.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace uncopy {

// The kinds that arrays can meet, with the codes of uncopy.h.
enum class error_kind : int {
  invalid_argument = 1,  // an argument is outside what the call accepts
  invalid_layout = 3,    // a shape or its strides are impossible, too large, or do not fit their memory
  invalid_dtype = 4,     // a dtype is unknown, malformed, or not the one that was asked for
  unsupported = 6,       // this system, build or device cannot do it
  out_of_memory = 20,    // there is not enough memory
  read_only = 23,        // writing was asked for, and the memory may only be read
  copy_required = 24,    // it cannot be done without a copy, and the caller forbade copies
  system = 25,           // a call of the operating system or of a driver failed
  device_lost = 27,      // the device failed in a way that ends its use in this process
};

// Thrown by everything in this header family. `what()` says what failed, with which values, then what to try.
class array_error : public std::runtime_error {
 public:
  array_error(error_kind kind, const std::string &message) : std::runtime_error(message), kind_(kind) {}

  error_kind kind() const noexcept { return kind_; }

 private:
  error_kind kind_;
};

}  // namespace uncopy
