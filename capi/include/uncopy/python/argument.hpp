// SPDX-License-Identifier: MIT OR Apache-2.0
// One argument of a bound function: taken as a view or as an array, and, when no overload fits, said what was wrong with it.
//
// A binding library tries its overloads one after the other, so a caster only answers yes or no. What was refused is noted
// (a few words of plain data, no text), and the text is made when `explain_refusals` asks for it.
#pragma once

#include "object.hpp"

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "../array/view.hpp"
#include "refusal.hpp"
#include "take.hpp"

namespace uncopy::python {

namespace detail {

struct noted_refusal {
  PyObject *object;    // only compared, never used: it may be gone
  const wanted *want;  // null for an `uncopy::array`, which takes anything
};

// The last refusals of this thread, since the last argument that was taken.
struct noted {
  static constexpr std::size_t most = 16;
  noted_refusal list[most];
  std::size_t count;
};

inline noted &notes() noexcept {
  static thread_local noted found{};
  return found;
}

inline bool note(PyObject *object, const wanted *want) noexcept {
  noted &all = notes();
  all.list[all.count++ % noted::most] = {object, want};
  return false;
}

}  // namespace detail

// An argument as a view; valid while `out.keeper` and the object live. False, and noted, where it does not fit.
inline bool take_view(PyObject *object, const wanted &want, taken &out) {
  refusal why;
  if (!take(object, !want.writable, false, out, why) || !fits(out.about, want)) return detail::note(object, &want);
  detail::notes().count = 0;
  return true;
}

inline bool take_array(PyObject *object, array &out) {
  refusal why;
  if (!take_owned(object, out, why)) return detail::note(object, nullptr);
  detail::notes().count = 0;
  return true;
}

// The first parameter of the overload that explains: it takes anything, but only in the pass in which arguments may be
// converted. So it comes after every other overload had both its chances.
struct unmatched {
  PyObject *object = nullptr;
};

// What stands for it in calls without a positional argument; kept for ever.
inline PyObject *no_argument() {
  static PyObject *made = PyObject_CallObject(reinterpret_cast<PyObject *>(&PyBaseObject_Type), nullptr);
  return made;
}

// What is wrong with an object as an argument: "numpy.ndarray float64[3] on cpu, wanted float32[_] host: dtype is float64".
inline std::string reason_for(PyObject *object, const wanted *want) {
  taken found;
  refusal why;
  const std::string named = type_name(object);
  if (!take(object, want && !want->writable, !want, found, why))
    return (why.names_type ? "" : "the ") + named + " " + why.text();
  return named + " " + (want ? misfit_of(found.about, *want) : text_of(found.about) + " was not taken");
}

// The message for a call that no overload took: which argument, what it is, what was wanted, which part failed. `self` and
// `keywords` may be null; `rest` is a tuple.
inline std::string explain(const std::string &function, PyObject *self, unmatched first, PyObject *rest,
                           PyObject *keywords) {
  std::string text = function + "(): ";
  std::vector<PyObject *> arguments;
  if (self) arguments.push_back(self);
  if (first.object != no_argument()) arguments.push_back(first.object);
  for (Py_ssize_t i = 0; i < PyTuple_Size(rest); ++i) arguments.push_back(PyTuple_GetItem(rest, i));
  std::size_t said = 0;
  auto say = [&](const std::string &which, PyObject *object) {
    const detail::noted all = detail::notes();
    const std::size_t kept = all.count < detail::noted::most ? all.count : detail::noted::most;
    for (std::size_t back = 1; back <= kept; ++back) {
      const detail::noted_refusal &one = all.list[(all.count - back) % detail::noted::most];
      if (one.object != object) continue;
      text += (said++ ? "; " : "") + which + ": " + reason_for(object, one.want);
      return;
    }
  };
  for (std::size_t i = 0; i < arguments.size(); ++i) say("argument " + std::to_string(i + 1), arguments[i]);
  PyObject *key = nullptr, *value = nullptr;
  for (Py_ssize_t at = 0; keywords && PyDict_Next(keywords, &at, &key, &value);) say("argument " + text_of(key), value);
  detail::notes().count = 0;
  if (said) return text;
  text += "no overload takes (";
  const char *between = "";
  for (PyObject *one : arguments) text += std::exchange(between, ", ") + type_name(one);
  for (Py_ssize_t at = 0; keywords && PyDict_Next(keywords, &at, &key, &value);) {
    text += std::exchange(between, ", ") + text_of(key) + "=" + type_name(value);
  }
  return text + ")";
}

// Sets the built-in exception that an error's kind resembles, as in every other language binding of uncopy.
inline void set_exception(const array_error &error) noexcept {
  PyObject *type = PyExc_OSError;
  switch (error.kind()) {
    case error_kind::invalid_argument:
    case error_kind::invalid_layout: type = PyExc_ValueError; break;
    case error_kind::invalid_dtype: type = PyExc_TypeError; break;
    case error_kind::unsupported: type = PyExc_NotImplementedError; break;
    case error_kind::out_of_memory: type = PyExc_MemoryError; break;
    case error_kind::read_only:
    case error_kind::copy_required: type = PyExc_BufferError; break;
    case error_kind::device_lost: type = PyExc_RuntimeError; break;
    case error_kind::system: break;
  }
  PyErr_SetString(type, error.what());
}

}  // namespace uncopy::python
