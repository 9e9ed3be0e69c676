// SPDX-License-Identifier: MIT OR Apache-2.0
// Python objects for the casters: references, names, exceptions in words. By Python's C API alone, so that both binding
// libraries share it; builds with the stable ABI from 3.12 on.
//
// Everything in `uncopy::python` is called with the GIL held, unless it says otherwise.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace uncopy::python {

// One reference to an object, or none.
class ref {
 public:
  ref() noexcept = default;
  ref(ref &&other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  ref &operator=(ref &&other) noexcept {
    PyObject *old = std::exchange(object_, std::exchange(other.object_, nullptr));
    Py_XDECREF(old);
    return *this;
  }
  ref(const ref &) = delete;
  ref &operator=(const ref &) = delete;
  ~ref() { Py_XDECREF(object_); }

  static ref steal(PyObject *object) noexcept {
    ref made;
    made.object_ = object;
    return made;
  }
  static ref borrow(PyObject *object) noexcept {
    Py_XINCREF(object);
    return steal(object);
  }

  PyObject *get() const noexcept { return object_; }
  PyObject *release() noexcept { return std::exchange(object_, nullptr); }
  explicit operator bool() const noexcept { return object_ != nullptr; }
  bool is_none() const noexcept { return object_ == Py_None; }

 private:
  PyObject *object_ = nullptr;
};

// Names that are asked for again and again; made once, kept for ever.
struct names {
  PyObject *dlpack = PyUnicode_InternFromString("__dlpack__");
  PyObject *dlpack_device = PyUnicode_InternFromString("__dlpack_device__");
  PyObject *exchange_api = PyUnicode_InternFromString("__dlpack_c_exchange_api__");
  PyObject *cuda_interface = PyUnicode_InternFromString("__cuda_array_interface__");
  PyObject *array_interface = PyUnicode_InternFromString("__array_interface__");
  PyObject *array_struct = PyUnicode_InternFromString("__array_struct__");
  PyObject *is_conj = PyUnicode_InternFromString("is_conj");
  PyObject *is_neg = PyUnicode_InternFromString("is_neg");
  PyObject *requires_grad = PyUnicode_InternFromString("requires_grad");
  PyObject *keywords_version = Py_BuildValue("(s)", "max_version");
  PyObject *keywords_stream_version = Py_BuildValue("(ss)", "stream", "max_version");
  PyObject *keywords_stream = Py_BuildValue("(s)", "stream");
  PyObject *version = Py_BuildValue("(ii)", 1, 3);
};

inline const names &name() {
  static const names *made = new names;
  return *made;
}

// An attribute that may be missing, without the cost of an AttributeError. Clears other exceptions, too.
inline ref find_attribute(PyObject *object, PyObject *attribute) noexcept {
  PyObject *found = nullptr;
#if PY_VERSION_HEX >= 0x030D0000 && (!defined(Py_LIMITED_API) || Py_LIMITED_API >= 0x030D0000)
  if (PyObject_GetOptionalAttr(object, attribute, &found) < 0) PyErr_Clear();
#elif !defined(Py_LIMITED_API)
  if (_PyObject_LookupAttr(object, attribute, &found) < 0) PyErr_Clear();
#else
  found = PyObject_GetAttr(object, attribute);
  if (!found) PyErr_Clear();
#endif
  return ref::steal(found);
}

// The text of a `str`; empty for anything else.
inline std::string text_of(PyObject *object) {
  if (!object || !PyUnicode_Check(object)) return {};
  Py_ssize_t length = 0;
  const char *text = PyUnicode_AsUTF8AndSize(object, &length);
  if (!text) {
    PyErr_Clear();
    return {};
  }
  return std::string(text, static_cast<std::size_t>(length));
}

inline std::string text_attribute(PyObject *object, const char *attribute) {
  const ref found = ref::steal(PyObject_GetAttrString(object, attribute));
  if (!found) PyErr_Clear();
  return text_of(found.get());
}

// "numpy.ndarray", "list".
inline std::string type_name(PyObject *object) {
  PyObject *type = reinterpret_cast<PyObject *>(Py_TYPE(object));
  const std::string module = text_attribute(type, "__module__"), qualified = text_attribute(type, "__qualname__");
  return module.empty() || module == "builtins" ? qualified : module + "." + qualified;
}

// Takes the exception that is set, as "ValueError: text"; empty without one.
inline std::string take_exception() {
#if PY_VERSION_HEX >= 0x030C0000
  const ref raised = ref::steal(PyErr_GetRaisedException());
#else
  PyObject *type = nullptr, *value = nullptr, *trace = nullptr;
  PyErr_Fetch(&type, &value, &trace);
  PyErr_NormalizeException(&type, &value, &trace);
  Py_XDECREF(type);
  Py_XDECREF(trace);
  const ref raised = ref::steal(value);
#endif
  if (!raised) return {};
  const ref said = ref::steal(PyObject_Str(raised.get()));
  if (!said) PyErr_Clear();
  return type_name(raised.get()) + ": " + text_of(said.get());
}

// A whole number of any Python kind that has one (`int`, NumPy's integers, IntEnum; not `float`).
inline bool integer_of(PyObject *object, long long &out) noexcept {
  const ref index = ref::steal(object ? PyNumber_Index(object) : nullptr);
  if (index) out = PyLong_AsLongLong(index.get());
  if (PyErr_Occurred()) {
    PyErr_Clear();
    return false;
  }
  return static_cast<bool>(index);
}

inline bool address_of(PyObject *object, unsigned long long &out) noexcept {
  const ref index = ref::steal(object ? PyNumber_Index(object) : nullptr);
  if (index) out = PyLong_AsUnsignedLongLong(index.get());
  if (PyErr_Occurred()) {
    PyErr_Clear();
    return false;
  }
  return static_cast<bool>(index);
}

namespace detail {

// References that were given up where Python could not be touched.
struct given_up {
  std::mutex lock;
  std::vector<PyObject *> objects;
};

inline given_up &later() {
  static given_up *list = new given_up;
  return *list;
}

inline int drop_later(void *) {
  std::vector<PyObject *> taken;
  {
    const std::lock_guard<std::mutex> held(later().lock);
    taken.swap(later().objects);
  }
  for (PyObject *object : taken) Py_DECREF(object);
  return 0;
}

}  // namespace detail

// Gives a reference up from any thread, with or without the GIL, also when the interpreter has ended. Never waits: where the
// GIL is not held, the main thread does it as soon as it comes by.
inline void give_up(PyObject *object) noexcept {
  if (!object || !Py_IsInitialized()) return;
#if !defined(Py_LIMITED_API)
  if (PyGILState_Check()) {
    Py_DECREF(object);
    return;
  }
#endif
  try {
    const std::lock_guard<std::mutex> held(detail::later().lock);
    detail::later().objects.push_back(object);
  } catch (...) {
    return;  // no memory even for the list: the object is lost
  }
  // Where the queue of calls is full, a later one of them empties the list.
  Py_AddPendingCall(detail::drop_later, nullptr);
}

}  // namespace uncopy::python
