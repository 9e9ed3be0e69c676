// SPDX-License-Identifier: MIT OR Apache-2.0
// Signatures as `help()` shows them, made at compile time: "uncopy.view[const float32, 2, c_order, cuda]".
#pragma once

#include <cstddef>
#include <string_view>
#include <type_traits>

#include "../array/view.hpp"
#include "give.hpp"

namespace uncopy::python {

template <std::size_t N>
struct characters_of {
  char characters[N + 1] = {};
};

template <class View>
struct view_signature {
 private:
  static constexpr std::string_view order() {
    switch (View::want.order) {
      case order_kind::c: return ", c_order";
      case order_kind::f: return ", f_order";
      case order_kind::contiguous: return ", contiguous";
      case order_kind::any: break;
    }
    return ", strided";
  }
  static constexpr std::string_view space() {
    switch (View::want.space) {
      case space_kind::host: return ", host]";
      case space_kind::cuda: return ", cuda]";
      case space_kind::cuda_pinned: return ", cuda_pinned]";
      case space_kind::cuda_managed: return ", cuda_managed]";
      case space_kind::anywhere: break;
    }
    return ", anywhere]";
  }
  static constexpr std::string_view start() { return View::want.writable ? "uncopy.view[" : "uncopy.view[const "; }
  static constexpr std::string_view dtype_name() { return uncopy::detail::plain_name(View::want.dtype); }

 public:
  static constexpr std::size_t length = start().size() + dtype_name().size() + 3 + order().size() + space().size();

 private:
  static constexpr characters_of<length> make() {
    characters_of<length> made;
    std::size_t at = 0;
    auto put = [&](std::string_view text) {
      for (char one : text) made.characters[at++] = one;
    };
    put(start());
    put(dtype_name());
    put(", ");
    made.characters[at++] = static_cast<char>('0' + View::want.ndim);
    put(order());
    put(space());
    return made;
  }

 public:
  static constexpr characters_of<length> text = make();
};

// What a binding library's `const_name` makes of the name of a framework's class.
template <framework F, class ConstName>
constexpr auto framework_descr(ConstName const_name) {
  if constexpr (F == framework::numpy)
    return const_name("numpy.ndarray");
  else if constexpr (F == framework::torch)
    return const_name("torch.Tensor");
  else if constexpr (F == framework::cupy)
    return const_name("cupy.ndarray");
  else
    return const_name("jax.Array");
}

}  // namespace uncopy::python
