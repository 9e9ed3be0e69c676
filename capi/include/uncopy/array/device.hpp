// SPDX-License-Identifier: MIT OR Apache-2.0
// Where memory lives (a DLPack device type and an index), and the queues of work on it.
#pragma once

#include <cstdint>
#include <string>

namespace uncopy {

// One device: the layout of DLPack's DLDevice. Any number is a kind; the names are those of DLPack 1.3.
struct device {
  std::int32_t kind = 1;
  std::int32_t id = 0;

  static constexpr std::int32_t kind_cpu = 1, kind_cuda = 2, kind_cuda_host = 3, kind_rocm = 10, kind_rocm_host = 11,
                                kind_cuda_managed = 13;

  static constexpr device cpu() noexcept { return {kind_cpu, 0}; }
  static constexpr device cuda(std::int32_t id = 0) noexcept { return {kind_cuda, id}; }

  // May the CPU dereference its addresses? It says nothing about when: pinned and managed memory may still be written by
  // a GPU.
  constexpr bool is_host_accessible() const noexcept {
    return kind == kind_cpu || kind == kind_cuda_host || kind == kind_rocm_host || kind == kind_cuda_managed;
  }

  friend constexpr bool operator==(device a, device b) noexcept { return a.kind == b.kind && a.id == b.id; }
  friend constexpr bool operator!=(device a, device b) noexcept { return !(a == b); }
};

// "cpu", "cuda:0", and "device(19):0" for a kind that has no name here.
inline std::string name_of(device where) {
  static constexpr struct {
    std::int32_t kind;
    const char *name;
  } names[] = {{1, "cpu"},        {2, "cuda"},     {3, "cuda_host"},     {4, "opencl"},
               {7, "vulkan"},     {8, "metal"},    {9, "vpi"},           {10, "rocm"},
               {11, "rocm_host"}, {12, "ext_dev"}, {13, "cuda_managed"}, {14, "oneapi"},
               {15, "webgpu"},    {16, "hexagon"}, {17, "maia"},         {18, "trn"}};
  if (where == device::cpu()) return "cpu";
  std::string kind = "device(" + std::to_string(where.kind) + ")";
  for (const auto &known : names) {
    if (known.kind == where.kind) kind = known.name;
  }
  return kind + ":" + std::to_string(where.id);
}

// A CUDA stream by its driver handle (`CUstream`, `cudaStream_t`). Who made it keeps it alive while it is used.
class stream {
 public:
  // The legacy default stream.
  constexpr stream() noexcept = default;
  // 0, the driver's other name of the legacy default stream, becomes 1.
  constexpr explicit stream(std::uint64_t handle) noexcept : handle_(handle == 0 ? 1 : handle) {}
  explicit stream(void *handle) noexcept
      : stream(static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(handle))) {}

  static constexpr stream legacy_default() noexcept { return stream(std::uint64_t{1}); }
  static constexpr stream per_thread_default() noexcept { return stream(std::uint64_t{2}); }

  constexpr std::uint64_t raw() const noexcept { return handle_; }
  // For calls of the driver and of the runtime: `static_cast<cudaStream_t>(stream.handle())`.
  void *handle() const noexcept { return reinterpret_cast<void *>(static_cast<std::uintptr_t>(handle_)); }

  friend constexpr bool operator==(stream a, stream b) noexcept { return a.handle_ == b.handle_; }
  friend constexpr bool operator!=(stream a, stream b) noexcept { return !(a == b); }

 private:
  std::uint64_t handle_ = 1;
};

}  // namespace uncopy
