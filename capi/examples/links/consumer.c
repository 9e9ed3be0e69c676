// SPDX-License-Identifier: MIT OR Apache-2.0
// Receives every frame of a link until its producer closes it, and says what it got.
//
//     consumer NAME
//
// Nothing is copied: the pixels are read where the producer drew them.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <uncopy/uncopy.h>

static void die(const char *what) {
    fprintf(stderr, "consumer: %s: %s\n", what, uncopy_last_message());
    exit(1);
}

// One number for all pixels of a frame.
static uint64_t sum_of(const uint8_t *pixels, uint64_t len_bytes) {
    uint64_t sum = 0;
    for (uint64_t at = 0; at < len_bytes; at++) {
        sum = sum * 31 + pixels[at];
    }
    return sum;
}

static void show(const uncopy_frame *frame) {
    uncopy_frame_info info = UNCOPY_FRAME_INFO_INIT;
    const char *text;
    uint64_t text_len, copies;
    if (uncopy_frame_describe(frame, &info) != UNCOPY_OK ||
        uncopy_frame_meta(frame, NULL, &text, &text_len) != UNCOPY_OK ||
        uncopy_frame_copies(frame, NULL, 0, &copies) != UNCOPY_OK) {
        die("the frame");
    }
    printf("frame %" PRIu64 ": %" PRId64 " x %" PRId64 ", %.*s, %" PRIu64 " missed, %" PRIu64 " copies, sum %016" PRIx64 "\n",
           info.seq, info.form.layout.shape[1], info.form.layout.shape[0], (int)text_len, text, info.missed, copies,
           sum_of(info.data, info.len_bytes));
}

int main(int count, char **arguments) {
    if (count != 2) {
        fprintf(stderr, "usage: consumer NAME\n");
        return 2;
    }
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
        show(frame);
        // The slot is the producer's again.
        uncopy_frame_destroy(frame);
    }
    uncopy_subscriber_destroy(subscriber);
    return 0;
}
