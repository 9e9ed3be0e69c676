// SPDX-License-Identifier: MIT OR Apache-2.0
#include <uncopy/nanobind.hpp>

#include <nanobind/stl/vector.h>

#include "brighten.hpp"

namespace nb = nanobind;

NB_MODULE(brighten_nanobind, module) {
  module.def("brighten", &brighten, nb::arg("image"), nb::arg("by"));
  module.def("ramp", &ramp);
  module.def("doubled", &doubled);
  module.def("overwrite", &overwrite);
  uncopy::explain_refusals(module, "brighten");
}
