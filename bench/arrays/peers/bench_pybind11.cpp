// SPDX-License-Identifier: MIT OR Apache-2.0
// What pybind11 does with the same arguments and results as `bench/arrays/src/lib.rs`.
#include <cstdint>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

namespace py = pybind11;

PYBIND11_MODULE(bench_pybind11, module) {
    module.def("noop", [](const py::handle&) {});
    module.def(
        "read",
        [](const py::array_t<float, py::array::c_style>& array) {
            return reinterpret_cast<std::uintptr_t>(array.data());
        },
        py::arg("array").noconvert());
    module.def("new_numpy", [] { return py::array_t<float>(64); });
}
