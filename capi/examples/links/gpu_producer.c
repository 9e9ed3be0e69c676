// SPDX-License-Identifier: MIT OR Apache-2.0
// Publishes frames that a GPU writes straight into the link's memory, and waits for nothing.
//
//     gpu_producer NAME FRAMES
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "driver.h"
#include <uncopy/uncopy.h>

static void die(const char *what) {
    fprintf(stderr, "gpu_producer: %s: %s\n", what, uncopy_last_message());
    exit(1);
}

int main(int count, char **arguments) {
    if (count != 3) {
        fprintf(stderr, "usage: gpu_producer NAME FRAMES\n");
        return 2;
    }
    CUstream stream = driver_open();
    uncopy_publish_options options = UNCOPY_PUBLISH_OPTIONS_INIT;
    options.when_full = UNCOPY_WHEN_FULL_BLOCK;
    uncopy_publisher *publisher;
    if (uncopy_publisher_create(arguments[1], &options, &publisher) != UNCOPY_OK) {
        die("opening the link");
    }
    if (uncopy_publisher_wait_for_consumers(publisher, 1, UNCOPY_FOREVER) != UNCOPY_OK) {
        die("no consumer");
    }
    uncopy_form form;
    uncopy_device device = {UNCOPY_DEVICE_CUDA, 0};
    if (uncopy_form_image(90, 160, UNCOPY_PIXEL_RGBA8, &form) != UNCOPY_OK) {
        die("the form");
    }
    for (uint64_t number = 1; number <= strtoull(arguments[2], NULL, 10); number++) {
        uncopy_loan *loan;
        if (uncopy_publisher_loan_on(publisher, &form, device, stream, &loan) != UNCOPY_OK) {
            die("no slot");
        }
        uncopy_array_info slot = UNCOPY_ARRAY_INFO_INIT;
        if (uncopy_loan_describe(loan, &slot) != UNCOPY_OK) {
            die("the slot");
        }
        // Here a kernel would be launched into the stream.
        driver_check(driver.fill((CUdeviceptr)slot.data, (unsigned char)number, slot.len_bytes, stream), "cuMemsetD8Async");
        // Published when it is asked for, and whole when the stream gets there: nobody waits.
        if (uncopy_loan_publish(loan, NULL, NULL) != UNCOPY_OK) {
            die("publishing");
        }
    }
    // Waits until the GPU has written what was published: it would end with this process.
    uncopy_publisher_destroy(publisher);
    driver_check(driver.stream_destroy(stream), "cuStreamDestroy");
    return 0;
}
