// SPDX-License-Identifier: MIT OR Apache-2.0
// The CUDA driver, found at run time: nothing is linked, and its absence is a value. No libcudart, no toolkit.
//
// Only what arrays need: memory, copies, order between streams by events, and launching a kernel of the caller's PTX. It
// works in the primary context of a device, which is the one of the runtime, torch, CuPy, jax and numba.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#if defined(_WIN32)
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>
#else
#include <dlfcn.h>
#endif

#include "device.hpp"
#include "error.hpp"

namespace uncopy::driver {

#if defined(_WIN32)
#define UNCOPY_CUDA_CALL __stdcall
#else
#define UNCOPY_CUDA_CALL
#endif

using address = unsigned long long;

// The driver's entries, by the names of cuda.h. Pointers to opaque things are `void *`.
struct table {
  using status = int;
  template <class... A>
  using entry = status(UNCOPY_CUDA_CALL *)(A...);

  entry<unsigned> cuInit;
  entry<int, const char **> cuGetErrorName;
  entry<int *> cuDeviceGetCount;
  entry<int *, int> cuDeviceGet;
  entry<void **, int> cuDevicePrimaryCtxRetain;
  entry<void *> cuCtxPushCurrent_v2;
  entry<void **> cuCtxPopCurrent_v2;
  entry<void **> cuCtxGetCurrent;
  entry<int *> cuCtxGetDevice;
  entry<address *, std::size_t> cuMemAlloc_v2;
  entry<address> cuMemFree_v2;
  entry<address, const void *, std::size_t, void *> cuMemcpyHtoDAsync_v2;
  entry<void *, address, std::size_t, void *> cuMemcpyDtoHAsync_v2;
  entry<address, address, std::size_t, void *> cuMemcpyDtoDAsync_v2;
  entry<unsigned, int *, void **, address> cuPointerGetAttributes;
  entry<void *> cuStreamSynchronize;
  entry<void *, void *, unsigned> cuStreamWaitEvent;
  entry<void **, unsigned> cuEventCreate;
  entry<void *, void *> cuEventRecord;
  entry<void **, const void *> cuModuleLoadData;
  entry<void **, void *, const char *> cuModuleGetFunction;
  entry<void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **, void **>
      cuLaunchKernel;
};

namespace detail {

struct library {
  table calls{};
  std::string problem;  // empty when the driver can be used
  int devices = 0;

  library() {
#if defined(_WIN32)
    HMODULE opened = LoadLibraryExW(L"nvcuda.dll", nullptr, LOAD_LIBRARY_SEARCH_SYSTEM32);
    if (!opened) return void(problem = "nvcuda.dll can't be loaded: is an NVIDIA driver installed?");
    auto find = [&](const char *name) { return reinterpret_cast<void *>(GetProcAddress(opened, name)); };
#else
    void *opened = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!opened) {
      const char *why = dlerror();
      problem = std::string("there is no CUDA driver here: ") + (why ? why : "libcuda.so.1 can't be loaded");
      return;
    }
    auto find = [&](const char *name) { return dlsym(opened, name); };
#endif
    // Never unloaded: threads of the driver run in it.
    auto take = [&](auto &entry, const char *name) {
      void *found = find(name);
      if (!found && problem.empty()) problem = std::string("the CUDA driver has no ") + name + ": install a newer one";
      entry = reinterpret_cast<std::decay_t<decltype(entry)>>(found);
    };
#define UNCOPY_TAKE(name) take(calls.name, #name)
    UNCOPY_TAKE(cuInit);
    UNCOPY_TAKE(cuGetErrorName);
    UNCOPY_TAKE(cuDeviceGetCount);
    UNCOPY_TAKE(cuDeviceGet);
    UNCOPY_TAKE(cuDevicePrimaryCtxRetain);
    UNCOPY_TAKE(cuCtxPushCurrent_v2);
    UNCOPY_TAKE(cuCtxPopCurrent_v2);
    UNCOPY_TAKE(cuCtxGetCurrent);
    UNCOPY_TAKE(cuCtxGetDevice);
    UNCOPY_TAKE(cuMemAlloc_v2);
    UNCOPY_TAKE(cuMemFree_v2);
    UNCOPY_TAKE(cuMemcpyHtoDAsync_v2);
    UNCOPY_TAKE(cuMemcpyDtoHAsync_v2);
    UNCOPY_TAKE(cuMemcpyDtoDAsync_v2);
    UNCOPY_TAKE(cuPointerGetAttributes);
    UNCOPY_TAKE(cuStreamSynchronize);
    UNCOPY_TAKE(cuStreamWaitEvent);
    UNCOPY_TAKE(cuEventCreate);
    UNCOPY_TAKE(cuEventRecord);
    UNCOPY_TAKE(cuModuleLoadData);
    UNCOPY_TAKE(cuModuleGetFunction);
    UNCOPY_TAKE(cuLaunchKernel);
#undef UNCOPY_TAKE
    if (!problem.empty()) return;
    int code = calls.cuInit(0);
    if (code == 0) code = calls.cuDeviceGetCount(&devices);
    if (code != 0) problem = "the CUDA driver does not start (error " + std::to_string(code) + ")";
    if (code == 0 && devices == 0) problem = "the CUDA driver sees no device";
  }
};

inline library &the_library() {
  static library *found = new library;  // outlives every array, also at the end of the process
  return *found;
}

}  // namespace detail

// The driver's table, or null where there is no driver or no device. Looked for once.
inline const table *get() {
  detail::library &found = detail::the_library();
  return found.problem.empty() ? &found.calls : nullptr;
}

// Why `get` has none; empty when it has.
inline const std::string &absence() { return detail::the_library().problem; }

// "CUDA_ERROR_INVALID_VALUE" of the driver's codes.
inline std::string name_of_error(int code) {
  const table *calls = get();
  const char *name = nullptr;
  if (calls && calls->cuGetErrorName(code, &name) == 0 && name) return name;
  return "an error without a name";
}

// Throws for every code but 0. `what` completes "... failed".
inline void check(int code, const char *what) {
  if (code == 0) return;
  const error_kind kind = code == 2                                  ? error_kind::out_of_memory
                          : code == 700 || code == 719 || code == 46 ? error_kind::device_lost
                                                                     : error_kind::system;
  throw array_error(
      kind, std::string(what) + " failed: CUDA error " + std::to_string(code) + " (" + name_of_error(code) + ")");
}

inline const table &need() {
  const table *calls = get();
  if (!calls) throw array_error(error_kind::unsupported, "arrays on a CUDA device can't be used: " + absence());
  return *calls;
}

namespace detail {

// The primary context of a device: retained once, and kept, as every library does that shares it.
inline void *primary_context(int id) {
  static std::mutex *lock = new std::mutex;
  static std::vector<void *> *contexts = new std::vector<void *>;
  const table &calls = need();
  if (id < 0 || id >= the_library().devices) {
    throw array_error(error_kind::invalid_argument, "there is no device cuda:" + std::to_string(id) +
                                                        ": this process sees " + std::to_string(the_library().devices));
  }
  const std::lock_guard<std::mutex> held(*lock);
  contexts->resize(static_cast<std::size_t>(the_library().devices));
  void *&context = (*contexts)[static_cast<std::size_t>(id)];
  if (!context) {
    int handle = 0;
    check(calls.cuDeviceGet(&handle, id), "asking for a CUDA device");
    check(calls.cuDevicePrimaryCtxRetain(&context, handle), "retaining a CUDA context");
  }
  return context;
}

}  // namespace detail

// A device's primary context, current on this thread while this lives.
class scope {
 public:
  explicit scope(int device_id) : calls_(need()) {
    void *wanted = detail::primary_context(device_id);
    void *now = nullptr;
    if (calls_.cuCtxGetCurrent(&now) == 0 && now == wanted) return;
    check(calls_.cuCtxPushCurrent_v2(wanted), "entering a CUDA context");
    pushed_ = true;
  }
  scope(const scope &) = delete;
  scope &operator=(const scope &) = delete;
  ~scope() {
    void *popped = nullptr;
    if (pushed_) calls_.cuCtxPopCurrent_v2(&popped);
  }

  const table &calls() const noexcept { return calls_; }

 private:
  const table &calls_;
  bool pushed_ = false;
};

// The device that this thread's context is on; 0 where it has none.
inline int current_device() {
  void *context = nullptr;
  int id = 0;
  const table &calls = need();
  if (calls.cuCtxGetCurrent(&context) == 0 && context && calls.cuCtxGetDevice(&id) == 0) return id;
  return 0;
}

// `bytes` of device memory, uninitialised; null for none. Paired with `release`.
inline void *allocate(int device_id, std::size_t bytes) {
  if (bytes == 0) return nullptr;
  const scope in(device_id);
  address found = 0;
  const int code = in.calls().cuMemAlloc_v2(&found, bytes);
  check(code, ("allocating " + std::to_string(bytes) + " bytes on cuda:" + std::to_string(device_id)).c_str());
  return reinterpret_cast<void *>(static_cast<std::uintptr_t>(found));
}

// Gives memory of `allocate` back. Says nothing when the driver has ended already: it has taken the memory with it.
inline void release(int device_id, void *memory) noexcept {
  if (!memory) return;
  try {
    const scope in(device_id);
    in.calls().cuMemFree_v2(static_cast<address>(reinterpret_cast<std::uintptr_t>(memory)));
  } catch (...) {
  }
}

enum class direction { host_to_device, device_to_host, device_to_device };

// Copies in a stream of the device; waits for it when the host is one side, so that its memory may be reused at once.
inline void copy(int device_id, void *to, const void *from, std::size_t bytes, direction way, stream in_stream) {
  if (bytes == 0) return;
  const scope in(device_id);
  const auto at = [](const void *pointer) { return static_cast<address>(reinterpret_cast<std::uintptr_t>(pointer)); };
  void *queue = in_stream.handle();
  switch (way) {
    case direction::host_to_device:
      check(in.calls().cuMemcpyHtoDAsync_v2(at(to), from, bytes, queue), "copying to the device");
      break;
    case direction::device_to_host:
      check(in.calls().cuMemcpyDtoHAsync_v2(to, at(from), bytes, queue), "copying from the device");
      break;
    case direction::device_to_device:
      check(in.calls().cuMemcpyDtoDAsync_v2(at(to), at(from), bytes, queue), "copying on the device");
      return;
  }
  check(in.calls().cuStreamSynchronize(queue), "waiting for a copy");
}

namespace detail {

// Events that are used again: recording one anew leaves earlier waits for it as they are.
class event_pool {
 public:
  void *take(const table &calls, int device_id) {
    {
      const std::lock_guard<std::mutex> held(lock_);
      for (std::size_t i = 0; i < free_.size(); ++i) {
        if (free_[i].first != device_id) continue;
        void *event = free_[i].second;
        free_[i] = free_.back();
        free_.pop_back();
        return event;
      }
    }
    void *event = nullptr;
    constexpr unsigned without_timing = 2;
    check(calls.cuEventCreate(&event, without_timing), "making a CUDA event");
    return event;
  }
  void put(int device_id, void *event) {
    const std::lock_guard<std::mutex> held(lock_);
    free_.emplace_back(device_id, event);
  }

 private:
  std::mutex lock_;
  std::vector<std::pair<int, void *>> free_;
};

inline event_pool &events() {
  static event_pool *pool = new event_pool;
  return *pool;
}

}  // namespace detail

// Whatever is put into `after` from now on runs after what `before` holds now. Nothing waits on the processor; works while
// either stream is captured. `device_id` is the device of `before`.
inline void order(int device_id, stream before, stream after) {
  if (before == after) return;
  const scope in(device_id);
  void *event = detail::events().take(in.calls(), device_id);
  int code = in.calls().cuEventRecord(event, before.handle());
  if (code == 0) code = in.calls().cuStreamWaitEvent(after.handle(), event, 0);
  detail::events().put(device_id, event);
  check(code, "ordering two streams");
}

// Waits on the processor until a stream has done what it holds.
inline void wait(int device_id, stream for_stream) {
  const scope in(device_id);
  check(in.calls().cuStreamSynchronize(for_stream.handle()), "waiting for a stream");
}

// What the driver knows of an address: a device of kind cuda, cuda_host or cuda_managed, or kind 0 where it knows nothing.
inline device device_of(const void *pointer) {
  const scope in(current_device());
  int memory_type = 0, ordinal = 0;
  unsigned char is_managed = 0;
  int names[] = {2 /* MEMORY_TYPE */, 8 /* IS_MANAGED */, 9 /* DEVICE_ORDINAL */};
  void *values[] = {&memory_type, &is_managed, &ordinal};
  const auto at = static_cast<address>(reinterpret_cast<std::uintptr_t>(pointer));
  check(in.calls().cuPointerGetAttributes(3, names, values, at), "asking whose memory an address is");
  if (is_managed) return {device::kind_cuda_managed, ordinal};
  if (memory_type == 2) return {device::kind_cuda, ordinal};
  if (memory_type == 1) return {device::kind_cuda_host, ordinal};
  return {0, 0};
}

// A kernel of PTX text that is compiled into the program: loaded once for each device, and kept.
class kernel {
 public:
  // Both live as long as the program.
  kernel(const char *ptx, const char *name) noexcept : ptx_(ptx), name_(name) {}

  // Puts a launch into a stream. `arguments` are addresses of the kernel's parameters.
  void launch(int device_id, stream into, unsigned blocks, unsigned threads, void **arguments) const {
    const scope in(device_id);
    check(in.calls().cuLaunchKernel(function(in, device_id), blocks, 1, 1, threads, 1, 1, 0, into.handle(), arguments,
                                    nullptr),
          "launching a kernel");
  }

 private:
  void *function(const scope &in, int device_id) const {
    const std::lock_guard<std::mutex> held(lock_);
    const auto index = static_cast<std::size_t>(device_id);
    if (functions_.size() <= index) functions_.resize(index + 1);
    if (!functions_[index]) {
      void *module = nullptr;
      check(in.calls().cuModuleLoadData(&module, ptx_), "loading a kernel");
      check(in.calls().cuModuleGetFunction(&functions_[index], module, name_), "finding a kernel");
    }
    return functions_[index];
  }

  const char *ptx_;
  const char *name_;
  mutable std::mutex lock_;
  mutable std::vector<void *> functions_;
};

}  // namespace uncopy::driver
