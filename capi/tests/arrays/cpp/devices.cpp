// SPDX-License-Identifier: MIT OR Apache-2.0
// The CUDA driver at run time. Names that begin with `on_a_device` need one; the stand-in will do.
#include <uncopy/array.hpp>

#include <cstdint>
#include <vector>

#include "check.hpp"
#include "pycai/saxpy.hpp"

using namespace uncopy;
using check::contains;
using check::message_of;

TEST(without_a_device_host_arrays_work_and_device_arrays_say_why_not) {
  CHECK(array::empty<float>({2}).data() != nullptr);
  CHECK(driver::get() == nullptr && !driver::absence().empty());
  contains(message_of<array_error>([] { array::empty<float>({2}, device::cuda()); }), driver::absence());
}

namespace {

stream new_stream() {
  using create = int (*)(void **, unsigned);
  const auto made = reinterpret_cast<create>(dlsym(dlopen("libcuda.so.1", RTLD_NOW), "cuStreamCreate"));
  const driver::scope in(0);
  void *handle = nullptr;
  driver::check(made(&handle, 1), "making a stream");
  return stream(handle);
}

// Puts a value into an array in a stream, without waiting.
void put_ones(const array &to, stream into) {
  static const std::vector<float> ones(64, 1.0f);
  const driver::scope in(0);
  // From pinned memory, so that the copy is not waited for.
  using alloc = int (*)(void **, std::size_t, unsigned);
  static const auto pinned = reinterpret_cast<alloc>(dlsym(dlopen("libcuda.so.1", RTLD_NOW), "cuMemHostAlloc"));
  void *memory = nullptr;
  driver::check(pinned(&memory, 256, 0), "allocating pinned memory");
  std::memcpy(memory, ones.data(), 256);
  driver::check(in.calls().cuMemcpyHtoDAsync_v2(reinterpret_cast<std::uintptr_t>(to.data()), memory, to.size_bytes(),
                                                into.handle()),
                "copying");
}

}  // namespace

TEST(on_a_device_memory_goes_there_and_back) {
  std::vector<float> values{1, 2, 3};
  const array made = array::empty<float>({3}, device::cuda());
  driver::copy(0, made.data(), values.data(), 12, driver::direction::host_to_device, made.stream());
  CHECK(driver::device_of(made.data()) == device::cuda(0));
  const array copy = made.to_packed();
  CHECK(copy.data() != made.data() && copy.device() == device::cuda(0));
  const array back = copy.to_host();
  CHECK((back.view<float, 1>()(2) == 3));
}

TEST(on_a_device_that_is_not_there_memory_is_refused) {
  contains(message_of<array_error>([] { array::empty<float>({2}, device::cuda(99)); }), "there is no device cuda:99");
}

TEST(on_a_device_host_views_are_refused) {
  const array made = array::empty<float>({3}, device::cuda());
  contains(message_of<array_error>([&] { made.view<float, 1>(); }),
           "float32[3] on cuda:0, wanted mut float32[_] host: it is on cuda:0");
  CHECK((made.view<float, 1, c_order, cuda>().data() == made.data()));
}

TEST(on_a_device_a_reader_is_ordered_after_the_content) {
  // The first streams of the process are late, where the driver is the stand-in that was told so.
  const stream late = new_stream();
  array made = array::empty<float>({64}, device::cuda()).made_on(late);
  put_ones(made, late);
  stream punctual = new_stream();
  for (int i = 0; i < 4; ++i) punctual = new_stream();
  made.ready_on(punctual);
  const array seen = std::move(made).made_on(punctual).to_host();
  for (int i = 0; i < 64; ++i) CHECK((seen.view<float, 1>()(i) == 1));
}

TEST(on_a_device_an_owner_goes_on_after_who_used_its_array) {
  const stream late = new_stream();
  stream owner = new_stream();
  for (int i = 0; i < 4; ++i) owner = new_stream();
  array made = array::empty<float>({64}, device::cuda()).made_on(owner);
  put_ones(made, late);
  made.used_on(late);
  const array seen = made.to_host();
  for (int i = 0; i < 64; ++i) CHECK((seen.view<float, 1>()(i) == 1));
}

TEST(on_a_device_arrays_of_several_streams_are_used_in_one) {
  const stream late = new_stream();
  stream other = new_stream();
  for (int i = 0; i < 4; ++i) other = new_stream();
  array x = array::empty<float>({64}, device::cuda()).made_on(other),
        y = array::empty<float>({64}, device::cuda()).made_on(late);
  array s = array::empty<float>({64}, device::cuda()).made_on(other);
  put_ones(x, other);
  put_ones(y, late);
  const auto sv = s.view<float, 1, c_order, cuda>();
  const auto xv = x.view<const float, 1, c_order, cuda>(), yv = y.view<const float, 1, c_order, cuda>();
  const stream in = join(sv, xv, yv);
  CHECK(in == other);
  saxpy::launch(0, in, sv.data(), xv.data(), yv.data(), 2, 64);
  used_on(in, sv, xv, yv);
  const array seen = s.to_host();
  for (int i = 0; i < 64; ++i) CHECK((seen.view<float, 1>()(i) == 3));
}
