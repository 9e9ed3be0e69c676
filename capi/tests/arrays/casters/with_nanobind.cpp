// SPDX-License-Identifier: MIT OR Apache-2.0
#include <uncopy/nanobind.hpp>

#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>

#include "functions.hpp"

namespace nb = nanobind;
using namespace functions;

NB_MODULE(casters_nanobind, module) {
  define(module);
  module.def("sum", &sum, nb::arg("x"));
  explain_refusals(module, "sum");
  explain_refusals(module, "kind");
  explain_refusals(module, "fill");
  module.def(
      "dropped_elsewhere", [] { kept().clear(); }, nb::call_guard<nb::gil_scoped_release>());
  module.def("of_nobody", &of_nobody);
  module.def("copy_of_nobody", &of_nobody, nb::rv_policy::copy);
  nb::class_<holder> bound(module, "Holder");
  bound.def(nb::init<std::vector<float>>())
      .def("values", &holder::values, nb::rv_policy::reference_internal)
      .def("first", &holder::first)
      .def("add", [](holder &, view<const float, 1> x) { return sum1(x); });
  explain_refusals(bound, "add");
}
