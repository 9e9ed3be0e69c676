// SPDX-License-Identifier: MIT OR Apache-2.0
// Which protocol a type is asked by: decided once per exact type and remembered, the negative answer included.
//
// A type is remembered together with a strong reference, since the address of a type that went away is used again.
#pragma once

#include "object.hpp"

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>

#include "../dlpack.h"

namespace uncopy::python {

// The exchange table of DLPack 1.3, under a name of ours: a vendored dlpack.h may be older.
struct exchange_table {
  struct {
    std::uint32_t major, minor;
    exchange_table *previous;
  } header;
  void *allocate;
  int (*managed_from_object)(void *object, DLManagedTensorVersioned **out);
  int (*object_from_managed)(DLManagedTensorVersioned *managed, void **out);
  int (*view_from_object)(void *object, DLTensor *out);  // may be null
  int (*current_stream)(std::int32_t kind, std::int32_t id, void **out);
};
static_assert(sizeof(exchange_table) == 8 + 6 * sizeof(void *) || sizeof(void *) != 8, "DLPack 1.3, DLPackExchangeAPI");

enum class protocol : std::uint8_t {
  numpy,
  table,
  dlpack,
  cuda_interface,
  array_struct,
  array_interface,
  buffer,
  capsule,
  by_instance,
  none
};

// Whose arrays they are, as far as that changes how they are asked.
enum class maker : std::uint8_t { other, torch, cupy, numba };

struct route {
  protocol by = protocol::none;
  maker made_by = maker::other;
  bool immutable = false;           // never changes, whether its capsules say so or not: jax
  bool tells_device = false;        // has `__dlpack_device__`
  bool takes_version = true;        // `max_version`, or not tried yet
  bool host_only = false;           // every array of the type that was seen lay in host memory
  bool has_cuda_interface = false;  // beside DLPack
  const exchange_table *table = nullptr;
  const char *advice = nullptr;  // for `none`
};

inline constexpr const char *advice_masked =
    "an array would lose its mask: pass array.filled(value) or array.data, and the mask as well";
inline constexpr const char *advice_scalar = "it is a scalar: numpy.asarray(value) makes an array of it";
inline constexpr const char *advice_convertible = "it is no array: numpy.asarray(value) makes one, which copies it";
inline constexpr const char *advice_none =
    "pass an object with __dlpack__, __cuda_array_interface__ or a buffer, such as a NumPy array or a torch tensor";

namespace detail {

inline std::string_view root_of(std::string_view module) { return module.substr(0, module.find('.')); }

inline const exchange_table *table_of(PyObject *type) noexcept {
  const ref capsule = find_attribute(type, name().exchange_api);
  if (!capsule || !PyCapsule_IsValid(capsule.get(), "dlpack_exchange_api")) return nullptr;
  auto *table = static_cast<const exchange_table *>(PyCapsule_GetPointer(capsule.get(), "dlpack_exchange_api"));
  while (table && table->header.major != 1) table = table->header.previous;
  return table && table->managed_from_object && table->current_stream ? table : nullptr;
}

inline bool has(PyObject *object, PyObject *attribute) noexcept {
  return static_cast<bool>(find_attribute(object, attribute));
}

// What the classes that a type derives from say; true when that decides it.
inline bool learn_classes(PyObject *type, route &found) {
  const ref bases = ref::steal(PyObject_GetAttrString(type, "__mro__"));
  const Py_ssize_t count = bases ? PySequence_Size(bases.get()) : 0;
  if (!bases || count < 0) PyErr_Clear();
  for (Py_ssize_t i = 0; i < count; ++i) {
    const ref base = ref::steal(PySequence_GetItem(bases.get(), i));
    const std::string module = text_attribute(base.get(), "__module__"),
                      named = text_attribute(base.get(), "__qualname__");
    const std::string_view root = root_of(module);
    if (root == "numpy") {
      if (named == "MaskedArray") return found.advice = advice_masked, true;
      if (named == "generic") return found.advice = advice_scalar, true;
      if (named == "ndarray") return found.by = protocol::numpy, true;
    }
    if (root == "torch" && named == "Tensor") found.made_by = maker::torch;
    if (root == "cupy" && named == "ndarray") found.made_by = maker::cupy;
    if (root == "numba" || root == "numba_cuda") found.made_by = maker::numba;
    if (root == "jax" || root == "jaxlib") found.immutable = true;
  }
  return false;
}

inline route learn(PyObject *object) {
  PyObject *type = reinterpret_cast<PyObject *>(Py_TYPE(object));
  route found;
  if (PyCapsule_CheckExact(object)) return found.by = protocol::capsule, found;
  if (learn_classes(type, found)) return found;
  found.tells_device = has(type, name().dlpack_device);
  found.has_cuda_interface = found.made_by != maker::torch && has(type, name().cuda_interface);
  // Its `__dlpack__` costs a hundred times as much as the dictionary that it keeps.
  const bool is_warp = root_of(text_attribute(type, "__module__")) == "warp" && has(object, name().array_interface);
  if (!is_warp && has(type, name().dlpack)) {
    found.table = table_of(type);
    found.by = found.table ? protocol::table : protocol::dlpack;
    return found;
  }
  if (found.has_cuda_interface && !is_warp) return found.by = protocol::cuda_interface, found;
  if (has(type, name().array_struct)) return found.by = protocol::array_struct, found;
  if (has(type, name().array_interface)) return found.by = protocol::array_interface, found;
  if (PyObject_CheckBuffer(object)) return found.by = protocol::buffer, found;
  const ref dict = ref::steal(PyObject_GetAttrString(object, "__dict__"));
  if (!dict) PyErr_Clear();
  if (dict && PyDict_Check(dict.get())) found.by = protocol::by_instance;
  const ref convertible = ref::steal(PyObject_GetAttrString(object, "__array__"));
  if (!convertible) PyErr_Clear();
  found.advice = convertible || PyList_Check(object) || PyTuple_Check(object) ? advice_convertible : advice_none;
  return found;
}

// A table of types. When it is full it starts over: only a program that makes types all the time gets there.
class routes {
 public:
  // Returns false for a type that was not seen yet.
  bool find(PyTypeObject *type, route &out) noexcept {
#ifdef Py_GIL_DISABLED
    const std::lock_guard<std::mutex> held(lock_);
#endif
    for (std::size_t i = slot_of(type), tried = 0; tried < size && entries_[i].type; i = (i + 1) % size, ++tried) {
      if (entries_[i].type != type) continue;
      out = entries_[i].known;
      return true;
    }
    return false;
  }

  void keep(PyTypeObject *type, const route &known) noexcept {
    PyTypeObject *forgotten[size];
    std::size_t count = 0;
    {
#ifdef Py_GIL_DISABLED
      const std::lock_guard<std::mutex> held(lock_);
#endif
      if (filled_ > size / 2) {
        for (entry &old : entries_) {
          if (old.type) forgotten[count++] = old.type;
          old = entry{};
        }
        filled_ = 0;
      }
      std::size_t i = slot_of(type);
      while (entries_[i].type && entries_[i].type != type) i = (i + 1) % size;
      if (!entries_[i].type) {
        Py_INCREF(reinterpret_cast<PyObject *>(type));
        ++filled_;
      }
      entries_[i] = {type, known};
    }
    // Dropping a type may run Python code, so that happens last.
    for (std::size_t i = 0; i < count; ++i) Py_DECREF(reinterpret_cast<PyObject *>(forgotten[i]));
  }

 private:
  static constexpr std::size_t size = 512;
  struct entry {
    PyTypeObject *type = nullptr;
    route known;
  };
  static std::size_t slot_of(PyTypeObject *type) noexcept {
    const auto bits = reinterpret_cast<std::uintptr_t>(type) >> 4;
    return (bits ^ (bits >> 9)) % size;
  }
  entry entries_[size];
  std::size_t filled_ = 0;
#ifdef Py_GIL_DISABLED
  std::mutex lock_;
#endif
};

inline routes &known_routes() {
  static routes *table = new routes;  // never freed: it holds types, and the interpreter may have ended
  return *table;
}

}  // namespace detail

inline route route_of(PyObject *object) {
  route found;
  if (detail::known_routes().find(Py_TYPE(object), found)) return found;
  found = detail::learn(object);
  detail::known_routes().keep(Py_TYPE(object), found);
  return found;
}

// Keeps what was found out about a type since.
inline void remember(PyObject *object, const route &known) noexcept {
  detail::known_routes().keep(Py_TYPE(object), known);
}

}  // namespace uncopy::python
