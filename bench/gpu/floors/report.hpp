// SPDX-License-Identifier: MIT OR Apache-2.0
// What was measured, as JSON: the form that bench/gpu/README.md describes.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

namespace floors {

/// The value that this share of the sorted samples does not exceed, by nearest rank.
inline double percentile_us(const std::vector<std::uint64_t>& sorted_ns, double share) {
    const double rank = std::ceil(static_cast<double>(sorted_ns.size()) * share);
    const std::size_t at = rank < 1.0 ? 0 : static_cast<std::size_t>(rank) - 1;
    return static_cast<double>(sorted_ns[at]) / 1000.0;
}

class Report {
public:
    /// `card` is the driver's name for it: letters, digits and blanks.
    Report(const char* card, int driver_api, bool is_mps)
        : head_("{\"program\": \"floors\", \"card\": \"" + std::string(card) +
                "\", \"driver_api\": " + std::to_string(driver_api) + ", \"mps\": " + (is_mps ? "true" : "false")) {}

    /// Adds a row; `samples_ns` has at least one.
    void add(const char* name, const char* what, const char* size, const std::uint64_t* samples_ns, std::size_t count) {
        std::vector<std::uint64_t> sorted(samples_ns, samples_ns + count);
        std::sort(sorted.begin(), sorted.end());
        const double p50 = percentile_us(sorted, 0.5), p99 = percentile_us(sorted, 0.99);
        const double min = percentile_us(sorted, 0.0);
        char line[512];
        std::snprintf(line, sizeof line,
                      "{\"name\": \"%s\", \"size\": \"%s\", \"unit\": \"us\", \"p50\": %.3f, \"p99\": %.3f, "
                      "\"min\": %.3f, \"n\": %zu, \"what\": \"%s\"}",
                      name, size, p50, p99, min, count, what);
        rows_.push_back(line);
        std::fprintf(stderr, "  %-18s %-10s p50 %9.2f  p99 %9.2f  min %9.2f us\n", name, size, p50, p99, min);
    }

    void print() const {
        std::printf("%s, \"rows\": [\n", head_.c_str());
        for (std::size_t at = 0; at < rows_.size(); ++at) {
            std::printf("%s%s\n", rows_[at].c_str(), at + 1 == rows_.size() ? "" : ",");
        }
        std::printf("]}\n");
    }

private:
    std::string head_;
    std::vector<std::string> rows_;
};

}  // namespace floors
