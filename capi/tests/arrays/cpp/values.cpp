// SPDX-License-Identifier: MIT OR Apache-2.0
// dtypes, devices, descriptions: the words of the vocabulary, and what is impossible.
#include <uncopy/array.hpp>

#include <cstdint>
#include <limits>

#include "check.hpp"

using namespace uncopy;

TEST(dtypes_have_the_names_of_every_other_language) {
  CHECK(name_of(dtype_of<float>) == "float32");
  CHECK(name_of(dtype_of<const long long>) == "int64");
  CHECK(name_of(dtype_of<bool>) == "bool");
  CHECK(name_of(dtype_of<std::complex<double>>) == "complex128");
  CHECK(name_of(dtype_of<uncopy::bfloat16>) == "bfloat16");
  CHECK(name_of(dtype{2, 32, 4}) == "float32x4");
  CHECK(name_of(dtype{18, 32, 1}) == "dtype(18, 32, 1)");
}

TEST(every_dtype_reads_back_from_its_name_and_its_typestr) {
  int with_typestr = 0;
  for (const auto &known : uncopy::detail::named_dtypes) {
    CHECK(dtype_from_name(known.name) == known.type);
    const std::string typestr = typestr_from_dtype(known.type);
    if (typestr.empty()) continue;
    ++with_typestr;
    CHECK(dtype_from_typestr(typestr) == known.type);
  }
  CHECK(with_typestr == 14);
}

TEST(typestrs_of_another_byte_order_and_of_no_numbers_are_refused) {
  for (const char *text : {">f4", "|f4", "<f3", "f4", "", "<V2", "|O8", "<U4"}) CHECK(!dtype_from_typestr(text));
  CHECK(dtype_from_typestr("|u1") == dtypes::uint8);
  CHECK(dtype_from_typestr("=f4") == dtypes::float32);
}

TEST(devices_of_a_newer_dlpack_stay_values_that_can_be_shown) {
  CHECK(name_of(device::cpu()) == "cpu");
  CHECK(name_of(device::cuda(1)) == "cuda:1");
  CHECK(name_of(device{19, 3}) == "device(19):3");
  CHECK((device{device::kind_cuda_managed, 0}).is_host_accessible());
  CHECK(!device::cuda().is_host_accessible());
}

TEST(the_two_names_of_the_legacy_default_stream_are_one) {
  CHECK(stream(std::uint64_t{0}) == stream::legacy_default());
  CHECK(stream(nullptr).raw() == 1);
  CHECK(stream::per_thread_default().raw() == 2);
}

static description floats(std::initializer_list<std::int64_t> shape, std::initializer_list<std::int64_t> strides) {
  static float memory[64];
  description made;
  made.data = memory;
  made.dtype = dtypes::float32;
  for (std::int64_t extent : shape) made.shape[made.ndim++] = extent;
  int axis = 0;
  for (std::int64_t stride : strides) made.strides[axis++] = stride;
  return made;
}

TEST(strides_of_axes_that_are_never_stepped_along_do_not_count) {
  CHECK(floats({1, 4}, {999, 1}).is_c_contiguous());
  CHECK(floats({4, 1}, {1, -7}).is_f_contiguous());
  CHECK(floats({0, 4}, {3, 7}).is_c_contiguous());
  CHECK(!floats({2, 4}, {-4, 1}).is_c_contiguous());
  CHECK(floats({2, 4}, {1, 2}).is_f_contiguous());
  CHECK(floats({}, {}).is_c_contiguous());
}

TEST(f18_shapes_and_strides_that_overflow_are_impossible) {
  constexpr std::int64_t big = std::int64_t{1} << 40, most = (std::numeric_limits<std::int64_t>::max)();
  CHECK(problem_of(floats({big, big}, {0, 0})) != nullptr);
  CHECK(problem_of(floats({most}, {1})) != nullptr);
  CHECK(problem_of(floats({most}, {0})) != nullptr);
  CHECK(problem_of(floats({2}, {most})) != nullptr);
  CHECK(problem_of(floats({2}, {(std::numeric_limits<std::int64_t>::min)()})) != nullptr);
  CHECK(problem_of(floats({3, 3}, {most / 3, -(most / 3)})) != nullptr);
  CHECK(problem_of(floats({-1}, {1})) != nullptr);
  CHECK(problem_of(floats({0, big, big}, {1, 1, 1})) == nullptr);
  CHECK(problem_of(floats({4, 4}, {-4, 1})) == nullptr);
  description nowhere = floats({2}, {1});
  nowhere.data = nullptr;
  CHECK(problem_of(nowhere) != nullptr);
  nowhere.shape[0] = 0;
  CHECK(problem_of(nowhere) == nullptr);
}

TEST(a_description_is_shown_as_in_every_other_language) {
  CHECK(text_of(floats({2, 4}, {4, 1})) == "float32[2, 4] on cpu");
  description reversed = floats({2}, {-1});
  reversed.read_only = true;
  reversed.device = device::cuda(1);
  CHECK(text_of(reversed) == "float32[2] on cuda:1, strides [-1], read-only");
}
