// SPDX-License-Identifier: MIT OR Apache-2.0
// Arrays as results: as the object that they came from, as an exporter of ours, or as an array of a named framework.
#pragma once

#include "object.hpp"

#include <string>
#include <utility>

#include "../array/owned.hpp"
#include "exporter.hpp"
#include "numpy.hpp"
#include "route.hpp"

namespace uncopy {

// What a result becomes in Python.
enum class framework { numpy, torch, cupy, jax };

// Return one of these from a bound function: `uncopy::as_numpy f() { return array; }`.
template <framework F>
struct returned_as {
  array value;
  returned_as() = default;
  returned_as(array &&given) noexcept : value(std::move(given)) {}
};
using as_numpy = returned_as<framework::numpy>;  // numpy.ndarray; host memory
using as_torch = returned_as<framework::torch>;  // torch.Tensor; refused for read-only arrays, which torch can't say
using as_cupy = returned_as<framework::cupy>;    // cupy.ndarray; CUDA memory
using as_jax = returned_as<framework::jax>;      // jax.Array

// A result in the framework of an argument: `uncopy::as_like f(view x) { return {array, x}; }`.
struct as_like {
  array value;
  void *origin = nullptr;
  as_like() = default;
  template <class View>
  as_like(array &&given, const View &argument) : value(std::move(given)), origin(argument.origin()) {}
};

}  // namespace uncopy

namespace uncopy::python {

namespace detail {

// `module.function`, imported once and kept; null with an exception set.
inline PyObject *import_function(const char *module, const char *function) {
  const ref imported = ref::steal(PyImport_ImportModule(module));
  return imported ? PyObject_GetAttrString(imported.get(), function) : nullptr;
}

template <framework F>
PyObject *importer_of() {
  static PyObject *found = nullptr;
  if (!found) {
    switch (F) {
      case framework::numpy: found = import_function("numpy", "from_dlpack"); break;
      case framework::torch: found = import_function("torch", "from_dlpack"); break;
      case framework::cupy: found = import_function("cupy", "from_dlpack"); break;
      case framework::jax: found = import_function("jax.dlpack", "from_dlpack"); break;
    }
  }
  return found;
}

// By the exchange table of the type: no Python call. The table orders no streams, so the framework's is ordered here.
inline PyObject *give_by_table(const array &given, const exchange_table &table) {
  const description &about = given.describe();
  if (about.has_stream) {
    void *current = nullptr;
    if (table.current_stream(about.device.kind, about.device.id, &current) != 0) return nullptr;
    given.ready_on(stream(current));
  }
  DLManagedTensorVersioned *managed = given.to_dlpack();
  void *made = nullptr;
  if (table.object_from_managed(managed, &made) != 0 || !made) {
    if (!PyErr_Occurred()) PyErr_SetString(PyExc_BufferError, "the framework did not take the array");
    return nullptr;
  }
  return static_cast<PyObject *>(made);
}

inline const exchange_table *torch_table() {
  static const exchange_table *found = nullptr;
  if (!found) {
    const ref tensor = ref::steal(import_function("torch", "Tensor"));
    if (tensor) found = table_of(tensor.get());
    PyErr_Clear();
  }
  return found && found->object_from_managed ? found : nullptr;
}

}  // namespace detail

// An array as the Python object that it came from, else as a new exporter. A new reference; null with an exception set.
inline PyObject *give(array &&given) noexcept {
  return detail::guarded([&]() -> PyObject * {
    if (!given)
      throw array_error(error_kind::invalid_argument, "there is no array to return: it was moved from, or never made");
    auto *origin = static_cast<PyObject *>(given.owner()->python());
    if (origin && given.is_as_taken()) return ref::borrow(origin).release();
    return export_array(std::move(given));
  });
}

template <framework F>
PyObject *give_as(array &&given) noexcept {
  return detail::guarded([&]() -> PyObject * {
    if (!given)
      throw array_error(error_kind::invalid_argument, "there is no array to return: it was moved from, or never made");
    if constexpr (F == framework::torch) {
      if (given.is_read_only()) {
        throw array_error(
            error_kind::read_only,
            "torch can't say that an array is read-only: return to_packed(), which is a copy, or the array itself");
      }
      if (const exchange_table *table = detail::torch_table()) return detail::give_by_table(given, *table);
    }
    if constexpr (F == framework::numpy) {
      const description about = given.describe();
      if (!about.device.is_host_accessible()) {
        throw array_error(error_kind::copy_required,
                          "the array is on " + name_of(about.device) +
                              ", and NumPy's are in host memory: return to_host(), which is a copy");
      }
      const int number = detail::numpy_number_from_dtype(about.dtype);
      if (number >= 0) {
        ref owner = ref::steal(export_array(std::move(given)));
        return owner ? detail::numpy_over(about, number, std::move(owner)) : nullptr;
      }
    }
    PyObject *importer = detail::importer_of<F>();
    const ref exported = ref::steal(importer ? export_array(std::move(given)) : nullptr);
    return exported ? PyObject_CallFunctionObjArgs(importer, exported.get(), nullptr) : nullptr;
  });
}

// In the framework of an object, else as an exporter.
inline PyObject *give_like(array &&given, PyObject *like) noexcept {
  return detail::guarded([&]() -> PyObject * {
    if (!like) return give(std::move(given));
    const route by = route_of(like);
    if (by.by == protocol::numpy) return give_as<framework::numpy>(std::move(given));
    if (by.made_by == maker::torch) return give_as<framework::torch>(std::move(given));
    if (by.table && by.table->object_from_managed && !given.is_read_only())
      return detail::give_by_table(given, *by.table);
    if (by.made_by == maker::cupy) return give_as<framework::cupy>(std::move(given));
    if (by.immutable) return give_as<framework::jax>(std::move(given));
    return give(std::move(given));
  });
}

}  // namespace uncopy::python
