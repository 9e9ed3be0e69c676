// SPDX-License-Identifier: MIT OR Apache-2.0
#include "check.hpp"

#include <cstring>

int main(int count, char **names) {
  if (count == 2 && std::strcmp(names[1], "--list") == 0) {
    for (const check::test &one : check::all()) std::puts(one.name);
    return 0;
  }
  int ran = 0;
  for (const check::test &one : check::all()) {
    bool asked = false;
    for (int i = 1; i < count; ++i) asked |= std::strcmp(names[i], one.name) == 0;
    if (!asked) continue;
    ++ran;
    try {
      one.body();
    } catch (const std::exception &error) {
      std::fprintf(stderr, "%s: %s\n", one.name, error.what());
      return 1;
    }
  }
  return ran == count - 1 ? 0 : 2;
}
