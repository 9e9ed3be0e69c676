// SPDX-License-Identifier: MIT OR Apache-2.0
// The command line, and the list of steps that it asks for.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "rows.hpp"

namespace floors {

constexpr unsigned MOST_FRAMES = 1u << 14;

constexpr const char* USAGE =
    "floors [--sizes NAME,...] [--rows NAME,...] [--frames N] [--paced-frames N] [--pause-us N] [--limit-s N]\n"
    "\n"
    "Measures what a card and its driver take at least to hand a frame to another process. Prints JSON.\n"
    "  --sizes         512_u8 ... 4k_f32 (all)\n"
    "  --rows          names of rows, as in the results (all)\n"
    "  --frames        of each row (400)\n"
    "  --paced-frames  of each row that is paced (180: three seconds)\n"
    "  --pause-us      between two frames of a row that is not paced (0)\n"
    "  --limit-s       both processes are ended after this long (300)\n";

struct Options {
    std::vector<Step> steps;
    unsigned frames = 400;
    unsigned paced_frames = 180;
    unsigned pause_us = 0;
    unsigned limit_s = 300;
};

/// Ends the process: what was typed can't be understood.
[[noreturn]] inline void refuse(const std::string& why) {
    std::fprintf(stderr, "%s\n\n%s", why.c_str(), USAGE);
    std::exit(2);
}

inline unsigned number_of(const char* text, unsigned most) {
    char* end = nullptr;
    const unsigned long value = std::strtoul(text, &end, 10);
    if (end == text || *end != '\0' || value > most) {
        refuse(std::string(text) + " is no number up to " + std::to_string(most));
    }
    return static_cast<unsigned>(value);
}

/// The entries of `table` whose names stand in `list`, in the order of the table; all where the list is empty.
template <typename Entry, std::size_t COUNT>
std::vector<const Entry*> chosen_of(const Entry (&table)[COUNT], const std::string& list) {
    std::vector<const Entry*> chosen;
    std::size_t named = list.empty() ? COUNT : 1;
    for (const char letter : list) named += letter == ',';
    for (const Entry& entry : table) {
        const std::string within = "," + list + ",", name = "," + std::string(entry.name) + ",";
        if (list.empty() || within.find(name) != std::string::npos) chosen.push_back(&entry);
    }
    if (chosen.size() != named) refuse("'" + list + "' names something that there is not, or something twice");
    return chosen;
}

/// Every row with every size; a row that knows no size comes once.
inline std::vector<Step> steps_of(const std::string& rows, const std::string& sizes) {
    std::vector<Step> steps;
    for (const About* about : chosen_of(ROWS, rows)) {
        if (!about->is_sized) {
            steps.push_back({about, NO_SIZE, sizeof(unsigned)});
            continue;
        }
        for (const Size* size : chosen_of(SIZES, sizes)) steps.push_back({about, size->name, size->len_bytes});
    }
    return steps;
}

inline Options options_of(int count, char** words) {
    Options options;
    std::string rows, sizes;
    for (int at = 1; at < count; at += 2) {
        const std::string name = words[at];
        if (name == "--help") {
            std::fputs(USAGE, stdout);
            std::exit(0);
        }
        if (at + 1 == count) refuse(name + " needs a value");
        const char* value = words[at + 1];
        if (name == "--sizes") sizes = value;
        else if (name == "--rows") rows = value;
        else if (name == "--frames") options.frames = number_of(value, MOST_FRAMES);
        else if (name == "--paced-frames") options.paced_frames = number_of(value, MOST_FRAMES);
        else if (name == "--pause-us") options.pause_us = number_of(value, 1000000);
        else if (name == "--limit-s") options.limit_s = number_of(value, 86400);
        else refuse("there is no option " + name);
    }
    if (options.frames == 0 || options.paced_frames == 0) refuse("no frames, no figures");
    options.steps = steps_of(rows, sizes);
    return options;
}

}  // namespace floors
