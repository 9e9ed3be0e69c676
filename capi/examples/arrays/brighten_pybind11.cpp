// SPDX-License-Identifier: MIT OR Apache-2.0
#include <uncopy/pybind11.hpp>

#include <pybind11/stl.h>

#include "brighten.hpp"

namespace py = pybind11;

PYBIND11_MODULE(brighten_pybind11, module) {
  module.def("brighten", &brighten, py::arg("image"), py::arg("by"));
  module.def("ramp", &ramp);
  module.def("doubled", &doubled);
  module.def("overwrite", &overwrite);
  uncopy::explain_refusals(module, "brighten");
}
