// SPDX-License-Identifier: MIT OR Apache-2.0
// `uncopy::array`: a description and what keeps its memory alive. Moves, never copies by accident; `share` makes a second
// handle of the same memory, `to_packed` and `to_host` copy and say so. DLPack in and out.
//
//     uncopy::array frame = uncopy::array::empty<float>({480, 640}, uncopy::device::cuda(0));
//     auto pixels = frame.view<float, 2, uncopy::c_order, uncopy::cuda>();
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "../dlpack.h"
#include "description.hpp"
#include "driver.hpp"
#include "error.hpp"
#include "view.hpp"

namespace uncopy {

// What keeps an array's memory alive: destroyed once, on any thread, when the last handle is gone.
struct array_owner {
  virtual ~array_owner() = default;
  // The Python object that an array was taken from, and is given back as; null otherwise. Borrowed.
  virtual void *python() const noexcept { return nullptr; }
};

namespace detail {

struct host_memory final : array_owner {
  // 256: what DLPack's text asks for, and more than any library needs to import without a copy.
  static constexpr std::size_t alignment = 256;
  void *memory;
  explicit host_memory(std::size_t bytes) : memory(::operator new (bytes ? bytes : 1, std::align_val_t{alignment})) {}
  host_memory(const host_memory &) = delete;
  host_memory &operator=(const host_memory &) = delete;
  ~host_memory() override { ::operator delete (memory, std::align_val_t{alignment}); }
};

struct device_memory final : array_owner {
  int device_id;
  void *memory;
  device_memory(int id, std::size_t bytes) : device_id(id), memory(driver::allocate(id, bytes)) {}
  device_memory(const device_memory &) = delete;
  device_memory &operator=(const device_memory &) = delete;
  ~device_memory() override { driver::release(device_id, memory); }
};

template <class T>
struct held_value final : array_owner {
  T value;
  explicit held_value(T &&moved) : value(std::move(moved)) {}
};

// A struct of another library, whose deleter is called once.
template <class Managed>
struct managed_memory final : array_owner {
  Managed *managed;
  explicit managed_memory(Managed *taken) noexcept : managed(taken) {}
  managed_memory(const managed_memory &) = delete;
  managed_memory &operator=(const managed_memory &) = delete;
  ~managed_memory() override {
    if (managed->deleter) managed->deleter(managed);
  }
};

// What a DLTensor says, or why it can't be taken.
inline const char *description_from_dltensor(const DLTensor &tensor, bool read_only, description &out) noexcept {
  if (tensor.ndim < 0) return "a negative number of axes";
  if (tensor.ndim > max_ndim) return "more than 8 axes";
  out = description{};
  out.dtype = {tensor.dtype.code, tensor.dtype.bits, tensor.dtype.lanes};
  out.device = {static_cast<std::int32_t>(tensor.device.device_type), tensor.device.device_id};
  out.ndim = tensor.ndim;
  out.read_only = read_only;
  out.data = tensor.data ? static_cast<char *>(tensor.data) + tensor.byte_offset : nullptr;
  if (tensor.ndim > 0 && !tensor.shape) return "axes without a shape";
  for (int axis = 0; axis < tensor.ndim; ++axis) out.shape[axis] = tensor.shape[axis];
  if (tensor.strides) {
    for (int axis = 0; axis < tensor.ndim; ++axis) out.strides[axis] = tensor.strides[axis];
  } else {
    description counted = out;  // a shape that overflows must not be multiplied
    counted.set_no_order();
    if (const char *problem = problem_of(counted)) return problem;
    out.set_c_order();
  }
  return problem_of(out);
}

// Copies every element in C order; host memory only.
inline void pack(const description &from, void *to) {
  const std::size_t item = from.dtype.item_bytes();
  char *out = static_cast<char *>(to);
  if (from.size() == 0) return;
  if (from.is_c_contiguous()) return void(std::memcpy(to, from.data, from.size_bytes()));
  std::int64_t index[max_ndim] = {};
  const char *at = static_cast<const char *>(from.data);
  const auto bytes = static_cast<std::int64_t>(item);
  for (;;) {
    std::memcpy(out, at, item);
    out += item;
    int axis = from.ndim - 1;
    for (; axis >= 0; --axis) {
      at += from.strides[axis] * bytes;
      if (++index[axis] < from.shape[axis]) break;
      at -= from.strides[axis] * bytes * from.shape[axis];
      index[axis] = 0;
    }
    if (axis < 0) return;
  }
}

}  // namespace detail

class array {
 public:
  // No array: `data()` is null, `operator bool` false.
  array() noexcept = default;
  array(array &&) noexcept = default;
  array &operator=(array &&) noexcept = default;
  array(const array &) = delete;
  array &operator=(const array &) = delete;

  // Memory of its own in C order, uninitialised, in host memory or on a CUDA device.
  static array empty(uncopy::dtype type, const std::vector<std::int64_t> &shape, uncopy::device where = {}) {
    description made = described(type, shape, where);
    if (where.kind == device::kind_cuda) {
      auto owner = std::make_shared<detail::device_memory>(where.id, made.size_bytes());
      made.data = owner->memory;
      made.has_stream = true;
      return array(made, std::move(owner));
    }
    if (where.kind != device::kind_cpu) {
      throw array_error(
          error_kind::unsupported,
          "memory on " + name_of(where) + " is not allocated here: use cpu or cuda, or wrap memory of your own");
    }
    auto owner = std::make_shared<detail::host_memory>(made.size_bytes());
    made.data = owner->memory;
    return array(made, std::move(owner));
  }
  template <class T>
  static array empty(const std::vector<std::int64_t> &shape, uncopy::device where = {}) {
    return empty(dtype_of<T>, shape, where);
  }

  // The vector's own memory, without a copy; one axis unless a shape of the same size is given.
  template <class T>
  static array from_vector(std::vector<T> &&values, std::vector<std::int64_t> shape = {}) {
    static_assert(!std::is_same_v<T, bool>, "std::vector<bool> has no array of items");
    if (shape.empty()) shape = {static_cast<std::int64_t>(values.size())};
    description made = described(dtype_of<T>, shape, device::cpu());
    if (static_cast<std::size_t>(made.size()) != values.size()) {
      throw array_error(error_kind::invalid_layout,
                        text_of(made) + " does not have the vector's " + std::to_string(values.size()) + " items");
    }
    auto owner = std::make_shared<detail::held_value<std::vector<T>>>(std::move(values));
    made.data = owner->value.data();
    return array(made, std::move(owner));
  }

  // Memory that `owner` keeps alive, wherever it is. Throws for descriptions that are impossible.
  static array wrap(const description &memory, std::shared_ptr<array_owner> owner) {
    if (memory.ndim < 0 || memory.ndim > max_ndim)
      throw array_error(error_kind::invalid_layout, "an array has 0 to 8 axes");
    if (const char *problem = problem_of(memory)) {
      throw array_error(error_kind::invalid_layout, std::string("no such array: ") + problem);
    }
    return array(memory, std::move(owner));
  }
  // The same, with anything that owns it: a unique_ptr, a handle, a lambda's capture.
  template <class Owner>
  static array wrap_with(const description &memory, Owner owner) {
    return wrap(memory, std::make_shared<detail::held_value<Owner>>(std::move(owner)));
  }

  // Takes over a DLPack struct; its deleter is called when the last handle is gone. On an exception the struct stays the
  // caller's, except that one of another major version has been deleted, which is all that may be done with it.
  static array from_dlpack(DLManagedTensorVersioned *managed) {
    if (!managed) throw array_error(error_kind::invalid_argument, "there is no DLPack struct at address 0");
    if (managed->version.major != 1) {
      const std::string version = std::to_string(managed->version.major) + "." + std::to_string(managed->version.minor);
      if (managed->deleter) managed->deleter(managed);
      throw array_error(error_kind::unsupported,
                        "a DLPack struct of version " + version + " can't be read: this is made for 1.x");
    }
    description made;
    read(managed->dl_tensor, (managed->flags & 1) != 0, made);
    return array(made, std::make_shared<detail::managed_memory<DLManagedTensorVersioned>>(managed));
  }
  static array from_dlpack(DLManagedTensor *managed) {
    if (!managed) throw array_error(error_kind::invalid_argument, "there is no DLPack struct at address 0");
    description made;
    read(managed->dl_tensor, false, made);
    return array(made, std::make_shared<detail::managed_memory<DLManagedTensor>>(managed));
  }

  // A DLPack 1.3 struct that shares the memory and keeps it until its deleter is called, on any thread. Orders no streams.
  DLManagedTensorVersioned *to_dlpack(bool is_copied = false) const {
    need_array();
    auto *made = new exported<DLManagedTensorVersioned>(*this);
    made->managed.version = {1, 3};
    made->managed.flags = (about_.read_only ? 1u : 0u) | (is_copied ? 2u : 0u);
    return &made->managed;
  }
  // The same for who only knows structs from before 1.0, which can't say read-only: refused for such arrays.
  DLManagedTensor *to_dlpack_legacy() const {
    need_array();
    if (about_.read_only) {
      throw array_error(
          error_kind::read_only,
          "a DLPack struct from before 1.0 can't say that this array is read-only: ask for 1.0, or copy it");
    }
    return &(new exported<DLManagedTensor>(*this))->managed;
  }

  explicit operator bool() const noexcept { return owner_ != nullptr; }
  const description &describe() const noexcept { return about_; }
  void *data() const noexcept { return about_.data; }
  uncopy::dtype dtype() const noexcept { return about_.dtype; }
  uncopy::device device() const noexcept { return about_.device; }
  int ndim() const noexcept { return about_.ndim; }
  std::int64_t extent(int axis) const noexcept { return about_.shape[axis]; }
  std::int64_t stride(int axis) const noexcept { return about_.strides[axis]; }  // in elements
  std::int64_t size() const noexcept { return about_.size(); }
  std::size_t size_bytes() const noexcept { return about_.size_bytes(); }
  bool is_read_only() const noexcept { return about_.read_only; }
  uncopy::stream stream() const noexcept { return about_.stream; }
  bool has_stream() const noexcept { return about_.has_stream; }
  const std::shared_ptr<array_owner> &owner() const noexcept { return owner_; }

  // A second handle of the same memory.
  array share() const { return array(about_, owner_); }
  // The same memory, that receivers are told not to write to.
  array read_only() && {
    about_.read_only = true;
    changed_ = true;
    return std::move(*this);
  }
  // Says in which stream the content is made; receivers are ordered after it.
  array made_on(uncopy::stream maker) && {
    about_.stream = maker;
    about_.has_stream = true;
    return std::move(*this);
  }
  // Whether it is still described as it was taken.
  bool is_as_taken() const noexcept { return !changed_; }

  // See `view`.
  void ready_on(uncopy::stream reader) const {
    if (about_.has_stream) driver::order(about_.device.id, about_.stream, reader);
  }
  void used_on(uncopy::stream user) const {
    if (about_.has_stream) driver::order(about_.device.id, user, about_.stream);
  }

  // A typed view, valid while a handle of the array lives. Throws with every part that does not fit.
  template <class T, std::size_t N, class Order = strided, class Space = host>
  uncopy::view<T, N, Order, Space> view() const {
    using made = uncopy::view<T, N, Order, Space>;
    if (!fits(about_, made::want)) throw array_error(error_kind::invalid_argument, misfit_of(about_, made::want));
    return made::assume(about_, owner_ ? owner_->python() : nullptr);
  }

  // A private writable copy in C order, on the same device. On a device the array has to be contiguous.
  array to_packed() const {
    need_array();
    array copy =
        empty(about_.dtype, {about_.shape, about_.shape + about_.ndim}, on_cuda() ? about_.device : device::cpu());
    if (!on_cuda()) {
      need_items();
      detail::pack(about_, copy.data());
      return copy;
    }
    need_contiguous();
    driver::copy(about_.device.id, copy.data(), about_.data, size_bytes(), driver::direction::device_to_device,
                 about_.stream);
    return std::move(copy).made_on(about_.stream);
  }

  // A copy in host memory, in C order. Waits for the array's stream.
  array to_host() const {
    need_array();
    if (!on_cuda()) return to_packed();
    need_contiguous();
    array copy = empty(about_.dtype, {about_.shape, about_.shape + about_.ndim});
    driver::copy(about_.device.id, copy.data(), about_.data, size_bytes(), driver::direction::device_to_host,
                 about_.stream);
    return copy;
  }

 private:
  array(const description &about, std::shared_ptr<array_owner> owner) noexcept
      : about_(about), owner_(std::move(owner)) {}

  template <class Managed>
  struct exported {
    Managed managed{};
    description about;
    std::shared_ptr<array_owner> owner;

    explicit exported(const array &from) : about(from.about_), owner(from.owner_) {
      DLTensor &tensor = managed.dl_tensor;
      tensor.data = about.data;
      tensor.device.device_type = static_cast<decltype(tensor.device.device_type)>(about.device.kind);
      tensor.device.device_id = about.device.id;
      tensor.ndim = about.ndim;
      tensor.dtype.code = about.dtype.code;
      tensor.dtype.bits = about.dtype.bits;
      tensor.dtype.lanes = about.dtype.lanes;
      tensor.shape = about.shape;
      tensor.strides = about.strides;
      tensor.byte_offset = 0;
      managed.manager_ctx = this;
      managed.deleter = [](Managed *self) {
        if (self) delete static_cast<exported *>(self->manager_ctx);
      };
    }
  };

  static description described(uncopy::dtype type, const std::vector<std::int64_t> &shape, uncopy::device where) {
    description made;
    made.dtype = type;
    made.device = where;
    if (shape.size() > std::size_t{max_ndim}) {
      throw array_error(error_kind::invalid_layout,
                        std::to_string(shape.size()) + " axes are too many: an array has at most 8");
    }
    made.ndim = static_cast<int>(shape.size());
    for (int axis = 0; axis < made.ndim; ++axis) made.shape[axis] = shape[static_cast<std::size_t>(axis)];
    made.set_no_order();
    made.data = &made;  // stands for memory that will be there
    if (const char *problem = problem_of(made)) {
      throw array_error(error_kind::invalid_layout, std::string("no such array: ") + problem);
    }
    made.data = nullptr;
    made.set_c_order();
    return made;
  }

  static void read(const DLTensor &tensor, bool read_only, description &out) {
    if (const char *problem = detail::description_from_dltensor(tensor, read_only, out)) {
      throw array_error(error_kind::invalid_layout, std::string("the DLPack struct describes no array: ") + problem);
    }
  }

  bool on_cuda() const noexcept { return about_.device.kind == device::kind_cuda; }
  void need_array() const {
    if (!owner_) throw array_error(error_kind::invalid_argument, "there is no array: it was moved from, or never made");
  }
  void need_items() const {
    if (!about_.device.is_host_accessible()) {
      throw array_error(error_kind::unsupported, "memory on " + name_of(about_.device) + " can't be copied here");
    }
    if (about_.dtype.item_bytes() == 0 && !about_.is_c_contiguous()) {
      throw array_error(error_kind::unsupported,
                        "items of " + name_of(about_.dtype) + " are no whole bytes: only C order can be copied");
    }
  }
  void need_contiguous() const {
    if (!about_.is_c_contiguous()) {
      throw array_error(error_kind::unsupported,
                        text_of(about_) +
                            " is not in C order, and strided copies on a device are not made here: "
                            "make it contiguous in its own library first");
    }
  }

  description about_;
  std::shared_ptr<array_owner> owner_;
  bool changed_ = false;
};

}  // namespace uncopy
