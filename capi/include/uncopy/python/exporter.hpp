// SPDX-License-Identifier: MIT OR Apache-2.0
// The Python object that a C++-born array is returned as: it hands its memory to every library, without a copy.
//
// | protocol | for |
// |---|---|
// | `__dlpack__(*, stream, max_version, dl_device, copy)`, `__dlpack_device__` | everywhere; legacy capsules on demand, and refused for read-only arrays |
// | `__cuda_array_interface__` version 3, with the stream | memory on a CUDA device |
// | `__array_interface__` version 3, buffer protocol | memory that the CPU reads |
//
// One type for each extension module. It can't be subclassed or made from Python.
#pragma once

#include "object.hpp"

#include <memory>
#include <string>
#include <utility>

#include "../array/owned.hpp"
#include "argument.hpp"
#include "dlpack.hpp"

namespace uncopy::python {

namespace detail {

struct exporter {
  PyObject_HEAD array *held;
};

inline const array &array_in(PyObject *self) noexcept { return *reinterpret_cast<exporter *>(self)->held; }

// Runs C++ that may throw; null with an exception set when it does.
template <class F>
PyObject *guarded(F &&body) noexcept {
  try {
    return body();
  } catch (const array_error &error) {
    set_exception(error);
  } catch (const std::bad_alloc &) {
    PyErr_NoMemory();
  } catch (const std::exception &error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return nullptr;
}

inline PyObject *tuple_of(const std::int64_t *values, int count, std::int64_t factor = 1) {
  ref made = ref::steal(PyTuple_New(count));
  for (int axis = 0; made && axis < count; ++axis) {
    PyObject *value = PyLong_FromLongLong(values[axis] * factor);
    if (!value || PyTuple_SetItem(made.get(), axis, value) != 0) return nullptr;
  }
  return made.release();
}

// `stream=` of a reader, as the standard numbers it: orders it after the content.
inline void order_reader(const description &about, PyObject *reader) {
  const bool on_device = about.device.kind == device::kind_cuda || about.device.kind == device::kind_cuda_managed;
  const bool unnamed = !reader || reader == Py_None;
  long long number = 1;
  if (!unnamed && !integer_of(reader, number)) {
    throw array_error(error_kind::invalid_argument,
                      "stream is no number: pass None, -1, 1, 2 or the handle of a stream");
  }
  if (!on_device) {
    if (unnamed || number == -1) return;
    throw array_error(error_kind::invalid_argument,
                      "stream " + std::to_string(number) + " for an array in host memory, which has none: pass None");
  }
  if (number == -1) return;
  if (number <= 0) {
    throw array_error(error_kind::invalid_argument, "stream " + std::to_string(number) +
                                                        " is ambiguous: pass None, -1, 1, 2 or the handle of a stream");
  }
  if (about.has_stream) driver::order(about.device.id, about.stream, stream(static_cast<std::uint64_t>(number)));
}

inline device device_argument(PyObject *pair) {
  const ref kind = ref::steal(PySequence_GetItem(pair, 0)),
            id = ref::steal(kind ? PySequence_GetItem(pair, 1) : nullptr);
  long long number = 0, index = 0;
  PyErr_Clear();
  if (!kind || !id || !integer_of(kind.get(), number) || (!id.is_none() && !integer_of(id.get(), index))) {
    throw array_error(error_kind::invalid_argument, "dl_device is no pair of device type and id");
  }
  return {static_cast<std::int32_t>(number), static_cast<std::int32_t>(index)};
}

inline ref legacy_capsule_of(DLManagedTensor *managed) {
  PyObject *made = PyCapsule_New(managed, legacy_capsule_name, [](PyObject *capsule) {
    if (!PyCapsule_IsValid(capsule, legacy_capsule_name)) return;
    auto *left = static_cast<DLManagedTensor *>(PyCapsule_GetPointer(capsule, legacy_capsule_name));
    if (left->deleter) left->deleter(left);
  });
  if (!made) managed->deleter(managed);
  return ref::steal(made);
}

inline PyObject *export_dlpack(PyObject *self, PyObject *arguments, PyObject *keywords) noexcept {
  static const char *names[] = {"stream", "max_version", "dl_device", "copy", nullptr};
  PyObject *reader = nullptr, *version = nullptr, *where = nullptr, *copy = nullptr;
  if (!PyArg_ParseTupleAndKeywords(arguments, keywords, "|$OOOO:__dlpack__", const_cast<char **>(names), &reader,
                                   &version, &where, &copy)) {
    return nullptr;
  }
  return guarded([&]() -> PyObject * {
    array given = array_in(self).share();
    const bool must_copy = copy && copy != Py_None && PyObject_IsTrue(copy) == 1;
    const bool may_not_copy = copy && copy != Py_None && !must_copy;
    const device asked = where && where != Py_None ? device_argument(where) : given.device();
    const bool to_host = asked == device::cpu() && !given.device().is_host_accessible();
    if (asked != given.device() && !to_host) {
      throw array_error(error_kind::read_only, "the array is on " + name_of(given.device()) + ", and " +
                                                   name_of(asked) + " was asked for: move it there in its own library");
    }
    if (to_host && may_not_copy) {
      throw array_error(error_kind::copy_required,
                        "the array is on " + name_of(given.device()) + ": it reaches the host only by a copy of " +
                            std::to_string(given.size_bytes()) + " bytes, which copy=False forbids");
    }
    if (!to_host) order_reader(given.describe(), reader);
    if (to_host || must_copy) given = to_host ? given.to_host() : given.to_packed();
    // A copy on a device was made in the array's stream, after the reader was ordered after that one.
    if (must_copy && !to_host) order_reader(given.describe(), reader);
    long long major = 0;
    if (version && version != Py_None) {
      const ref first = ref::steal(PySequence_GetItem(version, 0));
      PyErr_Clear();
      if (!integer_of(first.get(), major))
        throw array_error(error_kind::invalid_argument, "max_version is no pair of numbers");
    }
    if (major >= 1) return capsule_of(given.to_dlpack(to_host || must_copy)).release();
    return legacy_capsule_of(given.to_dlpack_legacy()).release();
  });
}

inline PyObject *export_dlpack_device(PyObject *self, PyObject *) noexcept {
  const device where = array_in(self).device();
  return Py_BuildValue("(ii)", where.kind, where.id);
}

inline PyObject *interface_of(const description &about, bool is_cuda) {
  std::string typestr = typestr_from_dtype(about.dtype);
  const std::size_t item = about.dtype.item_bytes();
  if (typestr.empty() && !is_cuda && item != 0)
    typestr = (item == 1 ? "|V" : "<V") + std::to_string(item);  // as ml_dtypes calls it
  if (typestr.empty()) {
    PyErr_Format(PyExc_AttributeError, "there is no typestr for %s: use DLPack", name_of(about.dtype).c_str());
    return nullptr;
  }
  ref strides = about.is_c_contiguous()
                    ? ref::borrow(Py_None)
                    : ref::steal(tuple_of(about.strides, about.ndim, static_cast<std::int64_t>(item)));
  const ref shape = ref::steal(tuple_of(about.shape, about.ndim));
  const auto address =
      static_cast<unsigned long long>(about.size() == 0 ? 0 : reinterpret_cast<std::uintptr_t>(about.data));
  if (!shape || !strides) return nullptr;
  ref made =
      ref::steal(Py_BuildValue("{sOsss(KO)sOsi}", "shape", shape.get(), "typestr", typestr.c_str(), "data", address,
                               about.read_only ? Py_True : Py_False, "strides", strides.get(), "version", 3));
  if (made && is_cuda) {
    const ref in_stream =
        about.has_stream ? ref::steal(PyLong_FromUnsignedLongLong(about.stream.raw())) : ref::borrow(Py_None);
    if (!in_stream || PyDict_SetItemString(made.get(), "stream", in_stream.get()) != 0) return nullptr;
  }
  return made.release();
}

// AttributeError where a protocol does not apply: `hasattr` is what libraries ask by.
inline PyObject *get_cuda_interface(PyObject *self, void *) noexcept {
  const description &about = array_in(self).describe();
  if (about.device.kind == device::kind_cuda || about.device.kind == device::kind_cuda_managed)
    return interface_of(about, true);
  PyErr_SetString(PyExc_AttributeError,
                  "__cuda_array_interface__ is for arrays on a CUDA device; this one is in host memory");
  return nullptr;
}

inline PyObject *get_array_interface(PyObject *self, void *) noexcept {
  const description &about = array_in(self).describe();
  if (about.device.is_host_accessible()) return interface_of(about, false);
  PyErr_Format(PyExc_AttributeError, "__array_interface__ is for arrays in host memory; this one is on %s",
               name_of(about.device).c_str());
  return nullptr;
}

inline PyObject *get_shape(PyObject *self, void *) noexcept {
  return tuple_of(array_in(self).describe().shape, array_in(self).ndim());
}
inline PyObject *get_strides(PyObject *self, void *) noexcept {
  return tuple_of(array_in(self).describe().strides, array_in(self).ndim());
}
inline PyObject *get_dtype(PyObject *self, void *) noexcept {
  return PyUnicode_FromString(name_of(array_in(self).dtype()).c_str());
}
inline PyObject *get_device(PyObject *self, void *) noexcept {
  return PyUnicode_FromString(name_of(array_in(self).device()).c_str());
}
inline PyObject *get_read_only(PyObject *self, void *) noexcept {
  return PyBool_FromLong(array_in(self).is_read_only());
}
inline PyObject *get_ptr(PyObject *self, void *) noexcept {
  return PyLong_FromUnsignedLongLong(
      static_cast<unsigned long long>(reinterpret_cast<std::uintptr_t>(array_in(self).data())));
}
inline PyObject *represent(PyObject *self) noexcept {
  return PyUnicode_FromString(("<uncopy array " + text_of(array_in(self).describe()) + ">").c_str());
}

// The format of the `struct` module; null for items that have none.
inline const char *format_of(dtype type) noexcept {
  constexpr struct {
    dtype type;
    const char *format;
  } known[] = {{dtypes::boolean, "?"},    {dtypes::int8, "b"},       {dtypes::uint8, "B"},   {dtypes::int16, "h"},
               {dtypes::uint16, "H"},     {dtypes::int32, "i"},      {dtypes::uint32, "I"},  {dtypes::int64, "q"},
               {dtypes::uint64, "Q"},     {dtypes::float16, "e"},    {dtypes::float32, "f"}, {dtypes::float64, "d"},
               {dtypes::complex64, "Zf"}, {dtypes::complex128, "Zd"}};
  for (const auto &one : known) {
    if (one.type == type) return one.format;
  }
  return nullptr;
}

struct buffer_axes {
  Py_ssize_t shape[max_ndim], strides[max_ndim];
};

inline const char *problem_of_buffer(const description &about, int flags) noexcept {
  if (!about.device.is_host_accessible()) return "the array is on a device, and buffers are in host memory";
  if (!format_of(about.dtype)) return "the buffer protocol has no format for this dtype: use DLPack";
  if ((flags & PyBUF_WRITABLE) && about.read_only) return "the array is read-only";
  const bool c = about.is_c_contiguous(), f = about.is_f_contiguous();
  if ((flags & PyBUF_C_CONTIGUOUS) == PyBUF_C_CONTIGUOUS && !c) return "the array is not in C order";
  if ((flags & PyBUF_F_CONTIGUOUS) == PyBUF_F_CONTIGUOUS && !f) return "the array is not in Fortran order";
  if ((flags & PyBUF_ANY_CONTIGUOUS) == PyBUF_ANY_CONTIGUOUS && !c && !f) return "the array is not contiguous";
  if ((flags & PyBUF_STRIDES) != PyBUF_STRIDES && !c)
    return "the array is not in C order, and a buffer without strides was asked for";
  return nullptr;
}

inline int get_buffer(PyObject *self, Py_buffer *out, int flags) noexcept {
  const description &about = array_in(self).describe();
  out->obj = nullptr;
  if (const char *problem = problem_of_buffer(about, flags)) {
    PyErr_SetString(PyExc_BufferError, problem);
    return -1;
  }
  auto *axes = new (std::nothrow) buffer_axes;
  if (!axes) return PyErr_NoMemory(), -1;
  const auto item = static_cast<Py_ssize_t>(about.dtype.item_bytes());
  for (int axis = 0; axis < about.ndim; ++axis) {
    axes->shape[axis] = static_cast<Py_ssize_t>(about.shape[axis]);
    axes->strides[axis] = static_cast<Py_ssize_t>(about.strides[axis]) * item;
  }
  Py_INCREF(self);
  out->obj = self;
  out->buf = about.data;
  out->len = static_cast<Py_ssize_t>(about.size_bytes());
  out->itemsize = item;
  out->readonly = about.read_only;
  out->ndim = about.ndim;
  out->format = flags & PyBUF_FORMAT ? const_cast<char *>(format_of(about.dtype)) : nullptr;
  out->shape = flags & PyBUF_ND ? axes->shape : nullptr;
  out->strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? axes->strides : nullptr;
  out->suboffsets = nullptr;
  out->internal = axes;
  return 0;
}

inline void release_buffer(PyObject *, Py_buffer *buffer) noexcept {
  delete static_cast<buffer_axes *>(buffer->internal);
}

inline void end_exporter(PyObject *self) noexcept {
  PyTypeObject *type = Py_TYPE(self);
  delete reinterpret_cast<exporter *>(self)->held;
  PyObject_Free(self);
  Py_DECREF(reinterpret_cast<PyObject *>(type));
}

inline PyTypeObject *make_exporter_type() {
  // C++ has no other way to put a function that takes keywords into the table.
  const auto with_keywords = reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(export_dlpack));
  static PyMethodDef methods[] = {
      {"__dlpack__", with_keywords, METH_VARARGS | METH_KEYWORDS, "The array as a DLPack capsule."},
      {"__dlpack_device__", export_dlpack_device, METH_NOARGS, "Device type and id, as DLPack numbers them."},
      {nullptr, nullptr, 0, nullptr}};
  static PyGetSetDef attributes[] = {
      {"__cuda_array_interface__", get_cuda_interface, nullptr, "CUDA array interface, version 3.", nullptr},
      {"__array_interface__", get_array_interface, nullptr, "NumPy's array interface, version 3.", nullptr},
      {"shape", get_shape, nullptr, "Elements along each axis.", nullptr},
      {"strides", get_strides, nullptr, "Steps along each axis, in elements.", nullptr},
      {"dtype", get_dtype, nullptr, "Name of the dtype, such as 'uint8'.", nullptr},
      {"device", get_device, nullptr, "Where it is: 'cpu', 'cuda:0'.", nullptr},
      {"read_only", get_read_only, nullptr, "Whether it may only be read.", nullptr},
      {"ptr", get_ptr, nullptr, "Address of the first element.", nullptr},
      {nullptr, nullptr, nullptr, nullptr, nullptr}};
  static PyType_Slot slots[] = {
      {Py_tp_dealloc, reinterpret_cast<void *>(end_exporter)},
      {Py_tp_repr, reinterpret_cast<void *>(represent)},
      {Py_tp_methods, methods},
      {Py_tp_getset, attributes},
      {Py_tp_doc, const_cast<char *>("An array of C++ that every array library reads without a copy.")},
      {Py_bf_getbuffer, reinterpret_cast<void *>(get_buffer)},
      {Py_bf_releasebuffer, reinterpret_cast<void *>(release_buffer)},
      {0, nullptr}};
  unsigned flags = Py_TPFLAGS_DEFAULT;
#ifdef Py_TPFLAGS_DISALLOW_INSTANTIATION
  flags |= Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE;
#endif
  static PyType_Spec spec{"uncopy.array", static_cast<int>(sizeof(exporter)), 0, flags, slots};
  return reinterpret_cast<PyTypeObject *>(PyType_FromSpec(&spec));
}

}  // namespace detail

// The type of the objects above; null with an exception set when it can't be made.
inline PyTypeObject *exporter_type() {
  static PyTypeObject *type = detail::make_exporter_type();  // kept as long as the process
  return type;
}

// A new exporter that holds the array.
inline PyObject *export_array(array &&given) {
  PyTypeObject *type = exporter_type();
  if (!type) return nullptr;
  auto held = std::make_unique<array>(std::move(given));
  auto *made = PyObject_New(detail::exporter, type);
  if (!made) return nullptr;
  made->held = held.release();
  return reinterpret_cast<PyObject *>(made);
}

}  // namespace uncopy::python
