// SPDX-License-Identifier: MIT OR Apache-2.0
// Arrays from DLPack and from memory, described, given back as DLPack; who owns what, and when it ends.
#include "check.h"
#include "dlpack_structs.h"

static int deleted;

static void delete_versioned(DLManagedTensorVersioned *self) {
    deleted++;
    free(self);
}

static void delete_legacy(DLManagedTensor *self) {
    deleted++;
    free(self);
}

static void release(void *owner) {
    ++*(int *)owner;
}

static float elements[6] = {1, 2, 3, 4, 5, 6};
static int64_t shape[2] = {2, 3};
static int64_t columns[2] = {1, 2}; // the same memory, as 2 by 3 in Fortran order

static DLTensor tensor(int64_t *strides) {
    DLTensor made = {elements, {1, 0}, 2, {2, 32, 1}, shape, strides, 0};
    return made;
}

static DLManagedTensorVersioned *versioned(uint32_t major) {
    DLManagedTensorVersioned *made = calloc(1, sizeof *made);
    made->version.major = major;
    made->deleter = delete_versioned;
    made->dl_tensor = tensor(columns);
    return made;
}

static void a_struct_is_taken_and_deleted_with_the_last_of_its_array(void) {
    deleted = 0;
    uncopy_array *array, *twin;
    OK(uncopy_array_from_dlpack(versioned(1), &array));
    uncopy_array_info info = UNCOPY_ARRAY_INFO_INIT;
    OK(uncopy_array_describe(array, &info));
    CHECK(info.data == elements && info.len_bytes == sizeof elements);
    CHECK(info.device.kind == UNCOPY_DEVICE_CPU && info.device.id == 0);
    CHECK(info.layout.ndim == 2 && info.layout.shape[0] == 2 && info.layout.shape[1] == 3);
    CHECK(info.layout.strides_elems[0] == 1 && info.layout.strides_elems[1] == 2);
    CHECK(info.layout.dtype.code == UNCOPY_DTYPE_FLOAT && info.layout.dtype.bits == 32);
    CHECK(!info.is_read_only && !info.is_c_contiguous && info.is_aligned && !info.was_copied);
    float packed[6];
    OK(uncopy_array_copy_to(array, packed, sizeof packed));
    CHECK(packed[0] == 1 && packed[1] == 3 && packed[2] == 5 && packed[3] == 2);
    OK(uncopy_array_clone(array, &twin));
    DLManagedTensorVersioned *out;
    OK(uncopy_array_to_dlpack(twin, &out));
    CHECK(out->dl_tensor.data == elements && out->dl_tensor.strides[1] == 2 && out->flags == 0);
    CHECK(out->version.major == 1);
    uncopy_array_destroy(array);
    uncopy_array_destroy(twin);
    CHECK(deleted == 0);
    out->deleter(out);
    CHECK(deleted == 1);
}

static void a_refused_struct_stays_the_callers(void) {
    deleted = 0;
    uncopy_array *array = (uncopy_array *)elements;
    DLManagedTensorVersioned *other = versioned(2);
    FAILS(uncopy_array_from_dlpack(other, &array), UNCOPY_ERROR_VERSION_MISMATCH, "DLPack 2.0");
    CHECK(array == NULL && deleted == 0);
    other->version.major = 1;
    other->dl_tensor.ndim = 65;
    FAILS(uncopy_array_from_dlpack(other, &array), UNCOPY_ERROR_UNSUPPORTED, "65 dimensions");
    other->dl_tensor.ndim = 2;
    other->dl_tensor.data = NULL;
    FAILS(uncopy_array_from_dlpack(other, &array), UNCOPY_ERROR_INVALID_ARGUMENT, "no data");
    FAILS(uncopy_array_from_dlpack(other, NULL), UNCOPY_ERROR_INVALID_ARGUMENT, "out is NULL");
    CHECK(deleted == 0);
    other->dl_tensor.data = elements;
    OK(uncopy_array_from_dlpack(other, &array));
    uncopy_array_destroy(array);
    CHECK(deleted == 1);
}

static void a_struct_that_is_given_twice_is_told_and_deleted_once(void) {
    deleted = 0;
    uncopy_array *first, *second;
    DLManagedTensorVersioned *given = versioned(1);
    OK(uncopy_array_from_dlpack(given, &first));
    FAILS(uncopy_array_from_dlpack(given, &second), UNCOPY_ERROR_INVALID_ARGUMENT, "taken before");
    CHECK(second == NULL && deleted == 0);
    uncopy_array_destroy(first);
    CHECK(deleted == 1);
}

static void a_deleter_may_be_null(void) {
    DLManagedTensorVersioned given = {{1, 0}, NULL, NULL, 1, tensor(NULL)};
    uncopy_array *array;
    OK(uncopy_array_from_dlpack(&given, &array));
    uncopy_array_info info = UNCOPY_ARRAY_INFO_INIT;
    OK(uncopy_array_describe(array, &info));
    CHECK(info.is_read_only && info.layout.strides_elems[0] == 3);
    DLManagedTensor *legacy;
    FAILS(uncopy_array_to_dlpack_legacy(array, &legacy), UNCOPY_ERROR_READ_ONLY, "legacy");
    uncopy_array_destroy(array);
}

static void the_legacy_form_goes_in_and_out(void) {
    deleted = 0;
    DLManagedTensor *given = calloc(1, sizeof *given);
    given->deleter = delete_legacy;
    given->dl_tensor = tensor(NULL);
    uncopy_array *array;
    OK(uncopy_array_from_dlpack_legacy(given, &array));
    DLManagedTensor *out;
    OK(uncopy_array_to_dlpack_legacy(array, &out));
    CHECK(out->dl_tensor.data == elements && out->dl_tensor.strides[0] == 3);
    out->deleter(out);
    CHECK(deleted == 0);
    uncopy_array_destroy(array);
    CHECK(deleted == 1);
}

static void memory_is_released_once_and_only_after_a_success(void) {
    int released = 0;
    uncopy_memory memory = UNCOPY_MEMORY_INIT;
    memory.data = elements + 3; // the second row, upside down: the first row lies before it
    uncopy_dtype dtype;
    OK(uncopy_dtype_from_name("f32", &dtype));
    OK(uncopy_layout_packed(dtype, 2, shape, &memory.layout));
    memory.layout.strides_elems[0] = -3;
    memory.release = release;
    memory.owner = &released;
    memory.is_read_only = 1;
    uncopy_array *array;
    OK(uncopy_array_wrap(&memory, &array));
    float packed[6];
    OK(uncopy_array_copy_to(array, packed, sizeof packed));
    CHECK(packed[0] == 4 && packed[3] == 1);
    FAILS(uncopy_array_copy_to(array, packed, 5), UNCOPY_ERROR_INVALID_ARGUMENT, "");
    CHECK(released == 0);
    uncopy_array_destroy(array);
    CHECK(released == 1);

    memory.layout.shape[1] = INT64_MAX;
    FAILS(uncopy_array_wrap(&memory, &array), UNCOPY_ERROR_INVALID_LAYOUT, "");
    memory.layout.shape[1] = 3;
    memory.data = NULL;
    FAILS(uncopy_array_wrap(&memory, &array), UNCOPY_ERROR_INVALID_ARGUMENT, "data is NULL");
    memory.data = elements;
    memory.stream = (void *)0x1000;
    FAILS(uncopy_array_wrap(&memory, &array), UNCOPY_ERROR_INVALID_ARGUMENT, "host memory");
    memory.device.kind = UNCOPY_DEVICE_CUDA;
    memory.stream = (void *)2;
    FAILS(uncopy_array_wrap(&memory, &array), UNCOPY_ERROR_INVALID_ARGUMENT, "per-thread default stream");
    memory.stream = NULL;
    memory.layout.dtype.bits = 33;
    FAILS(uncopy_array_wrap(&memory, &array), UNCOPY_ERROR_INVALID_DTYPE, "33");
    CHECK(released == 1);
}

static void arrays_without_elements_and_without_axes_are_arrays(void) {
    uncopy_memory memory = UNCOPY_MEMORY_INIT;
    uncopy_dtype dtype = {UNCOPY_DTYPE_UINT, 16, 1};
    int64_t empty[2] = {4, 0};
    OK(uncopy_layout_packed(dtype, 2, empty, &memory.layout));
    uncopy_array *array;
    OK(uncopy_array_wrap(&memory, &array));
    OK(uncopy_array_copy_to(array, NULL, 0));
    uncopy_array_destroy(array);
    OK(uncopy_layout_packed(dtype, 0, NULL, &memory.layout));
    uint16_t one = 7, copy = 0;
    memory.data = &one;
    OK(uncopy_array_wrap(&memory, &array));
    OK(uncopy_array_copy_to(array, &copy, sizeof copy));
    CHECK(copy == 7);
    // What is in host memory is there for any stream, with or without a driver.
    OK(uncopy_array_ready_on(array, NULL));
    FAILS(uncopy_array_made_on(array, (void *)0x1000), UNCOPY_ERROR_INVALID_ARGUMENT, "host memory");
    uncopy_array_destroy(array);
}

static void names_and_forms_are_checked(void) {
    uncopy_dtype dtype;
    OK(uncopy_dtype_from_name("bfloat16", &dtype));
    CHECK(dtype.code == UNCOPY_DTYPE_BFLOAT && dtype.bits == 16 && dtype.lanes == 1);
    FAILS(uncopy_dtype_from_name("float", &dtype), UNCOPY_ERROR_INVALID_DTYPE, "float32");
    FAILS(uncopy_dtype_from_name("\xff", &dtype), UNCOPY_ERROR_INVALID_ARGUMENT, "UTF-8");
    uncopy_form form;
    OK(uncopy_form_image(4, 6, UNCOPY_PIXEL_NV12, &form));
    CHECK(form.layout.ndim == 2 && form.layout.shape[0] == 6 && form.layout.shape[1] == 6);
    FAILS(uncopy_form_image(3, 6, UNCOPY_PIXEL_NV12, &form), UNCOPY_ERROR_INVALID_LAYOUT, "nv12");
    CHECK(form.layout.ndim == 0);
    FAILS(uncopy_form_image(3, 6, UNCOPY_PIXEL_UNSPECIFIED, &form), UNCOPY_ERROR_INVALID_ARGUMENT, "give shape");
    FAILS(uncopy_form_array(dtype, 9, shape, &form), UNCOPY_ERROR_INVALID_ARGUMENT, "0 to 8 axes");
    int64_t negative[1] = {-1};
    FAILS(uncopy_form_array(dtype, 1, negative, &form), UNCOPY_ERROR_INVALID_ARGUMENT, "extent of -1");
    CHECK(strcmp(uncopy_status_name(UNCOPY_ERROR_TIMED_OUT), "timed_out") == 0);
    CHECK(uncopy_status_name(12345) == NULL && uncopy_abi_version() == UNCOPY_ABI_VERSION);
}

int main(void) {
    CHECK(uncopy_last_status() == UNCOPY_OK && strcmp(uncopy_last_message(), "") == 0);
    a_struct_is_taken_and_deleted_with_the_last_of_its_array();
    a_refused_struct_stays_the_callers();
    a_struct_that_is_given_twice_is_told_and_deleted_once();
    a_deleter_may_be_null();
    the_legacy_form_goes_in_and_out();
    memory_is_released_once_and_only_after_a_success();
    arrays_without_elements_and_without_axes_are_arrays();
    names_and_forms_are_checked();
    puts("done");
    return 0;
}
