// SPDX-License-Identifier: MIT OR Apache-2.0
// The process that gets frames. It measures from before the producer's call until the frame can be used.
#pragma once

#include "card.cuh"
#include "producer.cuh"

namespace floors {

class Consumer {
public:
    /// `mirror` is host memory that the producer's card writes.
    Consumer(Page& page, const Options& options, const std::uint32_t* mirror)
        : options_(options), page_(page), card_(page), mirror_(mirror) {
        wrong_ = card_.memory(sizeof(std::uint32_t));
        pinned_ = card_.pinned_memory(LARGEST_LEN_BYTES);
        spin_until(page_, page_.shared, 1);
        MUST(page_, cuIpcOpenMemHandle(&frame_, page_.frame, CU_IPC_MEM_LAZY_ENABLE_PEER_ACCESS));
    }

    /// Plays every step beside the producer.
    void run() {
        std::uint32_t number = 0;
        for (std::size_t at = 0; at < options_.steps.size(); ++at) {
            const Step& step = options_.steps[at];
            const unsigned frames = WARM_UP + (step.about->is_paced ? options_.paced_frames : options_.frames);
            if (is_of_two_cards(step.about->row)) open_second();
            tell(page_.ready, static_cast<std::uint32_t>(at + 1));
            if (is_of_one_process(step.about->row)) {
                number += frames;
                spin_until(page_, page_.published, number);
                continue;
            }
            for (unsigned frame = 0; frame < frames; ++frame) one_frame(step, ++number, frame);
        }
        add_wrong_words_of_kernels();
    }

private:
    void open_second() {
        if (landing_) return;
        card_.open_second();
        landing_ = card_.memory_of_second(LARGEST_LEN_BYTES);
    }

    void one_frame(const Step& step, std::uint32_t number, unsigned frame) {
        receive(step, number);
        const std::uint64_t took_ns = now_ns() - page_.begun_ns.load(std::memory_order_relaxed);
        if (frame >= WARM_UP) page_.consumer_ns[frame - WARM_UP] = took_ns;
        check_bytes(step, number);
        tell(page_.seen, number);
    }

    void receive(const Step& step, std::uint32_t number) {
        switch (step.about->row) {
            case Row::Futex60Hz: sleep_until(page_, page_.published, number); return;
            case Row::CopyStreamWaits:
                // What has not been put into the producer's stream must not be waited for: the wait could not be ended.
                spin_until(page_, page_.published, number);
                card_.wait_for_word(number);
                card_.finish();
                return;
            default: spin_until(page_, page_.written, number);
        }
        if (step.about->row == Row::CopyThenKernel) {
            card_.count_wrong(frame_, number, step.len_bytes, wrong_);
            card_.finish();
        } else if (step.about->row == Row::CopyThenHost) {
            MUST(page_, cuMemcpyDtoHAsync(pinned_, frame_, step.len_bytes, card_.stream()));
            card_.finish();
        } else if (step.about->row == Row::PeerCopyKnown) {
            card_.copy_to_second(landing_, frame_, step.len_bytes);
            card_.finish();
        }
    }

    /// The first and the last word of what has reached the host, or the second card.
    void check_bytes(const Step& step, std::uint32_t number) {
        if (step.about->row == Row::PeerCopyKnown) {
            const CUdeviceptr last = landing_ + step.len_bytes - sizeof(std::uint32_t);
            for (const CUdeviceptr at : {landing_, last}) page_.wrong_words += card_.word_of_second(at) != number;
            return;
        }
        const std::uint32_t* words = step.about->row == Row::CopyThenHost  ? pinned_
                                     : step.about->row == Row::MirrorKnown ? mirror_
                                                                           : nullptr;
        if (!words) return;
        const std::uint32_t last = words[step.len_bytes / sizeof(std::uint32_t) - 1];
        page_.wrong_words += (words[0] != number) + (last != number);
    }

    /// The producer looks at them when this process has ended.
    void add_wrong_words_of_kernels() {
        std::uint32_t found = 0;
        MUST(page_, cuMemcpyDtoH(&found, wrong_, sizeof found));
        page_.wrong_words += found;
    }

    const Options& options_;
    Page& page_;
    Card card_;
    const std::uint32_t* mirror_;
    CUdeviceptr frame_ = 0, wrong_ = 0, landing_ = 0;
    std::uint32_t* pinned_ = nullptr;
};

}  // namespace floors
