// SPDX-License-Identifier: MIT OR Apache-2.0
// Arrays by dictionaries: `__cuda_array_interface__` versions 0 to 3, `__array_interface__`, and NumPy's struct
// `__array_struct__`. None has an owner: whoever reads one keeps the object.
//
// Sources: Numba, "CUDA Array Interface (Version 3)"; NumPy, "The array interface protocol".
#pragma once

#include "object.hpp"

#include "../array/description.hpp"
#include "../array/driver.hpp"
#include "refusal.hpp"
#include "route.hpp"

namespace uncopy::python::detail {

// A borrowed entry that is there and not None; null otherwise.
inline PyObject *entry_of(PyObject *dict, const char *key) noexcept {
  PyObject *value = PyDict_GetItemString(dict, key);
  return value == Py_None ? nullptr : value;
}

inline bool extents_of(PyObject *sequence, std::int64_t *out, int &count) noexcept {
  if (!PyTuple_Check(sequence) && !PyList_Check(sequence)) return false;
  const Py_ssize_t length = PySequence_Size(sequence);
  if (length < 0 || length > max_ndim) return false;
  for (Py_ssize_t i = 0; i < length; ++i) {
    const ref item = ref::steal(PySequence_GetItem(sequence, i));
    long long value = 0;
    if (!integer_of(item.get(), value)) return false;
    out[i] = value;
  }
  count = static_cast<int>(length);
  return true;
}

// Strides in bytes become strides in elements; false for one that leads into the middle of an element.
inline bool strides_from_bytes(description &out, const std::int64_t *bytes) noexcept {
  const auto item = static_cast<std::int64_t>(out.dtype.item_bytes());
  // Every dtype that Python names has items of a power of two, and a division costs more than all the rest.
  int shift = 0;
  while ((std::int64_t{1} << shift) < item) ++shift;
  if (item == 0 || (std::int64_t{1} << shift) != item) return false;
  bool empty = false, whole = true;
  for (int axis = 0; axis < out.ndim; ++axis) {
    empty |= out.shape[axis] == 0;
    whole &= out.shape[axis] <= 1 || (bytes[axis] & (item - 1)) == 0;
    out.strides[axis] = bytes[axis] >> shift;
  }
  return whole || empty;
}

inline bool finish(const description &out, refusal &why) {
  const char *problem = problem_of(out);
  return !problem || why.because("describes an array that can't be: ", problem);
}

// Shape, typestr, strides and mask: what both dictionaries have. `data` is set by the caller.
inline bool read_interface(PyObject *dict, description &out, refusal &why) {
  if (entry_of(dict, "mask")) return why.because(advice_masked);
  PyObject *shape = entry_of(dict, "shape"), *typestr = entry_of(dict, "typestr"), *strides = entry_of(dict, "strides");
  if (!shape || !typestr) return why.because("describes itself without shape or typestr");
  if (!extents_of(shape, out.shape, out.ndim))
    return why.because("has a shape that is no tuple of at most 8 whole numbers");
  const auto type = dtype_from_typestr(text_of(typestr));
  if (!type) {
    return why.because("has elements that are no numbers of this machine's byte order: typestr ",
                       "'" + text_of(typestr) + "'");
  }
  out.dtype = *type;
  if (!strides) {
    description counted = out;
    counted.set_no_order();
    counted.data = &counted;
    if (!finish(counted, why)) return false;
    out.set_c_order();
    return true;
  }
  std::int64_t bytes[max_ndim] = {};
  int count = 0;
  if (!extents_of(strides, bytes, count) || count != out.ndim)
    return why.because("has strides that don't fit its shape");
  return strides_from_bytes(out, bytes) ||
         why.because("has strides that are no multiple of its elements: pass a contiguous copy");
}

// (address, read-only); None and 0 are address 0.
inline bool read_data(PyObject *data, description &out, refusal &why) {
  unsigned long long address = 0;
  if (!data || !PyTuple_Check(data) || PyTuple_Size(data) != 2)
    return why.because("has data that is no pair of address and read-only");
  PyObject *first = PyTuple_GetItem(data, 0);
  if (first != Py_None && !address_of(first, address)) return why.because("has an address that is no whole number");
  const int read_only = PyObject_IsTrue(PyTuple_GetItem(data, 1));
  if (read_only < 0) PyErr_Clear();
  out.data = reinterpret_cast<void *>(static_cast<std::uintptr_t>(address));
  out.read_only = read_only != 0;
  return true;
}

inline bool read_cuda_stream(PyObject *dict, const route &by, description &out, refusal &why) {
  long long version = 0;
  if (!integer_of(entry_of(dict, "version"), version))
    return why.because("names no version of its CUDA array interface");
  PyObject *named = version >= 3 ? entry_of(dict, "stream") : nullptr;
  unsigned long long handle = 1;
  if (named && !address_of(named, handle)) return why.because("has a stream that is no whole number");
  // "0 is disallowed as it would be ambiguous between None and the default stream."
  if (named && handle == 0) return why.because("names stream 0, which is ambiguous: its project has to say 1");
  // Before version 3 nothing is said: work may be pending in the default stream, and so it may where numba bound none.
  out.has_stream = named || version < 3 || by.made_by == maker::numba;
  out.stream = stream(static_cast<std::uint64_t>(handle));
  return true;
}

inline bool read_cuda_device(description &out, refusal &why) {
  out.device = device::cuda(0);
  if (!driver::get()) return why.because("is on a CUDA device, which can't be used: ", driver::absence());
  if (out.data == nullptr) return true;  // `finish` refuses it unless it is empty
  try {
    out.device = driver::device_of(out.data);
  } catch (const array_error &error) {
    return why.because("is somewhere that the driver can't say: ", error.what());
  }
  return out.device.kind != 0 || why.because("has an address that the CUDA driver does not know");
}

inline bool take_cuda_interface(PyObject *object, const route &by, description &out, refusal &why) {
  const ref answer = ref::steal(PyObject_GetAttr(object, name().cuda_interface));
  if (!answer) return why.because_of_exception("did not say where it is");
  if (!PyDict_Check(answer.get())) return why.because("has a __cuda_array_interface__ that is no dictionary");
  return read_interface(answer.get(), out, why) && read_data(PyDict_GetItemString(answer.get(), "data"), out, why) &&
         read_cuda_stream(answer.get(), by, out, why) && read_cuda_device(out, why) && finish(out, why);
}

inline bool take_array_interface(PyObject *object, description &out, refusal &why) {
  const ref answer = ref::steal(PyObject_GetAttr(object, name().array_interface));
  if (!answer) return why.because_of_exception("did not say where it is");
  if (!PyDict_Check(answer.get())) return why.because("has an __array_interface__ that is no dictionary");
  PyObject *data = entry_of(answer.get(), "data");
  if (!data || !PyTuple_Check(data))
    return why.because("keeps no memory of its own: numpy.asarray(value) makes an array of it");
  return read_interface(answer.get(), out, why) && read_data(data, out, why) && finish(out, why);
}

// NumPy's PyArrayInterface.
struct array_struct {
  int two;
  int ndim;
  char kind;
  int item_bytes;
  int flags;
  Py_intptr_t *shape;
  Py_intptr_t *strides;
  void *data;
};

inline bool take_array_struct(PyObject *object, description &out, ref &keeper, refusal &why) {
  ref capsule = ref::steal(PyObject_GetAttr(object, name().array_struct));
  if (!capsule) return why.because_of_exception("did not say where it is");
  if (!PyCapsule_IsValid(capsule.get(), nullptr)) return why.because("has an __array_struct__ that is no capsule");
  const auto *found = static_cast<const array_struct *>(PyCapsule_GetPointer(capsule.get(), nullptr));
  constexpr int swapped_unless = 0x200, writable = 0x400;
  if (found->two != 2 || found->ndim < 0 || found->ndim > max_ndim)
    return why.because("has an __array_struct__ that can't be read");
  const auto type = dtype_from_typestr(std::string("<") + found->kind + std::to_string(found->item_bytes));
  if (!type || !(found->flags & swapped_unless))
    return why.because("has elements that are no numbers of this machine's byte order");
  out.dtype = *type;
  out.ndim = found->ndim;
  out.read_only = !(found->flags & writable);
  out.data = found->data;
  std::int64_t bytes[max_ndim] = {};
  for (int axis = 0; axis < out.ndim; ++axis) out.shape[axis] = found->shape[axis];
  for (int axis = 0; axis < out.ndim && found->strides; ++axis) bytes[axis] = found->strides[axis];
  if (!found->strides) return why.because("has an __array_struct__ without strides");
  if (!strides_from_bytes(out, bytes))
    return why.because("has strides that are no multiple of its elements: pass a contiguous copy");
  keeper = std::move(capsule);  // it holds what the pointers lead to
  return finish(out, why);
}

}  // namespace uncopy::python::detail
