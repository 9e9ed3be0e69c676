// SPDX-License-Identifier: MIT OR Apache-2.0
// Publishes pictures that are drawn straight into shared memory.
//
//     producer NAME FRAMES
//
// It waits for a consumer, and then for room, so that the consumer gets every frame.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uncopy/uncopy.h>

static void die(const char *what) {
    fprintf(stderr, "producer: %s: %s\n", what, uncopy_last_message());
    exit(1);
}

// A gradient that moves by one with each frame.
static void draw(uint8_t *pixels, uint64_t len_bytes, uint64_t number) {
    for (uint64_t at = 0; at < len_bytes; at++) {
        pixels[at] = (uint8_t)(at + number);
    }
}

static void publish_one(uncopy_publisher *publisher, const uncopy_form *form, uint64_t number) {
    uncopy_loan *loan;
    if (uncopy_publisher_loan(publisher, form, &loan) != UNCOPY_OK) {
        die("no slot");
    }
    uncopy_array_info slot = UNCOPY_ARRAY_INFO_INIT;
    if (uncopy_loan_describe(loan, &slot) != UNCOPY_OK) {
        die("the slot");
    }
    draw(slot.data, slot.len_bytes, number);

    char text[64];
    snprintf(text, sizeof text, "{\"number\": %" PRIu64 "}", number);
    uncopy_meta meta = UNCOPY_META_INIT;
    meta.kind = UNCOPY_META_JSON;
    meta.bytes = text;
    meta.len_bytes = strlen(text);
    // The loan is over, whatever comes of this.
    if (uncopy_loan_publish(loan, &meta, NULL) != UNCOPY_OK) {
        die("publishing");
    }
}

int main(int count, char **arguments) {
    if (count != 3) {
        fprintf(stderr, "usage: producer NAME FRAMES\n");
        return 2;
    }
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
    if (uncopy_form_image(90, 160, UNCOPY_PIXEL_RGBA8, &form) != UNCOPY_OK) {
        die("the form");
    }
    for (uint64_t number = 1; number <= strtoull(arguments[2], NULL, 10); number++) {
        publish_one(publisher, &form, number);
    }
    // What is published stays readable for those who hold it.
    uncopy_publisher_destroy(publisher);
    return 0;
}
