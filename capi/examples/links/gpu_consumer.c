// SPDX-License-Identifier: MIT OR Apache-2.0
// Receives frames where they are on the GPU, reads them in a stream of its own, and says what it got.
//
//     gpu_consumer NAME
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "driver.h"
#include <uncopy/uncopy.h>

static void die(const char *what) {
    fprintf(stderr, "gpu_consumer: %s: %s\n", what, uncopy_last_message());
    exit(1);
}

// Reads the frame's bytes in the stream: here a kernel would be launched. Says the one value that they all have, or dies.
static int value_of(const uncopy_frame *frame, const uncopy_frame_info *info, CUstream stream) {
    // The slot goes back after what the stream holds when the frame is given back.
    if (uncopy_frame_used_on(frame, stream) != UNCOPY_OK) {
        die("naming the stream");
    }
    uint8_t *bytes = malloc(info->len_bytes);
    driver_check(driver.to_host(bytes, (CUdeviceptr)info->data, info->len_bytes, stream), "cuMemcpyDtoHAsync");
    driver_check(driver.stream_synchronize(stream), "cuStreamSynchronize");
    int value = bytes[0];
    for (uint64_t at = 0; at < info->len_bytes; at++) {
        if (bytes[at] != value) {
            fprintf(stderr, "gpu_consumer: frame %" PRIu64 " is torn at byte %" PRIu64 "\n", info->seq, at);
            exit(1);
        }
    }
    free(bytes);
    return value;
}

int main(int count, char **arguments) {
    if (count != 2) {
        fprintf(stderr, "usage: gpu_consumer NAME\n");
        return 2;
    }
    CUstream stream = driver_open();
    uncopy_subscribe_options options = UNCOPY_SUBSCRIBE_OPTIONS_INIT;
    options.read = UNCOPY_READ_EVERY;
    options.restart_timeout_nanos = 0; // the producer's end is ours
    uncopy_subscriber *subscriber;
    if (uncopy_subscriber_create(arguments[1], &options, &subscriber) != UNCOPY_OK) {
        die("joining the link");
    }
    for (;;) {
        uncopy_frame *frame;
        uncopy_status status = uncopy_subscriber_recv(subscriber, UNCOPY_FOREVER, &frame);
        if (status == UNCOPY_ERROR_PRODUCER_CLOSED) {
            break;
        }
        if (status != UNCOPY_OK) {
            die("receiving");
        }
        uncopy_frame_info info = UNCOPY_FRAME_INFO_INIT;
        uint64_t copies;
        if (uncopy_frame_describe(frame, &info) != UNCOPY_OK || uncopy_frame_copies(frame, NULL, 0, &copies) != UNCOPY_OK) {
            die("the frame");
        }
        printf("frame %" PRIu64 " on cuda:%d: %" PRIu64 " bytes of %d, %" PRIu64 " copies\n", info.seq, info.device.id,
               info.len_bytes, value_of(frame, &info, stream), copies);
        uncopy_frame_destroy(frame);
    }
    uncopy_subscriber_destroy(subscriber);
    driver_check(driver.stream_destroy(stream), "cuStreamDestroy");
    return 0;
}
