// SPDX-License-Identifier: MIT OR Apache-2.0
// Arrays by DLPack: a type's exchange table, `__dlpack__` with the keywords that the type was seen to take, and bare
// capsules.
//
// Borrowing for a call leaves a capsule unconsumed and keeps it until the call has ended: its own destructor deletes the
// struct then. Only owning takes the struct out, and marks the capsule as used.
//
// Sources: DLPack 1.3, "Python Specification" and `DLPackExchangeAPI`; Python array API standard, `__dlpack__`.
#pragma once

#include "object.hpp"

#include "../array/owned.hpp"
#include "interface.hpp"
#include "refusal.hpp"
#include "route.hpp"

namespace uncopy::python::detail {

inline constexpr const char *capsule_name = "dltensor_versioned", *used_capsule_name = "used_dltensor_versioned";
inline constexpr const char *legacy_capsule_name = "dltensor", *used_legacy_capsule_name = "used_dltensor";

// What a capsule holds, still in it.
struct peeked {
  DLManagedTensorVersioned *versioned = nullptr;
  DLManagedTensor *legacy = nullptr;

  const DLTensor &tensor() const noexcept { return versioned ? versioned->dl_tensor : legacy->dl_tensor; }
  bool is_read_only() const noexcept { return versioned && (versioned->flags & 1); }
  bool is_copied() const noexcept { return versioned && (versioned->flags & 2); }
};

inline bool peek(PyObject *capsule, peeked &out, refusal &why) {
  if (!PyCapsule_CheckExact(capsule))
    return why.because("answered __dlpack__ with no capsule but a ", type_name(capsule));
  if (PyCapsule_IsValid(capsule, capsule_name)) {
    out.versioned = static_cast<DLManagedTensorVersioned *>(PyCapsule_GetPointer(capsule, capsule_name));
    if (out.versioned->version.major == 1) return true;
    return why.because("speaks another major version of DLPack: ", std::to_string(out.versioned->version.major));
  }
  if (PyCapsule_IsValid(capsule, legacy_capsule_name)) {
    out.legacy = static_cast<DLManagedTensor *>(PyCapsule_GetPointer(capsule, legacy_capsule_name));
    return true;
  }
  if (PyCapsule_IsValid(capsule, used_capsule_name) || PyCapsule_IsValid(capsule, used_legacy_capsule_name)) {
    return why.because("is in a capsule that was consumed before: ask for a new one with __dlpack__()");
  }
  return why.because("is in a capsule that is not DLPack's");
}

inline bool describe(const peeked &found, description &out, refusal &why) {
  const char *problem = uncopy::detail::description_from_dltensor(found.tensor(), found.is_read_only(), out);
  return !problem || why.because("describes an array that can't be: ", problem);
}

// torch marks a tensor as conjugated or negated instead of computing it, and then memory holds other numbers. Asked only
// where the mark can be; a gradient only matters to who writes or keeps.
inline bool check_torch(PyObject *tensor, const description &about, bool for_reading, refusal &why) {
  const auto is = [&](PyObject *method) {
    const ref answer = ref::steal(PyObject_CallMethodObjArgs(tensor, method, nullptr));
    const int truth = answer ? PyObject_IsTrue(answer.get()) : 0;
    if (!answer || truth < 0) PyErr_Clear();
    return truth > 0;
  };
  constexpr std::uint8_t is_float = 2, is_complex = 5;
  if (about.dtype.code == is_complex && is(name().is_conj)) {
    return why.because("has its conjugate bit set, so memory holds other numbers: call .resolve_conj() first");
  }
  const bool may_be_negated = (about.dtype.code == is_float || about.dtype.code == is_complex) &&
                              (about.size() <= 1 || !about.is_c_contiguous());
  if (may_be_negated && is(name().is_neg)) {
    return why.because("has its negative bit set, so memory holds the wrong sign: call .resolve_neg() first");
  }
  if (for_reading) return true;
  const ref gradient = find_attribute(tensor, name().requires_grad);
  if (gradient && PyObject_IsTrue(gradient.get()) == 1) {
    return why.because("requires a gradient, which another library can't compute: pass tensor.detach()");
  }
  return true;
}

inline bool add_table_stream(const exchange_table &table, description &about, refusal &why) {
  if (about.device.kind != device::kind_cuda && about.device.kind != device::kind_cuda_managed) return true;
  void *handle = nullptr;
  if (table.current_stream(about.device.kind, about.device.id, &handle) != 0) {
    return why.because_of_exception("does not say in which stream its library works");
  }
  about.has_stream = true;
  about.stream = stream(handle);
  return true;
}

inline ref capsule_of(DLManagedTensorVersioned *managed) {
  PyObject *made = PyCapsule_New(managed, capsule_name, [](PyObject *capsule) {
    if (!PyCapsule_IsValid(capsule, capsule_name)) return;  // taken
    auto *left = static_cast<DLManagedTensorVersioned *>(PyCapsule_GetPointer(capsule, capsule_name));
    if (left->deleter) left->deleter(left);
  });
  if (!made && managed->deleter) managed->deleter(managed);
  return ref::steal(made);
}

// By the table: no Python call, no capsule where the table has views. `keeper` may stay empty.
inline bool take_by_table(PyObject *object, const route &by, bool owned, description &about, ref &keeper,
                          refusal &why) {
  const exchange_table &table = *by.table;
  // A view has no flags: read-only is only known of torch's tensors, which never are.
  if (!owned && table.view_from_object && by.made_by == maker::torch) {
    DLTensor tensor;
    if (table.view_from_object(object, &tensor) != 0) return why.because_of_exception("did not hand out its memory");
    const char *problem = uncopy::detail::description_from_dltensor(tensor, false, about);
    if (problem) return why.because("describes an array that can't be: ", problem);
    return add_table_stream(table, about, why);
  }
  DLManagedTensorVersioned *managed = nullptr;
  if (table.managed_from_object(object, &managed) != 0 || !managed)
    return why.because_of_exception("did not hand out its memory");
  keeper = capsule_of(managed);
  if (!keeper) return why.because_of_exception("can't be kept");
  peeked found;
  return peek(keeper.get(), found, why) && describe(found, about, why) && add_table_stream(table, about, why);
}

inline bool device_said(PyObject *object, device &out, refusal &why) {
  const ref answer = ref::steal(PyObject_CallMethodObjArgs(object, name().dlpack_device, nullptr));
  if (!answer) return why.because_of_exception("did not say where it is");
  const ref kind = ref::steal(PySequence_GetItem(answer.get(), 0)),
            id = ref::steal(PySequence_GetItem(answer.get(), 1));
  long long number = 0, index = 0;
  if (!kind || !id || !integer_of(kind.get(), number) || (!id.is_none() && !integer_of(id.get(), index))) {
    PyErr_Clear();
    return why.because("has a __dlpack_device__ that is no pair of numbers");
  }
  out = {static_cast<std::int32_t>(number), static_cast<std::int32_t>(index)};
  return true;
}

// `__dlpack__` with `max_version` unless the type refused it before, and with a stream unless that is null.
inline ref ask(PyObject *object, route &by, PyObject *stream) {
  PyObject *keywords = stream ? name().keywords_stream_version : name().keywords_version;
  PyObject *arguments[] = {object, stream ? stream : name().version, name().version};
  if (by.takes_version) {
    PyObject *answer =
        PyObject_VectorcallMethod(name().dlpack, arguments, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET, keywords);
    if (answer || !PyErr_ExceptionMatches(PyExc_TypeError)) return ref::steal(answer);
    PyErr_Clear();
  }
  ref answer = ref::steal(PyObject_VectorcallMethod(name().dlpack, arguments, 1 | PY_VECTORCALL_ARGUMENTS_OFFSET,
                                                    stream ? name().keywords_stream : nullptr));
  if (answer && by.takes_version) {
    by.takes_version = false;
    remember(object, by);
  }
  return answer;
}

// The stream that a framework works in on this thread, from `module.function(id).attribute`.
inline bool framework_stream(const char *module, const char *function, const char *attribute, int id, stream &out,
                             refusal &why) {
  const ref imported = ref::steal(PyImport_ImportModule(module));
  const ref current = ref::steal(imported ? PyObject_CallMethod(imported.get(), function, "i", id) : nullptr);
  const ref handle = ref::steal(current ? PyObject_GetAttrString(current.get(), attribute) : nullptr);
  unsigned long long number = 0;
  if (!handle || !address_of(handle.get(), number))
    return why.because_of_exception("does not say in which stream its library works");
  out = stream(static_cast<std::uint64_t>(number));
  return true;
}

inline bool take_from_answer(PyObject *answer, const route &by, description &about, refusal &why) {
  peeked found;
  if (!peek(answer, found, why) || !describe(found, about, why)) return false;
  if (by.immutable) about.read_only = true;
  // What is written to a copy is lost.
  if (found.is_copied()) about.read_only = true;
  return true;
}

inline bool take_cuda_dlpack(PyObject *object, route &by, device where, description &about, ref &keeper, refusal &why) {
  stream in_stream = stream::legacy_default();
  if (by.made_by == maker::torch) {
    // A torch without a table: its `__dlpack__` makes streams wait, `to_dlpack` does not.
    if (!framework_stream("torch.cuda", "current_stream", "cuda_stream", where.id, in_stream, why)) return false;
    const ref module = ref::steal(PyImport_ImportModule("torch.utils.dlpack"));
    keeper = ref::steal(module ? PyObject_CallMethod(module.get(), "to_dlpack", "O", object) : nullptr);
  } else if (by.made_by == maker::cupy) {
    if (!framework_stream("cupy.cuda", "get_current_stream", "ptr", where.id, in_stream, why)) return false;
    const ref none = ref::steal(PyLong_FromLong(-1));
    keeper = ask(object, by, none.get());
  } else {
    const ref legacy = ref::steal(PyLong_FromLong(1));
    keeper = ask(object, by, legacy.get());
  }
  if (!keeper) return why.because_of_exception("did not hand out its memory");
  if (!take_from_answer(keeper.get(), by, about, why)) return false;
  about.has_stream = true;
  about.stream = in_stream;
  return true;
}

inline bool take_by_dlpack(PyObject *object, route &by, description &about, ref &keeper, refusal &why) {
  device where;
  const bool asked = by.tells_device && !by.host_only;
  if (asked && !device_said(object, where, why)) return false;
  if (where.kind == device::kind_cuda || where.kind == device::kind_cuda_managed) {
    if (take_cuda_dlpack(object, by, where, about, keeper, why)) return true;
    return by.has_cuda_interface && take_cuda_interface(object, by, about = description{}, why);
  }
  keeper = ask(object, by, nullptr);
  if (!keeper) return why.because_of_exception("did not hand out its memory");
  if (!take_from_answer(keeper.get(), by, about, why)) return false;
  const bool on_host = about.device.is_host_accessible();
  if (by.host_only != (on_host && by.tells_device)) {
    by.host_only = on_host && by.tells_device;
    remember(object, by);
  }
  // Without a stream it was made ready for the legacy default one.
  about.has_stream = about.device.kind == device::kind_cuda || about.device.kind == device::kind_cuda_managed;
  return true;
}

}  // namespace uncopy::python::detail
