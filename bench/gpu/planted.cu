// SPDX-License-Identifier: MIT OR Apache-2.0
// Mistakes made on purpose: a check that does not find them here would find none in our own kernels either.
//
//     planted memcheck     writes one word beyond its memory
//     planted racecheck    threads of a block write and read the same shared word without a barrier

#include <cuda_runtime.h>

#include <cstdio>
#include <cstring>

namespace {

constexpr int WORDS = 256;

__global__ void write_beyond(int* words) {
    words[threadIdx.x + 1] = 1;
}

__global__ void race(int* words) {
    __shared__ int shared[WORDS];
    shared[threadIdx.x] = static_cast<int>(threadIdx.x);
    // Here a __syncthreads is missing.
    words[threadIdx.x] = shared[WORDS - 1 - threadIdx.x];
}

}  // namespace

int main(int count, char** words) {
    if (count != 2) {
        std::fprintf(stderr, "planted memcheck|racecheck\n");
        return 2;
    }
    int* memory = nullptr;
    if (cudaMalloc(&memory, WORDS * sizeof(int)) != cudaSuccess) return 3;
    if (std::strcmp(words[1], "memcheck") == 0) write_beyond<<<1, WORDS>>>(memory);
    else race<<<1, WORDS>>>(memory);
    // Under the checker the first one is an error; without it nobody may notice.
    cudaDeviceSynchronize();
    cudaFree(memory);
    return 0;
}
