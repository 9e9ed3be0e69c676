// SPDX-License-Identifier: MIT OR Apache-2.0
// The card as one process sees it: a context, a stream, two kernels, and calls that must not fail.
#pragma once

#include <cuda.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <cstdio>
#include <utility>

#include "page.hpp"

namespace floors {

/// A driver call that failed leaves nothing to measure: says which one and ends both processes.
inline void must(Page& page, CUresult result, const char* call) {
    if (result == CUDA_SUCCESS) return;
    const char* name = nullptr;
    cuGetErrorName(result, &name);
    std::fprintf(stderr, "%s: %s (%d)\n", call, name ? name : "unknown error", static_cast<int>(result));
    give_up(page);
}

#define MUST(page, call) ::floors::must(page, (call), #call)

/// Sets every word of a frame.
__global__ void fill_words(std::uint32_t* words, std::uint32_t value, std::size_t count) {
    const std::size_t stride = static_cast<std::size_t>(gridDim.x) * blockDim.x;
    for (std::size_t at = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x; at < count; at += stride) {
        words[at] = value;
    }
}

/// Reads every word of a frame and counts those that are not `value`.
__global__ void count_wrong_words(const std::uint32_t* words, std::uint32_t value, std::size_t count,
                                  std::uint32_t* wrong) {
    const std::size_t stride = static_cast<std::size_t>(gridDim.x) * blockDim.x;
    std::uint32_t found = 0;
    for (std::size_t at = static_cast<std::size_t>(blockIdx.x) * blockDim.x + threadIdx.x; at < count; at += stride) {
        found += words[at] != value;
    }
    if (found != 0) atomicAdd(wrong, found);
}

class Card {
public:
    /// The first card that this process may see. Ends both processes where there is none.
    explicit Card(Page& page) : page_(page) {
        MUST(page_, cuInit(0));
        MUST(page_, cuDeviceGet(&device_, 0));
        // The primary one, so that kernels are launched in it; given back by the end of the process.
        MUST(page_, cuDevicePrimaryCtxRetain(&context_, device_));
        MUST(page_, cuCtxSetCurrent(context_));
        MUST(page_, cuStreamCreate(&stream_, CU_STREAM_NON_BLOCKING));
        MUST(page_, cuMemHostRegister(&page_, PAGE_LEN_BYTES, CU_MEMHOSTREGISTER_DEVICEMAP));
        MUST(page_, cuMemHostGetDevicePointer(&written_, &page_.written.value, 0));
        // Enough threads to fill the card, whatever its size.
        blocks_ = 4 * attribute(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
    }

    Page& page() const { return page_; }
    CUstream stream() const { return stream_; }

    int attribute(CUdevice_attribute which) const {
        int value = 0;
        MUST(page_, cuDeviceGetAttribute(&value, which, device_));
        return value;
    }

    std::pair<const char*, int> name_and_driver_api() {
        MUST(page_, cuDeviceGetName(name_, sizeof name_, device_));
        int version = 0;
        MUST(page_, cuDriverGetVersion(&version));
        return {name_, version};
    }

    /// Whether an MPS daemon runs this process's work. A driver that does not know the question says no.
    bool is_under_mps() const {
        int value = 0;
        return cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_MPS_ENABLED, device_) == CUDA_SUCCESS && value != 0;
    }

    /// This process has work with the second card that it may see, from now on. Ends both processes where there is none.
    void open_second() {
        if (second_context_) return;
        CUdevice second;
        MUST(page_, cuDeviceGet(&second, 1));
        MUST(page_, cuDevicePrimaryCtxRetain(&second_context_, second));
        int reaches = 0;
        MUST(page_, cuDeviceCanAccessPeer(&reaches, device_, second));
        if (reaches) MUST(page_, cuCtxEnablePeerAccess(second_context_, 0));
    }

    CUdeviceptr memory_of_second(std::size_t len_bytes) const {
        MUST(page_, cuCtxPushCurrent(second_context_));
        const CUdeviceptr found = memory(len_bytes);
        MUST(page_, cuCtxPopCurrent(nullptr));
        return found;
    }

    /// Puts a copy of a frame into the stream, to memory of the second card: straight where this one reaches it, else by
    /// way of the host.
    void copy_to_second(CUdeviceptr to, CUdeviceptr from, std::size_t len_bytes) const {
        MUST(page_, cuMemcpyPeerAsync(to, second_context_, from, context_, len_bytes, stream_));
    }

    /// A word of the second card's memory, once nothing writes it.
    std::uint32_t word_of_second(CUdeviceptr at) const {
        std::uint32_t word = 0;
        MUST(page_, cuCtxPushCurrent(second_context_));
        MUST(page_, cuMemcpyDtoH(&word, at, sizeof word));
        MUST(page_, cuCtxPopCurrent(nullptr));
        return word;
    }

    CUdeviceptr memory(std::size_t len_bytes) const {
        CUdeviceptr memory;
        MUST(page_, cuMemAlloc(&memory, len_bytes));
        MUST(page_, cuMemsetD8(memory, 0, len_bytes));
        return memory;
    }

    /// Host memory that the card reaches without help of the CPU.
    std::uint32_t* pinned_memory(std::size_t len_bytes) const {
        void* memory;
        MUST(page_, cuMemAllocHost(&memory, len_bytes));
        return static_cast<std::uint32_t*>(memory);
    }

    /// Puts a kernel into the stream that sets every word.
    void fill(CUdeviceptr frame, std::uint32_t value, std::size_t len_bytes) const {
        fill_words<<<blocks_, 256, 0, stream_>>>(reinterpret_cast<std::uint32_t*>(frame), value, len_bytes / 4);
        must_have_launched();
    }

    /// Puts a kernel into the stream that adds to `wrong` how many words are not `value`.
    void count_wrong(CUdeviceptr frame, std::uint32_t value, std::size_t len_bytes, CUdeviceptr wrong) const {
        count_wrong_words<<<blocks_, 256, 0, stream_>>>(reinterpret_cast<const std::uint32_t*>(frame), value,
                                                        len_bytes / 4, reinterpret_cast<std::uint32_t*>(wrong));
        must_have_launched();
    }

    /// Puts into the stream: when all before it is done, the word `written` gets this value.
    void write_word(std::uint32_t value) const {
        MUST(page_, cuStreamWriteValue32(stream_, written_, value, CU_STREAM_WRITE_VALUE_DEFAULT));
    }

    /// Puts into the stream: nothing after it begins before the word `written` has reached this value.
    void wait_for_word(std::uint32_t value) const {
        MUST(page_, cuStreamWaitValue32(stream_, written_, value, CU_STREAM_WAIT_VALUE_GEQ));
    }

    void finish() const { MUST(page_, cuStreamSynchronize(stream_)); }

private:
    void must_have_launched() const {
        const cudaError_t error = cudaPeekAtLastError();
        if (error == cudaSuccess) return;
        std::fprintf(stderr, "kernel launch: %s\n", cudaGetErrorString(error));
        give_up(page_);
    }

    Page& page_;
    CUdevice device_ = 0;
    CUcontext context_ = nullptr, second_context_ = nullptr;
    CUstream stream_ = nullptr;
    CUdeviceptr written_ = 0;
    int blocks_ = 1;
    char name_[256] = {};
};

}  // namespace floors
