// SPDX-License-Identifier: MIT OR Apache-2.0
// A program is told what it waits for, once, some seconds into a wait for a producer.
#include <cstdio>
#include <cstdlib>
#include <string>

#include <uncopy/link.hpp>

namespace link = uncopy::link;

int main() {
    const link::publisher other("camera");
    std::string told;
    link::subscribe_options options;
    options.timeout = link::forever;
    options.notice = [&](std::string_view text) { told += text; };
    options.keep_waiting = [&] { return told.empty(); };
    try {
        link::subscriber("camrea", options);
    } catch (const link::interrupted&) {
        std::puts(told.c_str());
        return told.find("camrea") != std::string::npos && told.find("camera") != std::string::npos ? 0 : 1;
    }
    return 1;
}
