// SPDX-License-Identifier: MIT OR Apache-2.0
// Arrays of any framework as arguments and results of functions bound with nanobind. Header-only.
//
//     #include <uncopy/nanobind.hpp>
//
//     double sum(uncopy::view<const float, 1> x);
//     uncopy::array make(std::int64_t n) { return uncopy::array::empty<float>({n}); }
//
//     NB_MODULE(example, m) {
//       m.def("sum", &sum, "x"_a);
//       m.def("make", &make);
//       uncopy::explain_refusals(m, "sum");
//     }
//
// The table of arguments and results is that of uncopy/pybind11.hpp, with nanobind's names: `rv_policy::copy` and
// `rv_policy::reference_internal` say who keeps the memory of a view that is returned. Both headers may be used in one
// program, not in one file.
#pragma once

#include <nanobind/nanobind.h>

#include <exception>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>

#include "array.hpp"
#include "python/argument.hpp"
#include "python/give.hpp"
#include "python/signature.hpp"

namespace uncopy::python::nano {

// Errors of ours become the built-in exception of their kind. Once for each module.
inline void translate_errors() {
  static const bool once = [] {
    nanobind::register_exception_translator([](const std::exception_ptr &raised, void *) {
      try {
        std::rethrow_exception(raised);
      } catch (const array_error &error) {
        set_exception(error);
      }
    });
    return true;
  }();
  (void)once;
}

// Null, with an exception set, where nothing says who keeps the memory.
inline PyObject *give_view(const description &about, void *origin, nanobind::rv_policy policy,
                           PyObject *parent) noexcept {
  if (origin) return ref::borrow(static_cast<PyObject *>(origin)).release();
  return detail::guarded([&]() -> PyObject * {
    if (policy == nanobind::rv_policy::copy)
      return give(array::wrap(about, std::make_shared<array_owner>()).to_packed());
    if (policy == nanobind::rv_policy::reference_internal && parent) {
      auto held = std::make_shared<detail::python_owner>();
      held->keeper = ref::borrow(parent).release();
      return give(array::wrap(about, std::move(held)));
    }
    throw array_error(error_kind::invalid_argument,
                      "a view of C++ memory was returned, and nothing says who keeps the memory: return an "
                      "uncopy::array, or bind the "
                      "function with rv_policy::copy, or a method with rv_policy::reference_internal");
  });
}

}  // namespace uncopy::python::nano

namespace nanobind {
namespace detail {

template <class T, std::size_t N, class Order, class Space>
struct type_caster<uncopy::view<T, N, Order, Space>> {
  using Value = uncopy::view<T, N, Order, Space>;
  using signature = uncopy::python::view_signature<Value>;
  static constexpr auto Name = descr<signature::length>(signature::text.characters);
  template <class U>
  using Cast = std::conditional_t<std::is_lvalue_reference_v<U>, Value &, Value>;
  template <class>
  static constexpr bool can_cast() {
    return true;
  }

  template <class Flags>
  bool from_python(handle source, Flags, cleanup_list *cleanup) noexcept {
    try {
      uncopy::python::nano::translate_errors();
      uncopy::python::taken found;
      if (!uncopy::python::take_view(source.ptr(), Value::want, found)) return false;
      value_ = Value::assume(found.about, source.ptr());
      // Kept until the call has ended, also when this caster goes earlier.
      if (found.keeper && cleanup)
        cleanup->append(found.keeper.release());
      else
        keeper_ = std::move(found.keeper);
      return true;
    } catch (...) {
      return false;  // no memory for words
    }
  }
  explicit operator Value() const noexcept { return value_; }
  explicit operator Value &() noexcept { return value_; }

  static handle from_cpp(const Value &result, rv_policy policy, cleanup_list *cleanup) noexcept {
    uncopy::python::nano::translate_errors();
    return uncopy::python::nano::give_view(result.describe(), result.origin(), policy,
                                           cleanup ? cleanup->self() : nullptr);
  }

 private:
  Value value_;
  uncopy::python::ref keeper_;
};

template <>
struct type_caster<uncopy::array> {
  NB_TYPE_CASTER(uncopy::array, const_name("uncopy.array"))

  template <class Flags>
  bool from_python(handle source, Flags, cleanup_list *) noexcept {
    try {
      uncopy::python::nano::translate_errors();
      return uncopy::python::take_array(source.ptr(), value);
    } catch (...) {
      return false;
    }
  }
  static handle from_cpp(uncopy::array &&result, rv_policy, cleanup_list *) noexcept {
    uncopy::python::nano::translate_errors();
    return uncopy::python::give(std::move(result));
  }
  // By reference: another handle of the same memory.
  static handle from_cpp(const uncopy::array &result, rv_policy, cleanup_list *) noexcept {
    uncopy::python::nano::translate_errors();
    return uncopy::python::give(result.share());
  }
};

template <uncopy::framework F>
struct type_caster<uncopy::returned_as<F>> {
  using Value = uncopy::returned_as<F>;
  static constexpr auto Name = uncopy::python::framework_descr<F>([](auto const &text) { return const_name(text); });
  template <class>
  using Cast = Value;
  static handle from_cpp(Value &&result, rv_policy, cleanup_list *) noexcept {
    uncopy::python::nano::translate_errors();
    return uncopy::python::give_as<F>(std::move(result.value));
  }
};

template <>
struct type_caster<uncopy::python::unmatched> {
  using Value = uncopy::python::unmatched;
  static constexpr auto Name = const_name("object");
  template <class>
  using Cast = Value;
  template <class>
  static constexpr bool can_cast() {
    return true;
  }
  template <class Flags>
  bool from_python(handle source, Flags flags, cleanup_list *) noexcept {
    value_.object = source.ptr();
    return (static_cast<unsigned>(flags) & static_cast<unsigned>(cast_flags::convert)) != 0;
  }
  explicit operator Value() const noexcept { return value_; }

 private:
  Value value_;
};

template <>
struct type_caster<uncopy::as_like> {
  using Value = uncopy::as_like;
  static constexpr auto Name = const_name("uncopy.array");
  template <class>
  using Cast = Value;
  static handle from_cpp(Value &&result, rv_policy, cleanup_list *) noexcept {
    uncopy::python::nano::translate_errors();
    return uncopy::python::give_like(std::move(result.value), static_cast<PyObject *>(result.origin));
  }
};

}  // namespace detail
}  // namespace nanobind

namespace uncopy {

// Makes a call that no overload takes say which argument, what it is, what was wanted and which part failed, in place of
// nanobind's list of signatures. Call it after the last overload of `name` was defined.
inline void explain_refusals(nanobind::module_ &module, const char *name) {
  const std::string function = name;
  const auto said = [function](python::unmatched first, const nanobind::args &rest,
                               const nanobind::kwargs &keywords) -> nanobind::object {
    const std::string text = python::explain(function, nullptr, first, rest.ptr(), keywords.ptr());
    throw nanobind::type_error(text.c_str());
  };
  const auto none_given = nanobind::borrow<nanobind::object>(python::no_argument());
  module.def(name, said, nanobind::arg("uncopy_first").none().sig("...") = none_given, nanobind::arg("args"),
             nanobind::arg("kwargs"));
}

// The same for a method of a bound class; the object itself is argument 1.
template <class T, class... Options>
void explain_refusals(nanobind::class_<T, Options...> &bound, const char *name) {
  const std::string function = name;
  const auto said = [function](nanobind::handle self, python::unmatched first, const nanobind::args &rest,
                               const nanobind::kwargs &keywords) -> nanobind::object {
    const std::string text = python::explain(function, self.ptr(), first, rest.ptr(), keywords.ptr());
    throw nanobind::type_error(text.c_str());
  };
  const auto none_given = nanobind::borrow<nanobind::object>(python::no_argument());
  bound.def(name, said, nanobind::arg("uncopy_first").none().sig("...") = none_given, nanobind::arg("args"),
            nanobind::arg("kwargs"));
}

}  // namespace uncopy
