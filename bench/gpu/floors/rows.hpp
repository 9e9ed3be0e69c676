// SPDX-License-Identifier: MIT OR Apache-2.0
// What is measured, and on frames of which size.
#pragma once

#include <cstddef>

namespace floors {

/// One way to hand a frame over, or one thing that every way is made of.
enum class Row {
    CopyKnown,
    CopyThenKernel,
    CopyStreamWaits,
    FillKnown,
    FillRingKnown,
    CopyThenHost,
    MirrorKnown,
    SignalKnown,
    CopyKnown60Hz,
    Futex60Hz,
    CopyDone,
    HostCopyDone,
    PeerCopyKnown,
};

/// How a row is called, in the results and on the command line.
struct About {
    Row row;
    const char* name;
    /// The name under which the time of the producer's call is reported, or null.
    const char* call;
    /// False where the size of the frame plays no part.
    bool is_sized;
    /// True where frames come sixty times a second and not one after the other.
    bool is_paced;
    const char* what;
};

constexpr About ROWS[] = {
    {Row::CopyKnown, "copy_known", "copy_call", true, false,
     "copy on the card and a written word; the consumer's CPU reads the word"},
    {Row::CopyThenKernel, "copy_then_kernel", nullptr, true, false,
     "the same, then a kernel of the consumer's that reads the frame"},
    {Row::CopyStreamWaits, "copy_stream_waits", nullptr, true, false,
     "copy and a written word; the consumer's stream waits for the word"},
    {Row::FillKnown, "fill_known", "fill_call", true, false,
     "a kernel that fills the shared memory and a written word; the consumer's CPU reads the word"},
    {Row::FillRingKnown, "fill_ring_known", "fill_ring_call", true, false,
     "the same, into four places in turn: a slot that somebody may read is not written, and what is written anew each "
     "time is not in the card's cache"},
    {Row::CopyThenHost, "copy_then_host", nullptr, true, false,
     "as copy_known, then a copy into the consumer's pinned memory"},
    {Row::MirrorKnown, "mirror_known", nullptr, true, false,
     "a copy into pinned memory that both share and a written word; the consumer's CPU reads the word"},
    {Row::SignalKnown, "signal_known", "signal_call", false, false,
     "four bytes set on the card and a written word; the consumer's CPU reads the word"},
    {Row::CopyKnown60Hz, "copy_known_60hz", "copy_call_60hz", true, true, "copy_known, 60 times a second"},
    {Row::Futex60Hz, "futex_60hz", nullptr, false, true,
     "a futex wake of a sleeping process, 60 times a second, without any GPU"},
    {Row::CopyDone, "copy_done", nullptr, true, false, "copy on the card, waited for in the same process"},
    {Row::HostCopyDone, "host_copy_done", nullptr, true, false,
     "copy into pinned memory, waited for in the same process"},
    {Row::PeerCopyKnown, "peer_copy_known", nullptr, true, false,
     "as copy_known, then a copy into memory of a second card, waited for"},
};

constexpr bool is_of_one_process(Row row) {
    return row == Row::CopyDone || row == Row::HostCopyDone;
}

/// Where there is one card it can't be measured.
constexpr bool is_of_two_cards(Row row) {
    return row == Row::PeerCopyKnown;
}

/// A frame of four channels.
struct Size {
    const char* name;
    std::size_t len_bytes;
};

constexpr std::size_t CHANNELS = 4;

constexpr Size SIZES[] = {
    {"512_u8", 512 * 512 * CHANNELS},
    {"512_f16", 512 * 512 * CHANNELS * 2},
    {"512_f32", 512 * 512 * CHANNELS * 4},
    {"1080p_u8", 1920 * 1080 * CHANNELS},
    {"1080p_f16", 1920 * 1080 * CHANNELS * 2},
    {"1080p_f32", 1920 * 1080 * CHANNELS * 4},
    {"4k_u8", 3840 * 2160 * CHANNELS},
    {"4k_f16", 3840 * 2160 * CHANNELS * 2},
    {"4k_f32", 3840 * 2160 * CHANNELS * 4},
};

/// What stands in the results where the size plays no part.
constexpr const char* NO_SIZE = "any";

constexpr std::size_t LARGEST_LEN_BYTES = 3840 * 2160 * CHANNELS * 4;

/// One row with frames of one size.
struct Step {
    const About* about;
    const char* size;
    std::size_t len_bytes;
};

}  // namespace floors
