// SPDX-License-Identifier: MIT OR Apache-2.0
// What nanobind does with the same arguments and results as `bench/arrays/src/lib.rs`.
#include <cstdint>
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

namespace nb = nanobind;

template <typename T>
using Array = nb::ndarray<T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

template <typename Framework>
nb::ndarray<Framework, float, nb::ndim<1>> fresh() {
    auto* items = new float[64]();
    nb::capsule owner(items, [](void* items) noexcept { delete[] static_cast<float*>(items); });
    return nb::ndarray<Framework, float, nb::ndim<1>>(items, {64}, owner);
}

NB_MODULE(bench_nanobind, module) {
    module.def("noop", [](nb::handle) {});
    module.def("read", [](const Array<const float>& array) { return reinterpret_cast<std::uintptr_t>(array.data()); });
    module.def("write", [](const Array<float>& array) { return reinterpret_cast<std::uintptr_t>(array.data()); });
    module.def("new_numpy", &fresh<nb::numpy>);
    module.def("new_torch", &fresh<nb::pytorch>);
}
