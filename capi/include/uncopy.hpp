// SPDX-License-Identifier: MIT OR Apache-2.0
// Everything that needs no library: see uncopy/array.hpp. Links need libuncopy and are asked for by name: uncopy/link.hpp.
#pragma once

#include "uncopy/array.hpp"
