// SPDX-License-Identifier: MIT OR Apache-2.0
// What the two processes share: words that one writes and the other waits for, and what both have measured.
//
// Frames are numbered from 1 through all steps, so that no word ever has a value twice.
#pragma once

#include <cuda.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <new>

#include "options.hpp"

namespace floors {

/// A word with a cache line of its own: who spins on it is not slowed by stores to another.
struct alignas(64) Word {
    std::atomic<std::uint32_t> value{0};
};
static_assert(std::atomic<std::uint32_t>::is_always_lock_free && sizeof(std::atomic<std::uint32_t>) == 4,
              "the card and the futex see a plain 32-bit word");

struct Page {
    /// The producer: its memory on the card can be opened.
    Word shared;
    /// The consumer: it is ready for the step of this number, counted from 1.
    Word ready;
    /// The producer's CPU: its call for this frame has returned.
    Word published;
    /// The card: everything before it in the producer's stream is done.
    Word written;
    /// The consumer: it is done with this frame.
    Word seen;
    /// Set to 1 when the consumer has ended well.
    Word ended;
    /// Either: it can't go on, and neither can the other.
    Word failed;
    /// CLOCK_MONOTONIC, just before the producer's call.
    std::atomic<std::uint64_t> begun_ns{0};
    /// Words of frames that were not what the producer had written.
    std::atomic<std::uint32_t> wrong_words{0};
    /// The frame on the card. Written before the first step.
    CUipcMemHandle frame{};
    std::uint64_t consumer_ns[MOST_FRAMES]{};
    std::uint64_t producer_ns[MOST_FRAMES]{};
};

constexpr std::size_t OS_PAGE = 4096;
constexpr std::size_t PAGE_LEN_BYTES = (sizeof(Page) + OS_PAGE - 1) / OS_PAGE * OS_PAGE;

/// Memory that a child of this process shares with it.
inline void* shared_memory(std::size_t len_bytes) {
    void* memory = mmap(nullptr, len_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        std::perror("mmap of shared memory");
        std::exit(3);
    }
    return memory;
}

inline std::uint64_t now_ns() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<std::uint64_t>(now.tv_sec) * 1000000000u + static_cast<std::uint64_t>(now.tv_nsec);
}

inline void sleep_until_ns(std::uint64_t at_ns) {
    timespec until;
    until.tv_sec = static_cast<time_t>(at_ns / 1000000000u);
    until.tv_nsec = static_cast<long>(at_ns % 1000000000u);
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr) != 0) {
    }
}

/// Ends this process, and the other as soon as it looks.
[[noreturn]] inline void give_up(Page& page) {
    page.failed.value.store(1);
    _exit(3);
}

inline void end_if_other_failed(const Page& page) {
    if (page.failed.value.load(std::memory_order_relaxed) != 0) _exit(3);
}

/// Spins until the word has this value.
inline void spin_until(const Page& page, const Word& word, std::uint32_t value) {
    // pairs with: the card's cuStreamWriteValue32, and `tell`
    while (word.value.load(std::memory_order_acquire) != value) end_if_other_failed(page);
}

inline void tell(Word& word, std::uint32_t value) {
    word.value.store(value, std::memory_order_release);  // pairs with: spin_until, sleep_until
}

static inline long futex(Word& word, int operation, std::uint32_t value) {
    // Not the private kind: the sleeper is another process.
    return syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word.value), operation, value, nullptr, nullptr, 0);
}

/// Sleeps in the kernel until the word has this value.
inline void sleep_until(const Page& page, Word& word, std::uint32_t value) {
    for (;;) {
        const std::uint32_t now = word.value.load(std::memory_order_acquire);  // pairs with: tell
        if (now == value) return;
        end_if_other_failed(page);
        futex(word, FUTEX_WAIT, now);
    }
}

inline void wake(Word& word) {
    futex(word, FUTEX_WAKE, INT_MAX);
}

}  // namespace floors
