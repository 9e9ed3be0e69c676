// SPDX-License-Identifier: MIT OR Apache-2.0
#include <uncopy/pybind11.hpp>

#include <pybind11/stl.h>

#include "functions.hpp"

namespace py = pybind11;
using namespace functions;

PYBIND11_MODULE(casters_pybind11, module) {
  define(module);
  module.def("sum", &sum, py::arg("x"));
  explain_refusals(module, "sum");
  explain_refusals(module, "kind");
  explain_refusals(module, "fill");
  module.def(
      "dropped_elsewhere", [] { kept().clear(); }, py::call_guard<py::gil_scoped_release>());
  module.def("of_nobody", &of_nobody);
  module.def("copy_of_nobody", &of_nobody, py::return_value_policy::copy);
  py::class_<holder> bound(module, "Holder");
  bound.def(py::init<std::vector<float>>())
      .def("values", &holder::values, py::return_value_policy::reference_internal)
      .def("first", &holder::first)
      .def("add", [](holder &, view<const float, 1> x) { return sum1(x); });
  explain_refusals(bound, "add");
}
