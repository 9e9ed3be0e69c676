// SPDX-License-Identifier: MIT OR Apache-2.0
// Receives every frame of a link until its producer closes it: consumer.c in C++.
//
//     consumer NAME
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <exception>
#include <iostream>
#include <string>

#include <uncopy/link.hpp>

namespace link = uncopy::link;

// One number for all pixels of a frame.
static std::uint64_t sum_of(link::span<const std::uint8_t> pixels) {
    std::uint64_t sum = 0;
    for (const std::uint8_t pixel : pixels) {
        sum = sum * 31 + pixel;
    }
    return sum;
}

int main(int count, char** arguments) try {
    if (count != 2) {
        std::cerr << "usage: consumer NAME\n";
        return 2;
    }
    link::subscribe_options options;
    options.every = true;
    options.restart_timeout = link::nanoseconds(0); // the producer's end is ours
    link::subscriber subscriber(arguments[1], options);
    for (const link::frame& frame : subscriber) {
        const std::string text(frame.meta());
        std::printf("frame %" PRIu64 ": %" PRId64 " x %" PRId64 ", %s, %" PRIu64 " missed, %zu copies, sum %016" PRIx64 "\n",
                    frame.seq(), frame.shape()[1], frame.shape()[0], text.c_str(), frame.missed(), frame.copies().size(),
                    sum_of(frame.bytes()));
    }
    return 0;
} catch (const std::exception& error) {
    std::cerr << "consumer: " << error.what() << '\n';
    return 1;
}
