// SPDX-License-Identifier: MIT OR Apache-2.0
// Who owns memory and until when; typed views; DLPack in and out.
#include <uncopy/array.hpp>

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "check.hpp"

using namespace uncopy;
using check::contains;
using check::message_of;

namespace {

// Counts deleters that were called.
struct counted {
  int *count;
  explicit counted(int *where) : count(where) {}
  counted(counted &&other) noexcept : count(std::exchange(other.count, nullptr)) {}
  ~counted() {
    if (count) ++*count;
  }
};

description of(float *memory, std::int64_t size) {
  description made;
  made.data = memory;
  made.dtype = dtypes::float32;
  made.ndim = 1;
  made.shape[0] = size;
  made.strides[0] = 1;
  return made;
}

DLManagedTensorVersioned *managed_of(const description &about, int *deleted) {
  struct context {
    DLManagedTensorVersioned managed;
    array held;
    int *deleted;
  };
  auto *made = new context{{}, array::wrap(about, std::make_shared<array_owner>()), deleted};
  DLManagedTensorVersioned *inner = made->held.to_dlpack();
  made->managed = *inner;
  made->managed.manager_ctx = new std::pair<context *, DLManagedTensorVersioned *>(made, inner);
  made->managed.deleter = [](DLManagedTensorVersioned *self) {
    auto *pair = static_cast<std::pair<context *, DLManagedTensorVersioned *> *>(self->manager_ctx);
    ++*pair->first->deleted;
    pair->second->deleter(pair->second);
    delete pair->first;
    delete pair;
  };
  return &made->managed;
}

}  // namespace

static_assert(!std::is_copy_constructible_v<array> && std::is_nothrow_move_constructible_v<array>);
static_assert(std::is_trivially_copyable_v<view<float, 2>>, "views are handed to kernels and lambdas by value");

TEST(memory_lives_until_the_last_handle_is_gone) {
  int gone = 0;
  float memory[4] = {};
  array first = array::wrap_with(of(memory, 4), counted(&gone));
  array second = first.share();
  first = array();
  CHECK(gone == 0 && second.data() == memory);
  second = array();
  CHECK(gone == 1);
}

TEST(an_array_that_was_moved_from_is_none) {
  array first = array::empty<float>({2});
  array second = std::move(first);
  CHECK(second && !first);
  contains(message_of<array_error>([&] { first.to_dlpack(); }), "there is no array");
}

TEST(new_host_memory_is_aligned_for_every_library) {
  const array made = array::empty<float>({3, 5});
  CHECK(reinterpret_cast<std::uintptr_t>(made.data()) % 256 == 0);
  CHECK(made.ndim() == 2 && made.stride(0) == 5 && made.size_bytes() == 60);
  CHECK(array::empty<float>({0, 5}).size() == 0);
  CHECK(array::empty<double>({}).size() == 1);
}

TEST(f18_arrays_that_can_not_be_are_refused_before_memory_is_asked_for) {
  contains(message_of<array_error>([] {
             array::empty<float>({std::int64_t{1} << 40, std::int64_t{1} << 40});
           }),
           "larger than any memory");
  contains(message_of<array_error>([] { array::empty<float>({-1}); }), "negative");
  contains(message_of<array_error>([] { array::empty<float>(std::vector<std::int64_t>(9, 1)); }), "at most 8");
}

TEST(a_vector_becomes_an_array_without_a_copy) {
  std::vector<int> values{1, 2, 3, 4};
  const int *memory = values.data();
  const array made = array::from_vector(std::move(values), {2, 2});
  CHECK(made.data() == memory);
  CHECK((made.view<int, 2>()(1, 0) == 3));
  contains(message_of<array_error>([] { array::from_vector(std::vector<int>(4), {3}); }),
           "does not have the vector's 4 items");
}

TEST(a_view_reads_and_writes_the_array_itself) {
  array made = array::from_vector(std::vector<float>{1, 2, 3, 4, 5, 6}, {2, 3});
  const auto pixels = made.view<float, 2>();
  pixels(1, 2) = 60;
  CHECK(static_cast<float *>(made.data())[5] == 60);
  const view<const float, 2, strided, anywhere> less = pixels;
  CHECK(less.data() == pixels.data() && less.extent(1) == 3);
}

TEST(a_view_steps_backwards_and_over_items) {
  float memory[] = {0, 1, 2, 3, 4, 5};
  description about = of(memory + 5, 3);
  about.strides[0] = -2;
  const array made = array::wrap(about, std::make_shared<array_owner>());
  const auto seen = made.view<const float, 1>();
  CHECK(seen(0) == 5 && seen(1) == 3 && seen(2) == 1);
  const array copy = made.to_packed();
  const auto packed = copy.view<float, 1, c_order>();
  CHECK(packed(0) == 5 && packed(2) == 1);
}

TEST(a_view_that_does_not_fit_says_every_part_that_does_not) {
  const array made = array::empty<double>({4, 2}).read_only();
  const std::string said = message_of<array_error>([&] { made.view<float, 1, c_order, cuda>(); });
  CHECK(said ==
        "float64[4, 2] on cpu, read-only, wanted mut float32[_] cuda C: dtype is float64; it has 2 axes, not 1; it is "
        "on cpu; it is read-only");
}

TEST(f40_read_only_arrays_have_const_views_only) {
  const array made = array::from_vector(std::vector<float>{1}).read_only();
  CHECK((made.view<const float, 1>()(0) == 1));
  contains(message_of<array_error>([&] { made.view<float, 1>(); }), "read-only");
}

TEST(order_and_alignment_are_asked_of_arrays) {
  alignas(8) char bytes[16] = {};
  description about = of(reinterpret_cast<float *>(bytes + 1), 2);
  const array odd = array::wrap(about, std::make_shared<array_owner>());
  contains(message_of<array_error>([&] { odd.view<float, 1>(); }), "is no multiple of 4");
  array square = array::empty<float>({2, 3});
  CHECK((square.view<float, 2, c_order>().data() != nullptr));
  CHECK((square.view<float, 2, contiguous>().data() != nullptr));
  contains(message_of<array_error>([&] { square.view<float, 2, f_order>(); }),
           "wanted mut float32[_, _] host F: it is not packed in F order");
}

TEST(dlpack_structs_go_out_and_in_again) {
  array made = array::from_vector(std::vector<float>{1, 2, 3}).read_only();
  void *memory = made.data();
  DLManagedTensorVersioned *managed = made.to_dlpack();
  made = array();
  CHECK(managed->version.major == 1 && managed->version.minor == 3 && (managed->flags & DLPACK_FLAG_BITMASK_READ_ONLY));
  array back = array::from_dlpack(managed);
  CHECK(back.data() == memory && back.is_read_only() && back.extent(0) == 3);
}

TEST(a_legacy_struct_is_refused_for_what_it_can_not_say) {
  const array writable = array::empty<float>({2});
  DLManagedTensor *managed = writable.to_dlpack_legacy();
  CHECK(array::from_dlpack(managed).data() == writable.data());
  const array fixed = array::empty<float>({2}).read_only();
  CHECK(message_of<array_error>([&] { fixed.to_dlpack_legacy(); }).find("before 1.0") != std::string::npos);
}

TEST(f21_a_deleter_is_called_once_and_may_be_missing) {
  int deleted = 0;
  float memory[2] = {};
  {
    array taken = array::from_dlpack(managed_of(of(memory, 2), &deleted));
    array other = taken.share();
    CHECK(deleted == 0);
  }
  CHECK(deleted == 1);
  std::int64_t shape = 2;
  DLManagedTensorVersioned bare{};
  bare.version = {1, 0};
  bare.dl_tensor = {memory, {kDLCPU, 0}, 1, {2, 32, 1}, &shape, nullptr, 0};
  CHECK(array::from_dlpack(&bare).stride(0) == 1);
}

TEST(f21_offsets_count_and_absurd_structs_stay_the_callers) {
  float memory[4] = {};
  int deleted = 0;
  DLManagedTensorVersioned *managed = managed_of(of(memory, 2), &deleted);
  managed->dl_tensor.byte_offset = 8;
  CHECK(array::from_dlpack(managed).data() == memory + 2);
  CHECK(deleted == 1);
  managed = managed_of(of(memory, 2), &deleted);
  managed->dl_tensor.ndim = 65;
  contains(message_of<array_error>([&] { array::from_dlpack(managed); }), "more than 8 axes");
  CHECK(deleted == 1);
  managed->dl_tensor.ndim = -1;
  contains(message_of<array_error>([&] { array::from_dlpack(managed); }), "negative");
  managed->dl_tensor.ndim = 1;
  managed->deleter(managed);
  CHECK(deleted == 2);
}

TEST(a_struct_of_another_major_version_is_deleted_and_not_read) {
  int deleted = 0;
  float memory[2] = {};
  DLManagedTensorVersioned *managed = managed_of(of(memory, 2), &deleted);
  managed->version = {2, 0};
  contains(message_of<array_error>([&] { array::from_dlpack(managed); }), "version 2.0");
  CHECK(deleted == 1);
}
