// SPDX-License-Identifier: MIT OR Apache-2.0
// Typed views: an array's memory with its dtype, number of axes, order and place in the C++ type. Plain data that owns
// nothing: whoever made the view says how long it may be used. As an argument of a bound function that is the call.
//
//     void blur(uncopy::view<const float, 2, uncopy::c_order, uncopy::cuda> in,
//               uncopy::view<float, 2, uncopy::c_order, uncopy::cuda> out);
//
// | part | choices |
// |---|---|
// | `T` | any type with a dtype; `const T` reads, and takes read-only arrays too |
// | `N` | number of axes, 0 to 8 |
// | order | `c_order`, `f_order`, `contiguous` (either), `strided` (any, the default) |
// | space | `host` (the default: whatever the CPU reads), `cuda` (device or managed memory), `cuda_pinned`, `cuda_managed`, `anywhere` |
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>

#include "description.hpp"
#include "driver.hpp"
#include "error.hpp"

namespace uncopy {

enum class order_kind : std::uint8_t { any, c, f, contiguous };
enum class space_kind : std::uint8_t { anywhere, host, cuda, cuda_pinned, cuda_managed };

struct strided {
  static constexpr order_kind order = order_kind::any;
};
struct c_order {
  static constexpr order_kind order = order_kind::c;
};
struct f_order {
  static constexpr order_kind order = order_kind::f;
};
struct contiguous {
  static constexpr order_kind order = order_kind::contiguous;
};

struct host {
  static constexpr space_kind space = space_kind::host;
};
struct cuda {
  static constexpr space_kind space = space_kind::cuda;
};
struct cuda_pinned {
  static constexpr space_kind space = space_kind::cuda_pinned;
};
struct cuda_managed {
  static constexpr space_kind space = space_kind::cuda_managed;
};
struct anywhere {
  static constexpr space_kind space = space_kind::anywhere;
};

// What a view asks of an array.
struct wanted {
  uncopy::dtype dtype;
  std::size_t alignment = 1;
  int ndim = 0;
  order_kind order = order_kind::any;
  space_kind space = space_kind::anywhere;
  bool writable = false;
};

namespace detail {

inline bool is_in(device where, space_kind space) noexcept {
  switch (space) {
    case space_kind::host: return where.is_host_accessible();
    case space_kind::cuda: return where.kind == device::kind_cuda || where.kind == device::kind_cuda_managed;
    case space_kind::cuda_pinned: return where.kind == device::kind_cuda_host;
    case space_kind::cuda_managed: return where.kind == device::kind_cuda_managed;
    case space_kind::anywhere: break;
  }
  return true;
}

inline bool is_ordered(const description &array, order_kind order) noexcept {
  switch (order) {
    case order_kind::c: return array.is_c_contiguous();
    case order_kind::f: return array.is_f_contiguous();
    case order_kind::contiguous: return array.is_c_contiguous() || array.is_f_contiguous();
    case order_kind::any: break;
  }
  return true;
}

inline bool is_aligned(const description &array, std::size_t alignment) noexcept {
  return reinterpret_cast<std::uintptr_t>(array.data) % alignment == 0;
}

// In the words of uncopy's constraints; empty where anything goes.
constexpr const char *text_of(order_kind order) noexcept {
  switch (order) {
    case order_kind::c: return " C";
    case order_kind::f: return " F";
    case order_kind::contiguous: return " packed";
    case order_kind::any: break;
  }
  return "";
}

constexpr const char *text_of(space_kind space) noexcept {
  switch (space) {
    case space_kind::host: return " host";
    case space_kind::cuda: return " cuda";
    case space_kind::cuda_pinned: return " cuda_host";
    case space_kind::cuda_managed: return " cuda_managed";
    case space_kind::anywhere: break;
  }
  return "";
}

inline std::string text_of_address(const void *address) {
  constexpr char digits[] = "0123456789abcdef";
  std::string text;
  for (auto rest = reinterpret_cast<std::uintptr_t>(address); rest != 0 || text.empty(); rest /= 16)
    text.insert(text.begin(), digits[rest % 16]);
  return "0x" + text;
}

}  // namespace detail

// Whether an array is what a view asks for.
inline bool fits(const description &array, const wanted &want) noexcept {
  return array.dtype == want.dtype && array.ndim == want.ndim && !(want.writable && array.read_only) &&
         detail::is_in(array.device, want.space) && detail::is_ordered(array, want.order) &&
         (array.size() == 0 || detail::is_aligned(array, want.alignment));
}

// "mut float32[_, _] cuda C".
inline std::string text_of(const wanted &want) {
  std::string axes;
  for (int axis = 0; axis < want.ndim; ++axis) axes += axis ? ", _" : "_";
  return (want.writable ? "mut " : "") + name_of(want.dtype) + "[" + axes + "]" + detail::text_of(want.space) +
         detail::text_of(want.order);
}

// What it is, what was wanted, and every part that failed: the same sentence as in Rust and Python. Empty when all fits.
inline std::string misfit_of(const description &array, const wanted &want) {
  std::string wrong;
  auto say = [&](const std::string &part) { wrong += (wrong.empty() ? "" : "; ") + part; };
  if (array.dtype != want.dtype) say("dtype is " + name_of(array.dtype));
  if (array.ndim != want.ndim) {
    say("it has " + std::to_string(array.ndim) + (array.ndim == 1 ? " axis" : " axes") + ", not " +
        std::to_string(want.ndim));
  }
  if (!detail::is_in(array.device, want.space)) say("it is on " + name_of(array.device));
  if (!detail::is_ordered(array, want.order)) {
    const char *order = want.order == order_kind::c ? " in C order" : want.order == order_kind::f ? " in F order" : "";
    say(std::string("it is not packed") + order);
  }
  if (want.writable && array.read_only) say("it is read-only");
  if (array.size() != 0 && !detail::is_aligned(array, want.alignment)) {
    say("its address " + detail::text_of_address(array.data) + " is no multiple of " + std::to_string(want.alignment));
  }
  return wrong.empty() ? wrong : text_of(array) + ", wanted " + text_of(want) + ": " + wrong;
}

template <class T, std::size_t N, class Order = strided, class Space = host>
class view {
  static_assert(N <= std::size_t{max_ndim}, "an array has at most 8 axes");
  static_assert(dtype_of<T>.bits != 0,
                "an element type has a dtype: specialise uncopy::element for a type of your own");

 public:
  using element_type = T;
  using value_type = std::remove_cv_t<T>;
  using order_type = Order;
  using space_type = Space;
  static constexpr std::size_t rank() noexcept { return N; }
  static constexpr bool is_writable = !std::is_const_v<T>;
  static constexpr wanted want{dtype_of<T>, alignof(T), int(N), Order::order, Space::space, is_writable};

  // A view of nothing.
  view() noexcept = default;

  // The view that a description describes, unchecked: it must fit `want`. `origin` is the Python object that it came
  // from, if any; the casters use it.
  static view assume(const description &array, void *origin = nullptr) noexcept {
    view made;
    made.data_ = static_cast<T *>(array.data);
    for (std::size_t axis = 0; axis < N; ++axis) {
      made.shape_[axis] = array.shape[axis];
      made.strides_[axis] = array.strides[axis];
    }
    made.device_ = array.device;
    made.has_stream_ = array.has_stream;
    made.read_only_ = array.read_only;
    made.stream_ = array.stream;
    made.origin_ = origin;
    return made;
  }

  // A view of C++ memory in C order; the caller keeps it alive.
  view(T *data, const std::array<std::int64_t, N> &shape, uncopy::device where = {})
      : data_(data), shape_(shape), device_(where) {
    std::int64_t step = 1;
    for (std::size_t axis = N; axis-- > 0;) {
      strides_[axis] = step;
      step *= shape_[axis];
    }
    if (!fits(describe(), want)) throw array_error(error_kind::invalid_argument, misfit_of(describe(), want));
  }

  // To a view that asks for less: const, any strides, anywhere.
  template <class U, class O, class S,
            class = std::enable_if_t<
                std::is_same_v<value_type, std::remove_cv_t<U>> &&
                (std::is_const_v<U> || !std::is_const_v<T>)&&(std::is_same_v<O, Order> || std::is_same_v<O, strided>)&&(
                    std::is_same_v<S, Space> || std::is_same_v<S, anywhere>)>>
  operator view<U, N, O, S>() const noexcept {
    return view<U, N, O, S>::assume(describe(), origin_);
  }

  // The element of index 0 along every axis; strides may lead below it.
  T *data() const noexcept { return data_; }
  const std::array<std::int64_t, N> &shape() const noexcept { return shape_; }
  const std::array<std::int64_t, N> &strides() const noexcept { return strides_; }  // in elements
  std::int64_t extent(std::size_t axis) const noexcept { return shape_[axis]; }
  std::int64_t stride(std::size_t axis) const noexcept { return strides_[axis]; }
  std::int64_t size() const noexcept {
    std::int64_t product = 1;
    for (std::int64_t extent : shape_) product *= extent;
    return product;
  }
  uncopy::device device() const noexcept { return device_; }
  // The stream to put work into that reads or writes the array: the one that its owner works in, so nothing has to wait.
  // The legacy default stream for memory that has none.
  uncopy::stream stream() const noexcept { return stream_; }
  bool has_stream() const noexcept { return has_stream_; }

  // One element; host memory only. Indices are not checked.
  template <class... I, class = std::enable_if_t<sizeof...(I) == N && (std::is_convertible_v<I, std::int64_t> && ...)>>
  T &operator()(I... indices) const noexcept {
    static_assert(Space::space == space_kind::host || Space::space == space_kind::cuda_pinned ||
                      Space::space == space_kind::cuda_managed,
                  "elements of device memory can't be read by the CPU");
    const std::array<std::int64_t, N> at{static_cast<std::int64_t>(indices)...};
    std::int64_t offset = 0;
    for (std::size_t axis = 0; axis < N; ++axis) offset += at[axis] * strides_[axis];
    return data_[offset];
  }

  // Makes what is put into `reader` from now on run after the array's content is made.
  void ready_on(uncopy::stream reader) const {
    if (has_stream_) driver::order(device_.id, stream_, reader);
  }
  // Tells the array's stream to run after what `user` holds now: call it after putting work that uses the array into a
  // stream other than the array's, so that its owner neither overwrites nor reuses the memory too early.
  void used_on(uncopy::stream user) const {
    if (has_stream_) driver::order(device_.id, user, stream_);
  }

  description describe() const noexcept {
    description array;
    array.data = const_cast<value_type *>(data_);
    array.dtype = dtype_of<T>;
    array.device = device_;
    array.ndim = int(N);
    array.read_only = std::is_const_v<T> || read_only_;
    array.has_stream = has_stream_;
    array.stream = stream_;
    for (std::size_t axis = 0; axis < N; ++axis) {
      array.shape[axis] = shape_[axis];
      array.strides[axis] = strides_[axis];
    }
    return array;
  }

  // The Python object that it is a view of; null for C++ memory. Borrowed.
  void *origin() const noexcept { return origin_; }

 private:
  T *data_ = nullptr;
  std::array<std::int64_t, N> shape_{};
  std::array<std::int64_t, N> strides_{};
  uncopy::device device_;
  bool has_stream_ = false;
  bool read_only_ = false;
  uncopy::stream stream_;
  void *origin_ = nullptr;
};

// The stream to launch work in that uses several arrays: the first one's, made to run after the content of the others.
template <class First, class... Rest>
stream join(const First &first, const Rest &...rest) {
  const stream joined = first.stream();
  (rest.ready_on(joined), ...);
  return joined;
}

// After such a launch: tells the streams of all of them.
template <class... Views>
void used_on(stream user, const Views &...views) {
  (views.used_on(user), ...);
}

}  // namespace uncopy
