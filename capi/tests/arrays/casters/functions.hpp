// SPDX-License-Identifier: MIT OR Apache-2.0
// Functions that take and return arrays: what the tests call, bound alike by pybind11 and by nanobind.
#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <uncopy/array.hpp>
#include <uncopy/python/give.hpp>

#include "pycai/saxpy.hpp"

namespace functions {

using namespace uncopy;

template <class T>
double sum1(const view<const T, 1> &x) {
  double total = 0;
  for (std::int64_t i = 0; i < x.extent(0); ++i) total += static_cast<double>(x(i));
  return total;
}

inline double sum(view<const float, 1> x) { return sum1(x); }

// Weighted by position, so that a wrong stride shows.
inline double weighed(view<const float, 2> x) {
  double total = 0;
  for (std::int64_t i = 0; i < x.extent(0); ++i) {
    for (std::int64_t j = 0; j < x.extent(1); ++j)
      total += static_cast<double>((i * x.extent(1) + j + 1)) * static_cast<double>(x(i, j));
  }
  return total;
}

inline void fill(view<float, 1> x, float value) {
  for (std::int64_t i = 0; i < x.extent(0); ++i) x(i) = value;
}

inline double of_no_axes(view<const double, 0> x) { return x(); }

template <class T, std::size_t N, class Order, class Space>
std::uintptr_t address(view<T, N, Order, Space> x) {
  return reinterpret_cast<std::uintptr_t>(x.data());
}

// The bits of an item that C++ has no type for.
inline std::uint16_t first_bits(view<const bfloat16, 1> x) { return x(0).bits; }

inline const char *kind_of_float(view<const float, 1>) { return "float32 on the host"; }
inline const char *kind_of_double(view<const double, 1>) { return "float64 on the host"; }
inline const char *kind_of_int(view<const std::int32_t, 2>) { return "int32 of two axes"; }
inline const char *kind_on_device(view<const float, 1, strided, cuda>) { return "float32 on a device"; }

inline std::int64_t size_or_none(std::optional<view<const float, 1>> x) { return x ? x->size() : -1; }
inline double sum_of_all(const std::vector<view<const float, 1>> &all) {
  double total = 0;
  for (const auto &x : all) total += sum1(x);
  return total;
}

inline std::string describe_all(const std::vector<array> &all) {
  std::string text;
  for (const array &x : all) text += text_of(x.describe()) + "; ";
  return text;
}
inline std::string describe_by_pointer(const array *x) { return text_of(x->describe()); }
inline std::int64_t size_by_reference(view<const float, 1> &x) { return x.size(); }
inline std::optional<array> same_or_none(std::optional<array> x) { return x; }
inline std::size_t which(const std::variant<view<const float, 1>, view<const double, 1>> &x) { return x.index(); }
inline std::string describe(const array &x) { return text_of(x.describe()); }
inline std::string where(view<const float, 1, strided, anywhere> x) { return name_of(x.device()); }
inline std::uint64_t stream_of_any(const array &x) { return x.has_stream() ? x.stream().raw() : 0; }
inline std::uint64_t stream_of(view<const float, 1, strided, anywhere> x) {
  return x.has_stream() ? x.stream().raw() : 0;
}

// What the module keeps.
inline std::vector<array> &kept() {
  static auto *arrays = new std::vector<array>;
  return *arrays;
}
inline void keep(array x) { kept().push_back(std::move(x)); }
inline array give_back(std::size_t index) { return kept().at(index).share(); }
inline array give_back_read_only(std::size_t index) { return kept().at(index).share().read_only(); }
inline void forget() { kept().clear(); }
inline std::size_t count_kept() { return kept().size(); }

inline array same(array x) { return x; }
inline view<const float, 1> same_view(view<const float, 1> x) { return x; }

inline dtype dtype_named(const std::string &name) {
  const auto found = dtype_from_name(name);
  if (!found) throw array_error(error_kind::invalid_dtype, "unknown dtype '" + name + "'");
  return *found;
}

// Bytes 0, 1, 2, ... as items of a dtype.
inline array make(const std::vector<std::int64_t> &shape, const std::string &name) {
  array made = array::empty(dtype_named(name), shape);
  for (std::size_t i = 0; i < made.size_bytes(); ++i)
    static_cast<unsigned char *>(made.data())[i] = static_cast<unsigned char>(i);
  return made;
}
inline array make_read_only(const std::vector<std::int64_t> &shape) { return make(shape, "float32").read_only(); }
inline array make_reversed(std::int64_t size) {
  array whole = make({size}, "int32");
  for (std::int64_t i = 0; i < size; ++i) static_cast<std::int32_t *>(whole.data())[i] = static_cast<std::int32_t>(i);
  description about = whole.describe();
  about.data = static_cast<std::int32_t *>(whole.data()) + size - 1;
  about.strides[0] = -1;
  return array::wrap_with(about, std::move(whole));
}

// Counts arrays whose memory is still there.
inline int &alive() {
  static int count = 0;
  return count;
}
struct counted {
  std::vector<float> values;
  bool here = true;
  explicit counted(std::vector<float> given) : values(std::move(given)) { ++alive(); }
  counted(counted &&other) noexcept : values(std::move(other.values)) { other.here = false; }
  ~counted() {
    if (here) --alive();
  }
};
inline array make_counted(std::int64_t size) {
  counted owner(std::vector<float>(static_cast<std::size_t>(size), 1.0f));
  description about;
  about.data = owner.values.data();
  about.dtype = dtypes::float32;
  about.ndim = 1;
  about.shape[0] = size;
  about.strides[0] = 1;
  return array::wrap_with(about, std::move(owner));
}
inline int count_alive() { return alive(); }

inline as_numpy make_numpy(std::int64_t size) { return make_counted(size); }
inline std::pair<as_numpy, std::int64_t> make_with_size(std::int64_t size) { return {make_counted(size), size}; }
// Any array again as NumPy's.
inline as_numpy as_numpy_again(const array &x) { return x.share(); }
inline as_numpy make_numpy_of(const std::vector<std::int64_t> &shape, const std::string &name) {
  return make(shape, name);
}
inline as_numpy make_numpy_on_device() { return array::empty<float>({2}, device::cuda()); }
inline as_torch make_torch(std::int64_t size) { return make_counted(size); }
inline as_jax make_jax(std::int64_t size) { return make_counted(size); }
inline as_torch make_read_only_torch() { return make_read_only({2}); }
inline as_like make_like(view<const float, 1, strided, anywhere> x) { return {make_counted(3), x}; }

inline array never_made() { return {}; }
inline std::uintptr_t as_matrix(const array &x) { return reinterpret_cast<std::uintptr_t>(x.view<float, 2>().data()); }

// On a device.
inline array make_on_device(const std::vector<float> &values, std::uint64_t handle) {
  array made = array::empty<float>({static_cast<std::int64_t>(values.size())}, device::cuda()).made_on(stream(handle));
  driver::copy(0, made.data(), values.data(), values.size() * sizeof(float), driver::direction::host_to_device,
               made.stream());
  return made;
}
inline as_cupy make_cupy(const std::vector<float> &values, std::uint64_t handle) {
  return make_on_device(values, handle);
}
inline array make_read_only_on_device() { return make_on_device({1, 2}, 1).read_only(); }
inline void saxpy_on_device(view<float, 1, strided, cuda> s, view<const float, 1, strided, cuda> x,
                            view<const float, 1, strided, cuda> y, float a) {
  const stream in = join(s, x, y);
  saxpy::launch(s.device().id, in, s.data(), x.data(), y.data(), a, static_cast<std::uint64_t>(s.size()), s.stride(0),
                x.stride(0), y.stride(0));
  used_on(in, s, x, y);
}

// A class that keeps memory and shows it.
class holder {
 public:
  explicit holder(std::vector<float> values) : values_(std::move(values)) {}
  view<float, 1> values() { return {values_.data(), {static_cast<std::int64_t>(values_.size())}}; }
  double first() const { return static_cast<double>(values_.at(0)); }

 private:
  std::vector<float> values_;
};

inline view<float, 1> of_nobody() {
  static std::vector<float> values(3, 7.0f);
  return {values.data(), {3}};
}

// What both modules define, by `module.def(name, function)`.
template <class Module>
void define(Module &module) {
  module.def("weighed", &weighed);
  module.def("fill", &fill);
  module.def("of_no_axes", &of_no_axes);
  module.def("address_c", &address<const float, 2, c_order, host>);
  module.def("address_f", &address<const float, 2, f_order, host>);
  module.def("address_contiguous", &address<const float, 2, contiguous, host>);
  module.def("address_uint8", &address<const std::uint8_t, 3, strided, host>);
  module.def("address_of_doubles", &address<const double, 1, strided, host>);
  module.def("address_on_device", &address<const float, 1, strided, cuda>);
  module.def("first_bits", &first_bits);
  module.def("kind", &kind_of_float);
  module.def("kind", &kind_of_double);
  module.def("kind", &kind_of_int);
  module.def("kind", &kind_on_device);
  module.def("size_or_none", &size_or_none);
  module.def("sum_of_all", &sum_of_all);
  module.def("describe_all", &describe_all);
  module.def("describe_by_pointer", &describe_by_pointer);
  module.def("size_by_reference", &size_by_reference);
  module.def("same_or_none", &same_or_none);
  module.def("which", &which);
  module.def("make_with_size", &make_with_size);
  module.def("describe", &describe);
  module.def("where", &where);
  module.def("stream_of", &stream_of);
  module.def("stream_of_any", &stream_of_any);
  module.def("keep", &keep);
  module.def("give_back", &give_back);
  module.def("give_back_read_only", &give_back_read_only);
  module.def("forget", &forget);
  module.def("count_kept", &count_kept);
  module.def("same", &same);
  module.def("same_view", &same_view);
  module.def("make", &make);
  module.def("make_read_only", &make_read_only);
  module.def("make_reversed", &make_reversed);
  module.def("make_counted", &make_counted);
  module.def("count_alive", &count_alive);
  module.def("make_numpy", &make_numpy);
  module.def("as_numpy_again", &as_numpy_again);
  module.def("make_numpy_of", &make_numpy_of);
  module.def("make_numpy_on_device", &make_numpy_on_device);
  module.def("make_torch", &make_torch);
  module.def("make_jax", &make_jax);
  module.def("make_cupy", &make_cupy);
  module.def("make_read_only_torch", &make_read_only_torch);
  module.def("make_like", &make_like);
  module.def("never_made", &never_made);
  module.def("as_matrix", &as_matrix);
  module.def("make_on_device", &make_on_device);
  module.def("make_read_only_on_device", &make_read_only_on_device);
  module.def("saxpy_on_device", &saxpy_on_device);
}

}  // namespace functions
