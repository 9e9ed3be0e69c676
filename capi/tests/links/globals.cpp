// SPDX-License-Identifier: MIT OR Apache-2.0
// Owners that end after main, when the thread-local state of the main thread is gone already.
#include <cstdio>
#include <optional>

#include <uncopy/link.hpp>

namespace link = uncopy::link;

static std::optional<link::publisher> out;
static std::optional<link::subscriber> in;
static std::optional<link::frame> frame;

// Made before the owners, and so ended after them.
struct last_word {
    ~last_word() { std::puts("done"); }
};
static last_word word;

int main() {
    out.emplace("globals");
    in.emplace("globals");
    out->loan(link::image(2, 3, UNCOPY_PIXEL_RGBA8)).publish();
    frame.emplace(in->recv());
    // They end in the order that hurts most.
    static struct end_owners {
        ~end_owners() {
            out.reset();
            in.reset();
            frame.reset();
            uncopy_frame_destroy(reinterpret_cast<uncopy_frame*>(0x1234));
        }
    } at_exit;
    return 0;
}
