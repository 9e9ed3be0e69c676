// SPDX-License-Identifier: MIT OR Apache-2.0
// Arrays of any framework as arguments and results of functions bound with pybind11. Header-only.
//
//     #include <uncopy/pybind11.hpp>
//
//     double sum(uncopy::view<const float, 1> x);
//     uncopy::array make(std::int64_t n) { return uncopy::array::empty<float>({n}); }
//
//     PYBIND11_MODULE(example, m) {
//       m.def("sum", &sum, py::arg("x"));
//       m.def("make", &make);
//       uncopy::explain_refusals(m, "sum");
//     }
//
// | C++ | in Python |
// |---|---|
// | argument `view<T, N, Order, Space>` | any array that fits, borrowed for the call, never copied; the next overload is tried where it does not |
// | argument `array` | any array, kept as long as wanted |
// | result `array` | the object that it came from, or a new one that speaks every protocol |
// | result `view` of an argument | that argument |
// | result `view` of C++ memory | needs `return_value_policy::copy`, or `reference_internal` in a method |
// | result `as_numpy`, `as_torch`, `as_cupy`, `as_jax`, `as_like` | an array of that framework |
#pragma once

#include <pybind11/pybind11.h>

#include <exception>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "array.hpp"
#include "python/argument.hpp"
#include "python/give.hpp"
#include "python/signature.hpp"

namespace uncopy::python::pybind {

// Errors of ours become the built-in exception of their kind in every module that uses a caster. Once for each module.
inline void translate_errors() {
  static const bool once = [] {
    pybind11::register_local_exception_translator([](std::exception_ptr raised) {
      try {
        if (raised) std::rethrow_exception(raised);
      } catch (const array_error &error) {
        set_exception(error);
      }
    });
    return true;
  }();
  (void)once;
}

inline pybind11::handle given(PyObject *made) {
  if (!made) throw pybind11::error_already_set();
  return made;
}

// Keeps what a view needs until the call has ended, also when the caster itself goes earlier (std::optional, std::vector).
// False outside of a call.
inline bool keep_for_call(PyObject *keeper) {
#if PYBIND11_VERSION_HEX >= 0x03010000
  return pybind11::detail::loader_life_support::try_add_patient(keeper);
#else
  try {
    pybind11::detail::loader_life_support::add_patient(keeper);
    return true;
  } catch (const pybind11::cast_error &) {
    return false;
  }
#endif
}

// Keeps a Python object alive as long as the memory that it owns is used.
inline array borrowed_from(const description &about, pybind11::handle owner) {
  auto held = std::make_shared<detail::python_owner>();
  held->keeper = ref::borrow(owner.ptr()).release();
  return array::wrap(about, std::move(held));
}

inline PyObject *give_view(const description &about, void *origin, pybind11::return_value_policy policy,
                           pybind11::handle parent) {
  using pybind11::return_value_policy;
  if (origin) return ref::borrow(static_cast<PyObject *>(origin)).release();
  if (policy == return_value_policy::copy) return give(array::wrap(about, std::make_shared<array_owner>()).to_packed());
  if (policy == return_value_policy::reference_internal && parent) return give(borrowed_from(about, parent));
  throw array_error(
      error_kind::invalid_argument,
      "a view of C++ memory was returned, and nothing says who keeps the memory: return an uncopy::array, or bind the "
      "function with return_value_policy::copy, or a method with reference_internal");
}

}  // namespace uncopy::python::pybind

namespace pybind11 {
namespace detail {

template <class T, std::size_t N, class Order, class Space>
class type_caster<uncopy::view<T, N, Order, Space>> {
 public:
  using value_type = uncopy::view<T, N, Order, Space>;
  using signature = uncopy::python::view_signature<value_type>;
  static constexpr auto name = descr<signature::length>(signature::text.characters);
  template <class U>
  using cast_op_type = std::conditional_t<std::is_lvalue_reference_v<U>, value_type &, value_type>;

  bool load(handle source, bool) {
    uncopy::python::pybind::translate_errors();
    uncopy::python::taken found;
    if (!source || !uncopy::python::take_view(source.ptr(), value_type::want, found)) return false;
    value_ = value_type::assume(found.about, source.ptr());
    if (found.keeper && !uncopy::python::pybind::keep_for_call(found.keeper.get())) keeper_ = std::move(found.keeper);
    return true;
  }
  operator value_type() const noexcept { return value_; }
  operator value_type &() noexcept { return value_; }

  static handle cast(const value_type &result, return_value_policy policy, handle parent) {
    uncopy::python::pybind::translate_errors();
    return uncopy::python::pybind::given(
        uncopy::python::pybind::give_view(result.describe(), result.origin(), policy, parent));
  }

 private:
  value_type value_;
  uncopy::python::ref keeper_;
};

template <>
class type_caster<uncopy::array> {
 public:
  static constexpr auto name = const_name("uncopy.array");
  // By value it is moved; by reference or pointer it is what the caster holds for the call.
  template <class U>
  using cast_op_type =
      std::conditional_t<std::is_pointer_v<std::remove_reference_t<U>>, uncopy::array *,
                         std::conditional_t<std::is_lvalue_reference_v<U>, uncopy::array &, uncopy::array &&>>;

  bool load(handle source, bool) {
    uncopy::python::pybind::translate_errors();
    return source && uncopy::python::take_array(source.ptr(), value_);
  }
  operator uncopy::array *() noexcept { return &value_; }
  operator uncopy::array &() noexcept { return value_; }
  operator uncopy::array &&() &&noexcept { return std::move(value_); }

  static handle cast(uncopy::array &&result, return_value_policy, handle) {
    uncopy::python::pybind::translate_errors();
    return uncopy::python::pybind::given(uncopy::python::give(std::move(result)));
  }
  // By reference: another handle of the same memory.
  static handle cast(const uncopy::array &result, return_value_policy, handle) {
    uncopy::python::pybind::translate_errors();
    return uncopy::python::pybind::given(uncopy::python::give(result.share()));
  }
  static handle cast(const uncopy::array *result, return_value_policy policy, handle parent) {
    return result ? cast(*result, policy, parent) : none().release();
  }

 private:
  uncopy::array value_;
};

template <uncopy::framework F>
class type_caster<uncopy::returned_as<F>> {
 public:
  static constexpr auto name = uncopy::python::framework_descr<F>([](auto const &text) { return const_name(text); });
  template <class>
  using cast_op_type = uncopy::returned_as<F>;
  static handle cast(uncopy::returned_as<F> &&result, return_value_policy, handle) {
    uncopy::python::pybind::translate_errors();
    return uncopy::python::pybind::given(uncopy::python::give_as<F>(std::move(result.value)));
  }
};

template <>
class type_caster<uncopy::python::unmatched> {
 public:
  static constexpr auto name = const_name("object");
  template <class>
  using cast_op_type = uncopy::python::unmatched;
  bool load(handle source, bool convert) {
    value_.object = source.ptr();
    return convert;
  }
  operator uncopy::python::unmatched() const noexcept { return value_; }

 private:
  uncopy::python::unmatched value_;
};

template <>
class type_caster<uncopy::as_like> {
 public:
  static constexpr auto name = const_name("uncopy.array");
  template <class>
  using cast_op_type = uncopy::as_like;
  static handle cast(uncopy::as_like &&result, return_value_policy, handle) {
    uncopy::python::pybind::translate_errors();
    return uncopy::python::pybind::given(
        uncopy::python::give_like(std::move(result.value), static_cast<PyObject *>(result.origin)));
  }
};

}  // namespace detail
}  // namespace pybind11

namespace uncopy {

// Makes a call that no overload takes say which argument, what it is, what was wanted and which part failed, in place of
// pybind11's list of signatures. Call it after the last overload of `name` was defined.
inline void explain_refusals(pybind11::module_ &module, const char *name) {
  const std::string function = name;
  const auto said = [function](python::unmatched first, const pybind11::args &rest,
                               const pybind11::kwargs &keywords) -> pybind11::object {
    throw pybind11::type_error(python::explain(function, nullptr, first, rest.ptr(), keywords.ptr()));
  };
  module.def(name, said, pybind11::arg_v("uncopy_first", pybind11::handle(python::no_argument()), "..."),
             "Says why no overload takes the arguments.");
}

// The same for a method of a bound class; the object itself is argument 1.
template <class... Options>
void explain_refusals(pybind11::class_<Options...> &bound, const char *name) {
  const std::string function = name;
  const auto said = [function](const pybind11::object &self, python::unmatched first, const pybind11::args &rest,
                               const pybind11::kwargs &keywords) -> pybind11::object {
    throw pybind11::type_error(python::explain(function, self.ptr(), first, rest.ptr(), keywords.ptr()));
  };
  bound.def(name, said, pybind11::arg_v("uncopy_first", pybind11::handle(python::no_argument()), "..."),
            "Says why no overload takes the arguments.");
}

}  // namespace uncopy
