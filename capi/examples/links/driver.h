// SPDX-License-Identifier: MIT OR Apache-2.0
// As much of NVIDIA's driver as the examples on a GPU need, found at run time: no CUDA toolkit is needed to build them. Real
// programs use cuda.h or the CUDA runtime.
#ifndef UNCOPY_EXAMPLES_DRIVER_H
#define UNCOPY_EXAMPLES_DRIVER_H

#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct CUctx_st *CUcontext;
typedef struct CUstream_st *CUstream;
typedef uint64_t CUdeviceptr;

static struct {
    int (*init)(unsigned);
    int (*retain)(CUcontext *, int);
    int (*set_current)(CUcontext);
    int (*stream_create)(CUstream *, unsigned);
    int (*stream_synchronize)(CUstream);
    int (*stream_destroy)(CUstream);
    int (*alloc)(CUdeviceptr *, size_t);
    int (*free)(CUdeviceptr);
    int (*alloc_host)(void **, size_t);
    int (*free_host)(void *);
    int (*fill)(CUdeviceptr, unsigned char, size_t, CUstream);
    int (*to_host)(void *, CUdeviceptr, size_t, CUstream);
} driver;

static void driver_check(int result, const char *what) {
    if (result != 0) {
        fprintf(stderr, "the driver's %s came to %d\n", what, result);
        exit(1);
    }
}

// Finds a function; a pointer to an object and one to a function are two things in C.
static void driver_find(void *library, const char *name, void *function) {
    void *found = dlsym(library, name);
    if (found == NULL) {
        fprintf(stderr, "the driver has no %s\n", name);
        exit(1);
    }
    *(void **)function = found;
}

// Another stream, not ordered after the default stream.
static CUstream driver_stream(void) {
    CUstream stream;
    driver_check(driver.stream_create(&stream, 1), "cuStreamCreate");
    return stream;
}

// Loads the driver, makes device 0's primary context current, and a stream there.
static CUstream driver_open(void) {
    void *library = dlopen("libcuda.so.1", RTLD_NOW);
    if (library == NULL) {
        fprintf(stderr, "there is no driver: %s\n", dlerror());
        exit(1);
    }
    driver_find(library, "cuInit", &driver.init);
    driver_find(library, "cuDevicePrimaryCtxRetain", &driver.retain);
    driver_find(library, "cuCtxSetCurrent", &driver.set_current);
    driver_find(library, "cuStreamCreate", &driver.stream_create);
    driver_find(library, "cuStreamSynchronize", &driver.stream_synchronize);
    driver_find(library, "cuStreamDestroy_v2", &driver.stream_destroy);
    driver_find(library, "cuMemAlloc_v2", &driver.alloc);
    driver_find(library, "cuMemFree_v2", &driver.free);
    driver_find(library, "cuMemAllocHost_v2", &driver.alloc_host);
    driver_find(library, "cuMemFreeHost", &driver.free_host);
    driver_find(library, "cuMemsetD8Async", &driver.fill);
    driver_find(library, "cuMemcpyDtoHAsync_v2", &driver.to_host);
    CUcontext context;
    driver_check(driver.init(0), "cuInit");
    driver_check(driver.retain(&context, 0), "cuDevicePrimaryCtxRetain");
    driver_check(driver.set_current(context), "cuCtxSetCurrent");
    return driver_stream();
}

#endif
