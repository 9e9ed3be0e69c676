// SPDX-License-Identifier: MIT OR Apache-2.0
// Producer and consumer on processors of their own, if the runner says so: two that spin as the two threads of one core take
// up to twice as long for everything.
#pragma once

#include <sched.h>

#include <cstdio>
#include <cstdlib>

namespace floors {

enum class Place { PRODUCER, CONSUMER };

/// Binds this process to its processors: `UNCOPY_BENCH_CPUS` is such as `0-3/4-7`. Does nothing where it is not set.
inline void take_place(Place place) {
    const char* text = std::getenv("UNCOPY_BENCH_CPUS");
    if (!text) return;
    unsigned first[2], last[2];
    if (std::sscanf(text, "%u-%u/%u-%u", &first[0], &last[0], &first[1], &last[1]) != 4) {
        std::fprintf(stderr, "UNCOPY_BENCH_CPUS is '%s', not such as 0-3/4-7\n", text);
        std::exit(2);
    }
    const int at = place == Place::CONSUMER;
    cpu_set_t set;
    CPU_ZERO(&set);
    for (unsigned cpu = first[at]; cpu <= last[at] && cpu < CPU_SETSIZE; ++cpu) CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0) {
        std::perror("sched_setaffinity");
        std::exit(3);
    }
}

}  // namespace floors
