// SPDX-License-Identifier: MIT OR Apache-2.0
// NumPy arrays by the fields of their struct, and whatever has the buffer protocol. NumPy itself is neither included nor
// imported.
//
// Source: NumPy, `PyArrayObject_fields` and `PyArray_Descr` of the stable C ABI (the same fields in NumPy 1 and 2);
// Python/C API, "Buffer Protocol".
#pragma once

#include "object.hpp"

#include <cstring>

#include "../array/description.hpp"
#include "interface.hpp"
#include "refusal.hpp"

namespace uncopy::python::detail {

struct numpy_descr {
  PyObject_HEAD PyTypeObject *scalar;
  char kind, letter, byte_order, unused;
  int number;
};

struct numpy_array {
  PyObject_HEAD char *data;
  int ndim;
  Py_intptr_t *shape;
  Py_intptr_t *strides;  // in bytes
  PyObject *base;
  numpy_descr *descr;
  int flags;
};

// By NumPy's type numbers; items of 0 bits are no numbers.
inline dtype dtype_from_numpy_number(int number) noexcept {
  constexpr std::uint8_t long_bits = 8 * sizeof(long);
  constexpr dtype none{0, 0, 0};
  constexpr dtype known[] = {dtypes::boolean,   dtypes::int8,  dtypes::uint8,     dtypes::int16,
                             dtypes::uint16,    dtypes::int32, dtypes::uint32,    {0, long_bits, 1},
                             {1, long_bits, 1}, dtypes::int64, dtypes::uint64,    dtypes::float32,
                             dtypes::float64,   none,          dtypes::complex64, dtypes::complex128};
  if (number >= 0 && number < 16) return known[number];
  return number == 23 ? dtypes::float16 : none;
}

// NumPy's number of a dtype; -1 where it has none.
inline int numpy_number_from_dtype(dtype type) noexcept {
  for (int number = 0; number < 16; ++number) {
    if (dtype_from_numpy_number(number) == type) return number;
  }
  return type == dtypes::float16 ? 23 : -1;
}

// The functions of NumPy's C API that make an array of foreign memory, by their places in its table, which is ABI.
struct numpy_api {
  using make_array = PyObject *(*)(PyTypeObject *, int, const Py_intptr_t *, int, const Py_intptr_t *, void *, int, int,
                                   PyObject *);
  using set_base = int (*)(PyObject *, PyObject *);
  PyTypeObject *type;
  make_array make;
  set_base base;
};

// Null, with an exception set, where NumPy can't be imported.
inline const numpy_api *numpy_functions() {
  static const numpy_api *found = nullptr;
  if (found) return found;
  ref module = ref::steal(PyImport_ImportModule("numpy._core._multiarray_umath"));
  if (!module) {
    PyErr_Clear();
    module = ref::steal(PyImport_ImportModule("numpy.core._multiarray_umath"));  // NumPy 1
  }
  const ref capsule = ref::steal(module ? PyObject_GetAttrString(module.get(), "_ARRAY_API") : nullptr);
  auto **table = static_cast<void **>(capsule ? PyCapsule_GetPointer(capsule.get(), nullptr) : nullptr);
  if (!table) return nullptr;
  // PyArray_Type, PyArray_New, PyArray_SetBaseObject
  found = new numpy_api{static_cast<PyTypeObject *>(table[2]), reinterpret_cast<numpy_api::make_array>(table[93]),
                        reinterpret_cast<numpy_api::set_base>(table[282])};
  return found;
}

// A NumPy array over memory that `owner` keeps; takes the reference to it. Null with an exception set.
inline PyObject *numpy_over(const description &about, int number, ref owner) {
  const numpy_api *numpy = numpy_functions();
  if (!numpy) return nullptr;
  Py_intptr_t shape[max_ndim], strides[max_ndim];
  const auto item = static_cast<Py_intptr_t>(about.dtype.item_bytes());
  for (int axis = 0; axis < about.ndim; ++axis) {
    shape[axis] = static_cast<Py_intptr_t>(about.shape[axis]);
    strides[axis] = static_cast<Py_intptr_t>(about.strides[axis]) * item;
  }
  constexpr int writable = 0x400;
  // For memory at address 0 NumPy would allocate its own; only an empty array has none.
  static char nothing;
  void *data = about.data ? about.data : &nothing;
  ref made = ref::steal(
      numpy->make(numpy->type, about.ndim, shape, number, strides, data, 0, about.read_only ? 0 : writable, nullptr));
  if (!made || numpy->base(made.get(), owner.release()) != 0) return nullptr;
  return made.release();
}

// bfloat16 and fp8 of ml_dtypes are only known by name.
inline bool dtype_from_numpy_name(PyObject *descr, dtype &out, refusal &why) {
  const std::string named = text_attribute(descr, "name");
  const ref size = ref::steal(PyObject_GetAttrString(descr, "itemsize"));
  long long bytes = 0;
  if (!size || !integer_of(size.get(), bytes)) PyErr_Clear();
  const auto found = dtype_from_name(named);
  if (found && found->item_bytes() == static_cast<std::size_t>(bytes)) {
    out = *found;
    return true;
  }
  return why.because("has elements that are no numbers: dtype ", named);
}

inline bool take_numpy(PyObject *object, description &out, refusal &why) {
  const auto *array = reinterpret_cast<const numpy_array *>(object);
  if (array->ndim > max_ndim) return why.because("has more than 8 axes: reshape it");
  out.dtype = dtype_from_numpy_number(array->descr->number);
  if (out.dtype.bits == 0 && !dtype_from_numpy_name(reinterpret_cast<PyObject *>(array->descr), out.dtype, why))
    return false;
  if (array->descr->byte_order == '>') {
    return why.because("is big-endian: array.astype(array.dtype.newbyteorder('=')) converts it");
  }
  constexpr int writable = 0x400;
  out.read_only = !(array->flags & writable);
  out.ndim = array->ndim;
  out.data = array->data;
  std::int64_t bytes[max_ndim];
  for (int axis = 0; axis < out.ndim; ++axis) {
    out.shape[axis] = array->shape[axis];
    bytes[axis] = array->strides[axis];
  }
  if (!strides_from_bytes(out, bytes))
    return why.because("has strides that are no multiple of its elements: pass a contiguous copy");
  return finish(out, why);
}

// A format of the `struct` module for one number; items of 0 bits are none.
inline dtype dtype_from_format(const char *format, Py_ssize_t item_bytes) noexcept {
  if (!format) format = "B";
  if (*format == '@' || *format == '=' || *format == '<' || *format == '^') ++format;
  std::uint8_t code = 255;
  if (*format == 'Z' && (format[1] == 'f' || format[1] == 'd'))
    code = 5, ++format;
  else if (std::strchr("bhilqn", *format))
    code = 0;
  else if (std::strchr("BHILQN", *format))
    code = 1;
  else if (std::strchr("efd", *format))
    code = 2;
  else if (*format == '?')
    code = 6;
  else if (*format == 'c')
    code = 1;
  const bool whole = *format != '\0' && format[1] == '\0' && item_bytes > 0 && item_bytes <= 16;
  if (code == 255 || !whole) return {0, 0, 0};
  return {code, static_cast<std::uint8_t>(8 * item_bytes), 1};
}

inline bool take_buffer(PyObject *object, description &out, ref &keeper, refusal &why) {
  keeper = ref::steal(PyMemoryView_FromObject(object));
  Py_buffer buffer;
  if (!keeper || PyObject_GetBuffer(keeper.get(), &buffer, PyBUF_FULL_RO) != 0) {
    return why.because_of_exception("did not hand out its buffer");
  }
  struct releases {
    Py_buffer *held;
    ~releases() { PyBuffer_Release(held); }
  } release{&buffer};
  if (buffer.suboffsets) {
    for (int axis = 0; axis < buffer.ndim; ++axis) {
      if (buffer.suboffsets[axis] >= 0) return why.because("keeps its rows behind pointers: pass a contiguous copy");
    }
  }
  if (buffer.ndim > max_ndim) return why.because("has more than 8 axes: reshape it");
  out.dtype = dtype_from_format(buffer.format, buffer.itemsize);
  if (out.dtype.bits == 0) {
    return why.because("has elements that are no numbers of this machine's byte order: format ",
                       "'" + std::string(buffer.format ? buffer.format : "") + "'");
  }
  out.read_only = buffer.readonly != 0;
  out.ndim = buffer.ndim;
  out.data = buffer.buf;
  std::int64_t bytes[max_ndim];
  for (int axis = 0; axis < out.ndim; ++axis) {
    out.shape[axis] = buffer.shape[axis];
    bytes[axis] = buffer.strides[axis];
  }
  if (!strides_from_bytes(out, bytes))
    return why.because("has strides that are no multiple of its elements: pass a contiguous copy");
  return finish(out, why);
}

}  // namespace uncopy::python::detail
