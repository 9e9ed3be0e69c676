// SPDX-License-Identifier: MIT OR Apache-2.0
// Devices where there is no driver: every call says so, and the link works on in host memory.
#include <dlfcn.h>

#include "check.h"

int main(void) {
    if (dlopen("libcuda.so.1", RTLD_NOW) != NULL) {
        puts("there is a driver");
        return 0;
    }
    uncopy_publisher *publisher;
    OK(uncopy_publisher_create("host", NULL, &publisher));
    uncopy_form form = small_form();
    uncopy_device cuda = {UNCOPY_DEVICE_CUDA, 0}, vulkan = {7, 0};
    uncopy_loan *loan;
    FAILS(uncopy_publisher_loan_on(publisher, &form, cuda, NULL, &loan), UNCOPY_ERROR_UNSUPPORTED, "libcuda");
    FAILS(uncopy_publisher_loan_on(publisher, &form, vulkan, NULL, &loan), UNCOPY_ERROR_UNSUPPORTED, "vulkan");
    uncopy_subscribe_options options = UNCOPY_SUBSCRIBE_OPTIONS_INIT;
    options.place = UNCOPY_PLACE_DEVICE;
    options.device = cuda;
    uncopy_subscriber *subscriber;
    FAILS(uncopy_subscriber_create("host", &options, &subscriber), UNCOPY_ERROR_UNSUPPORTED, "libcuda");
    uncopy_memory memory = UNCOPY_MEMORY_INIT;
    memory.data = (void *)0x700000000000;
    memory.device = cuda;
    memory.layout = form.layout;
    memory.stream = (void *)0x1000;
    uncopy_array *array;
    uint64_t seq;
    OK(uncopy_array_wrap(&memory, &array));
    FAILS(uncopy_array_ready_on(array, NULL), UNCOPY_ERROR_UNSUPPORTED, "libcuda");
    FAILS(uncopy_publisher_send(publisher, array, NULL, &seq), UNCOPY_ERROR_UNSUPPORTED, "libcuda");
    FAILS(uncopy_array_copy_to(array, &seq, 24), UNCOPY_ERROR_UNSUPPORTED, "");
    uncopy_array_destroy(array);
    OK(uncopy_publisher_loan(publisher, &form, &loan));
    OK(uncopy_loan_publish(loan, NULL, NULL));
    uncopy_publisher_destroy(publisher);
    puts("done");
    return 0;
}
