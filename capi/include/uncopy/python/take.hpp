// SPDX-License-Identifier: MIT OR Apache-2.0
// Any array that Python knows, without a copy: borrowed for a call, or owned.
//
// | asked by | for |
// |---|---|
// | fields of its struct | NumPy arrays |
// | the exchange table of its type | torch from 2.10, and whoever else has one |
// | `__dlpack__` | types that have it, with the keywords that the type takes; a stream only on devices |
// | CUDA array interface, versions 0 to 3 | types and objects that have nothing better (numba); never torch, which has no stream there |
// | `__array_struct__`, `__array_interface__` | other host arrays |
// | buffer protocol | everything else with memory |
#pragma once

#include "object.hpp"

#include <memory>
#include <utility>

#include "../array/owned.hpp"
#include "dlpack.hpp"
#include "interface.hpp"
#include "numpy.hpp"
#include "refusal.hpp"
#include "route.hpp"

namespace uncopy::python {

// What an object was found to be. `keeper`, if any, has to live as long as the memory is used, and the object itself.
struct taken {
  description about;
  ref keeper;
};

// Describes an array. `for_reading` lets torch tensors through that require a gradient; `owned` says that the memory is
// kept beyond the call. Sets no Python exception.
inline bool take(PyObject *object, bool for_reading, bool owned, taken &out, refusal &why) {
  route by = route_of(object);
  if (by.by == protocol::by_instance) {
    if (detail::has(object, name().cuda_interface))
      by.by = protocol::cuda_interface;
    else if (detail::has(object, name().array_interface))
      by.by = protocol::array_interface;
    else
      by.by = protocol::none;
  }
  switch (by.by) {
    case protocol::numpy: return detail::take_numpy(object, out.about, why);
    case protocol::table:
      // What the table refuses is refused by `__dlpack__` too, in words for users.
      if (!detail::take_by_table(object, by, owned, out.about, out.keeper, why) &&
          !detail::take_by_dlpack(object, by, out.about = description{}, out.keeper, why)) {
        return false;
      }
      break;
    case protocol::dlpack:
      if (!detail::take_by_dlpack(object, by, out.about, out.keeper, why)) return false;
      break;
    case protocol::cuda_interface: return detail::take_cuda_interface(object, by, out.about, why);
    case protocol::array_struct: return detail::take_array_struct(object, out.about, out.keeper, why);
    case protocol::array_interface: return detail::take_array_interface(object, out.about, why);
    case protocol::buffer: return detail::take_buffer(object, out.about, out.keeper, why);
    case protocol::capsule:
      out.keeper = ref::borrow(object);
      return detail::take_from_answer(object, by, out.about, why);
    case protocol::by_instance:
    case protocol::none:
      why.names_type = true;
      return why.because("is not an array that can be taken: ", by.advice ? by.advice : advice_none);
  }
  return by.made_by != maker::torch || detail::check_torch(object, out.about, for_reading && !owned, why);
}

namespace detail {

// Keeps a Python object, and a DLPack struct that was taken from it.
struct python_owner final : array_owner {
  PyObject *object = nullptr;
  PyObject *keeper = nullptr;
  peeked managed;

  python_owner() = default;
  python_owner(const python_owner &) = delete;
  python_owner &operator=(const python_owner &) = delete;
  ~python_owner() override {
    if (managed.versioned && managed.versioned->deleter) managed.versioned->deleter(managed.versioned);
    if (managed.legacy && managed.legacy->deleter) managed.legacy->deleter(managed.legacy);
    give_up(keeper);
    give_up(object);
  }
  void *python() const noexcept override { return object; }
};

}  // namespace detail

// Takes an array for as long as it is wanted. A bare capsule is consumed by it.
inline bool take_owned(PyObject *object, array &out, refusal &why) {
  taken found;
  if (!take(object, false, true, found, why)) return false;
  auto owner = std::make_shared<detail::python_owner>();
  PyObject *keeper = found.keeper.get();
  if (keeper && PyCapsule_CheckExact(keeper)) {
    detail::peeked inside;
    // NumPy's struct is in a capsule too: that one is kept as it is.
    refusal other;
    if (detail::peek(keeper, inside, other)) {
      PyCapsule_SetName(keeper, inside.versioned ? detail::used_capsule_name : detail::used_legacy_capsule_name);
      owner->managed = inside;
      found.keeper = ref();
    }
  }
  owner->keeper = found.keeper.release();
  owner->object = PyCapsule_CheckExact(object) ? nullptr : ref::borrow(object).release();
  out = array::wrap(found.about, std::move(owner));
  return true;
}

}  // namespace uncopy::python
