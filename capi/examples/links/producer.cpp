// SPDX-License-Identifier: MIT OR Apache-2.0
// Publishes pictures that are drawn straight into shared memory: producer.c in C++.
//
//     producer NAME FRAMES
#include <cstdint>
#include <exception>
#include <iostream>
#include <string>

#include <uncopy/link.hpp>

namespace link = uncopy::link;

// A gradient that moves by one with each frame.
static void draw(link::span<std::uint8_t> pixels, std::uint64_t number) {
    std::uint64_t at = 0;
    for (std::uint8_t& pixel : pixels) {
        pixel = static_cast<std::uint8_t>(at++ + number);
    }
}

int main(int count, char** arguments) try {
    if (count != 3) {
        std::cerr << "usage: producer NAME FRAMES\n";
        return 2;
    }
    link::publish_options options;
    options.blocks = true;
    link::publisher publisher(arguments[1], options);
    publisher.wait_for_consumers(1);
    const uncopy_form form = link::image(90, 160, UNCOPY_PIXEL_RGBA8);
    const std::uint64_t frames = std::stoull(arguments[2]);
    for (std::uint64_t number = 1; number <= frames; number++) {
        link::loan slot = publisher.loan(form);
        draw(slot.bytes(), number);
        slot.publish(link::meta().json("{\"number\": " + std::to_string(number) + "}"));
    }
    return 0;
} catch (const std::exception& error) {
    std::cerr << "producer: " << error.what() << '\n';
    return 1;
}
