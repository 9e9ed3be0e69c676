// SPDX-License-Identifier: MIT OR Apache-2.0
// The process that makes frames. It measures its own calls; when a frame arrived, the consumer measures.
#pragma once

#include "card.cuh"
#include "report.hpp"

namespace floors {

/// Frames before the first one that counts.
constexpr unsigned WARM_UP = 20;
/// Slots of a link, unless it is told otherwise.
constexpr std::uint32_t RING = 4;
constexpr std::uint64_t PERIOD_NS = 1000000000u / 60;

class Producer {
public:
    /// `mirror` is host memory that the consumer sees, too.
    Producer(Page& page, const Options& options, void* mirror)
        : options_(options), page_(page), card_(page), mirror_(mirror) {
        source_ = card_.memory(LARGEST_LEN_BYTES);
        frame_ = card_.memory(LARGEST_LEN_BYTES);
        ring_ = card_.memory(RING * LARGEST_LEN_BYTES);
        pinned_ = card_.pinned_memory(LARGEST_LEN_BYTES);
        MUST(page_, cuMemHostRegister(mirror_, LARGEST_LEN_BYTES, CU_MEMHOSTREGISTER_DEVICEMAP));
        MUST(page_, cuIpcGetMemHandle(&page_.frame, frame_));
        tell(page_.shared, 1);
    }

    /// Plays every step beside the consumer.
    Report measure() {
        const auto [name, driver_api] = card_.name_and_driver_api();
        Report report(name, driver_api, card_.is_under_mps());
        std::uint32_t number = 0;
        for (std::size_t at = 0; at < options_.steps.size(); ++at) {
            const Step& step = options_.steps[at];
            const unsigned frames = step.about->is_paced ? options_.paced_frames : options_.frames;
            spin_until(page_, page_.ready, static_cast<std::uint32_t>(at + 1));
            next_at_ns_ = now_ns() + PERIOD_NS;
            for (unsigned frame = 0; frame < WARM_UP + frames; ++frame) {
                const std::uint64_t call_ns = one_frame(step, ++number);
                if (frame >= WARM_UP) page_.producer_ns[frame - WARM_UP] = call_ns;
            }
            add_to(report, step, frames);
        }
        return report;
    }

private:
    /// Makes one frame, hands it over, waits until the consumer is done with it. How long the call took.
    std::uint64_t one_frame(const Step& step, std::uint32_t number) {
        prepare(step, number);
        pause(step);
        const std::uint64_t begun_ns = now_ns();
        page_.begun_ns.store(begun_ns, std::memory_order_relaxed);
        call(step, number);
        const std::uint64_t call_ns = now_ns() - begun_ns;
        if (is_of_one_process(step.about->row)) tell(page_.published, number);
        else spin_until(page_, page_.seen, number);
        return call_ns;
    }

    /// What is to be copied holds the number of its frame, so that an old frame is noticed.
    void prepare(const Step& step, std::uint32_t number) {
        const Row row = step.about->row;
        if (row == Row::FillKnown || row == Row::FillRingKnown || !step.about->is_sized) return;
        card_.fill(source_, number, step.len_bytes);
        card_.finish();
    }

    void pause(const Step& step) {
        if (step.about->is_paced) {
            sleep_until_ns(next_at_ns_);
            next_at_ns_ += PERIOD_NS;
        } else if (options_.pause_us > 0) {
            sleep_until_ns(now_ns() + options_.pause_us * 1000ull);
        }
    }

    void call(const Step& step, std::uint32_t number) {
        const CUstream stream = card_.stream();
        switch (step.about->row) {
            case Row::Futex60Hz:
                tell(page_.published, number);
                wake(page_.published);
                return;
            case Row::CopyDone:
                MUST(page_, cuMemcpyDtoDAsync(frame_, source_, step.len_bytes, stream));
                card_.finish();
                return;
            case Row::HostCopyDone:
                MUST(page_, cuMemcpyDtoHAsync(pinned_, source_, step.len_bytes, stream));
                card_.finish();
                return;
            case Row::FillKnown: card_.fill(frame_, number, step.len_bytes); break;
            case Row::FillRingKnown: card_.fill(ring_ + number % RING * step.len_bytes, number, step.len_bytes); break;
            case Row::MirrorKnown: MUST(page_, cuMemcpyDtoHAsync(mirror_, source_, step.len_bytes, stream)); break;
            case Row::SignalKnown: MUST(page_, cuMemsetD32Async(frame_, number, 1, stream)); break;
            default: MUST(page_, cuMemcpyDtoDAsync(frame_, source_, step.len_bytes, stream));
        }
        card_.write_word(number);
        tell(page_.published, number);
    }

    void add_to(Report& report, const Step& step, unsigned frames) const {
        const bool is_alone = is_of_one_process(step.about->row);
        const About& about = *step.about;
        report.add(about.name, about.what, step.size, is_alone ? page_.producer_ns : page_.consumer_ns, frames);
        if (about.call) report.add(about.call, "the producer's calls for it", step.size, page_.producer_ns, frames);
    }

    const Options& options_;
    Page& page_;
    Card card_;
    void* mirror_;
    CUdeviceptr source_ = 0, frame_ = 0, ring_ = 0;
    std::uint32_t* pinned_ = nullptr;
    std::uint64_t next_at_ns_ = 0;
};

}  // namespace floors
