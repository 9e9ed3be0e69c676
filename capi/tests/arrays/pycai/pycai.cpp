// SPDX-License-Identifier: MIT OR Apache-2.0
// The test module of pybind11_cuda_array_interface, made from the drop-in header: the functions that its public tests call,
// and, in `more`, what the original could not do.
#include <pybind11_cuda_array_interface/pybind11_cuda_array_interface.hpp>

#include <complex>
#include <cstdint>
#include <string>
#include <vector>

#include "saxpy.hpp"

namespace cai {

// The friend of handles, as in the original's own tests.
class CudaArrayInterfaceTest {
 public:
  static void handle_without_deleter() {
    static_cast<void>(cuda_memory_handle<float>::make_shared_handle(nullptr, std::function<void(void *)>()));
  }
  static void handle_with_two_owners() {
    const auto handle = cuda_memory_handle<float>::make_shared_handle(nullptr, [](void *) {});
    const auto other = handle;
    validate_cuda_memory_handle(handle);
  }
};

}  // namespace cai

namespace {

// One axis may have strides; others are refused.
template <class T>
std::int64_t stride_of(const cai::cuda_array_t<T> &array) {
  if (array.get_shape().size() == 1) return array.get_strides()[0];
  static_cast<void>(array.get_compatible_typed_pointer());
  return 1;
}

void saxpy_of_arrays(cai::cuda_array_t<float> s, const cai::cuda_array_t<const float> &x,
                     const cai::cuda_array_t<const float> &y, int a) {
  if (x.size_of_shape() != s.size_of_shape() || y.size_of_shape() != s.size_of_shape()) {
    throw caiexcp::InvalidShapeError("s, x and y have different numbers of elements");
  }
  float *out = s.get_strided_typed_pointer();
  try {
    saxpy::launch(s.get_device().id, cai::work_stream(), out, x.get_strided_typed_pointer(),
                  y.get_strided_typed_pointer(), static_cast<float>(a), s.size_of_shape(), stride_of(s), stride_of(x),
                  stride_of(y));
  } catch (const uncopy::array_error &error) {
    throw caiexcp::CudaCallError(error.what());
  }
}

template <class T>
cai::cuda_array_t<T> receive_and_return(cai::cuda_array_t<T> s) {
  return s;
}

template <class T>
cai::cuda_array_t<T> make(const std::vector<std::size_t> &shape, bool readonly, int version) {
  return cai::cuda_array_t<T>(shape, readonly, version);
}

cai::cuda_array_t<float> make_with_copy(const std::vector<float> &values, bool readonly, int version) {
  cai::cuda_array_t<float> made({values.size()}, readonly, version);
  uncopy::driver::copy(made.get_device().id, made.get_compatible_typed_pointer(), values.data(),
                       values.size() * sizeof(float), uncopy::driver::direction::host_to_device, cai::work_stream());
  return made;
}

// An array that the module keeps: it may be returned again and again.
std::vector<cai::cuda_array_t<float>> &kept() {
  static auto *arrays = new std::vector<cai::cuda_array_t<float>>;
  return *arrays;
}

template <class T>
void define_for(py::module_ &module, const std::string &name) {
  module.def(("return_" + name).c_str(), &receive_and_return<T>, py::arg("s"));
  module.def(("make_" + name).c_str(), [](const std::vector<std::size_t> &shape) { return make<T>(shape, false, 3); },
             py::arg("shape"));
}

void define_more(py::module_ more) {
  define_for<bool>(more, "bool");
  define_for<std::int8_t>(more, "int8");
  define_for<std::int16_t>(more, "int16");
  define_for<std::int32_t>(more, "int32");
  define_for<std::int64_t>(more, "int64");
  define_for<std::uint8_t>(more, "uint8");
  define_for<std::uint16_t>(more, "uint16");
  define_for<std::uint32_t>(more, "uint32");
  define_for<std::uint64_t>(more, "uint64");
  define_for<float>(more, "float32");
  define_for<double>(more, "float64");
  define_for<long long>(more, "long_long");
  define_for<std::complex<float>>(more, "complex64");
  define_for<std::complex<double>>(more, "complex128");
  define_for<uncopy::float16>(more, "float16");

  more.def("overloaded", [](const cai::cuda_array_t<float> &) { return "float"; });
  more.def("overloaded", [](const cai::cuda_array_t<int> &) { return "int"; });
  more.def("overloaded", [](const py::object &) { return "object"; });

  more.def("keep", [](cai::cuda_array_t<float> array) { kept().push_back(std::move(array)); });
  more.def("keep_new", [](const std::vector<std::size_t> &shape) { kept().emplace_back(shape); });
  more.def("kept", [](std::size_t index) { return kept().at(index); });
  more.def("forget", [] { kept().clear(); });

  more.def("describe", [](const cai::cuda_array_t<const float> &array) {
    const auto stream = array.get_stream();
    return py::dict(py::arg("shape") = array.get_shape(), py::arg("strides") = array.get_strides(),
                    py::arg("kind") = array.get_device().kind, py::arg("device") = array.get_device().id,
                    py::arg("readonly") = array.is_readonly(),
                    py::arg("stream") = stream ? py::object(py::int_(stream->raw())) : py::object(py::none()));
  });
  more.def("needs_contiguous", [](cai::cuda_array_t<float> array) {
    return reinterpret_cast<std::uintptr_t>(array.get_compatible_typed_pointer());
  });
  more.def("reads_const", [](const cai::cuda_array_t<float> &array) {
    return reinterpret_cast<std::uintptr_t>(array.get_compatible_typed_pointer());
  });
  more.def("fails_in_the_driver", [] { checkCudaErrors(uncopy::driver::need().cuMemFree_v2(1)); });
  more.def("validate_typestr", &cai::validate_typestr);
  more.def("validate_shape", &cai::validate_shape);
  more.def("validate_cuda_ptr", [](std::uintptr_t address) {
    static_cast<void>(cai::validate_cuda_ptr(reinterpret_cast<void *>(address)));
  });
  more.def("validate_own_capsule", [] {
    static int value = 0;
    cai::validate_capsule(py::capsule(&value, "cuda_memory_capsule"));
  });
  more.def("validate_no_capsule", [] { cai::validate_capsule(py::reinterpret_steal<py::capsule>(py::handle())); });
  more.def("describe_new", [](const std::vector<std::size_t> &shape, bool readonly, int version) {
    const cai::cuda_array_t<float> made(shape, readonly, version);
    return py::make_tuple(made.get_shape(), made.size_of_shape(), made.is_readonly(), made.get_version(),
                          made.get_dtype().kind());
  });
  more.def("writable_pointer_of_new", [](bool readonly) {
    cai::cuda_array_t<float> made({1}, readonly);
    return made.get_compatible_typed_pointer() != nullptr;
  });
  more.def("const_pointer_of_new", [](bool readonly) {
    const cai::cuda_array_t<float> made({1}, readonly);
    return made.get_compatible_typed_pointer() != nullptr;
  });
  more.def("by_reference", [](const cai::cuda_array_t<int> &array) -> const cai::cuda_array_t<int> & { return array; });
  more.def("handle_without_deleter", &cai::CudaArrayInterfaceTest::handle_without_deleter);
  more.def("handle_with_two_owners", &cai::CudaArrayInterfaceTest::handle_with_two_owners);
  more.def("capsule_of_another_name", [] {
    static int value = 0;
    cai::validate_capsule(py::capsule(&value, "something"));
  });
  more.def("strange_endianness", [] { return cai::detail::endianness_of(0, 0); });
  more.def("little_endian", [] { return cai::detail::endianness_of(1, 0); });
  more.def("big_endian", [] { return cai::detail::endianness_of(0, 1); });
  more.def("in_stream", [](std::uint64_t handle, const py::function &body) {
    const cai::work_stream_scope scope{uncopy::stream(handle)};
    return body();
  });
}

}  // namespace

PYBIND11_MODULE(pycai, module) {
  module.doc() = "Test module for __cuda_array_interface__";
  caiexcp::register_custom_cuda_array_interface_exceptions(module);

  module.def("saxpy", &saxpy_of_arrays, "s = a * x + y, written to s", py::arg("s"), py::arg("x"), py::arg("y"),
             py::arg("a"));
  module.def("receive_and_return_cuda_array_interface_float", &receive_and_return<float>,
             "Returns the array that it is given", py::arg("s"));
  module.def("receive_and_return_cuda_array_interface_int", &receive_and_return<int>,
             "Returns the array that it is given", py::arg("s"));
  module.def("return_cuda_array_interface", &make<float>, "Makes an array in C++",
             py::arg_v("shape", std::vector<std::size_t>{3, 4, 5}, "[3, 4, 5]"), py::arg("readonly") = false,
             py::arg("version") = 3);
  module.def("return_cuda_array_interface_with_memory_copy", &make_with_copy,
             "Makes an array in C++, and copies values to it",
             py::arg_v("vec", std::vector<float>{1, 2, 3, 4, 5}, "[1.0, 2.0, 3.0, 4.0, 5.0]"),
             py::arg("readonly") = false, py::arg("version") = 3);
  define_more(module.def_submodule("more", "What the original could not do"));
}
