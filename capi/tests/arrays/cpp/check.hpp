// SPDX-License-Identifier: MIT OR Apache-2.0
// Tests that are sentences: `TEST(an_array_that_was_moved_from_is_none) { CHECK(...); }`. The program runs those that it is
// given by name, and lists them with `--list`.
#pragma once

#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

namespace check {

struct test {
  const char *name;
  void (*body)();
};

inline std::vector<test> &all() {
  static std::vector<test> tests;
  return tests;
}

struct added {
  added(const char *name, void (*body)()) { all().push_back({name, body}); }
};

inline void that(bool holds, const char *what, const char *file, int line) {
  if (!holds) throw std::runtime_error(std::string(file) + ":" + std::to_string(line) + ": not so: " + what);
}

// The message of the error of this type that `body` throws.
template <class Error, class F>
std::string message_of(F &&body) {
  try {
    body();
  } catch (const Error &error) {
    return error.what();
  }
  throw std::runtime_error("nothing was thrown");
}

inline bool contains(const std::string &text, const std::string &part) {
  if (text.find(part) == std::string::npos) throw std::runtime_error("\"" + text + "\" does not say \"" + part + "\"");
  return true;
}

}  // namespace check

#define TEST(name)                                      \
  static void name();                                   \
  static const check::added name##_added(#name, &name); \
  static void name()
#define CHECK(...) check::that((__VA_ARGS__), #__VA_ARGS__, __FILE__, __LINE__)
