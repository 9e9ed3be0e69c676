// SPDX-License-Identifier: MIT OR Apache-2.0
// Both ends of links in one process: every way to publish, every way to receive.
#include <poll.h>

#include "check.h"
#include "dlpack_structs.h"

static void fill(uncopy_loan *loan, int value) {
    uncopy_array_info slot = UNCOPY_ARRAY_INFO_INIT;
    OK(uncopy_loan_describe(loan, &slot));
    CHECK(!slot.is_read_only && slot.is_c_contiguous && slot.device.kind == UNCOPY_DEVICE_CPU);
    memset(slot.data, value, slot.len_bytes);
}

static uint64_t publish_one(uncopy_publisher *publisher, int value) {
    uncopy_form form = small_form();
    uncopy_loan *loan;
    uint64_t seq;
    OK(uncopy_publisher_loan(publisher, &form, &loan));
    fill(loan, value);
    OK(uncopy_loan_publish(loan, NULL, &seq));
    return seq;
}

static void a_loan_arrives_without_a_copy_and_with_its_metadata(void) {
    uncopy_publisher *publisher;
    uncopy_subscriber *subscriber;
    OK(uncopy_publisher_create("loan", NULL, &publisher));
    OK(uncopy_subscriber_create("loan", NULL, &subscriber));
    uncopy_form form = small_form();
    form.origin = UNCOPY_ORIGIN_BOTTOM_LEFT;
    uncopy_loan *loan;
    OK(uncopy_publisher_loan(publisher, &form, &loan));
    fill(loan, 77);
    uncopy_meta meta = UNCOPY_META_INIT;
    meta.kind = UNCOPY_META_JSON;
    meta.bytes = "{\"lens\": 35}";
    meta.len_bytes = strlen(meta.bytes);
    meta.captured_clock = UNCOPY_CLOCK_OTHER;
    meta.captured_nanos = 123;
    uint64_t seq = 0;
    OK(uncopy_loan_publish(loan, &meta, &seq));
    CHECK(seq == 1);

    uncopy_frame *frame;
    OK(uncopy_subscriber_recv(subscriber, SECOND, &frame));
    uncopy_frame_info info = UNCOPY_FRAME_INFO_INIT;
    OK(uncopy_frame_describe(frame, &info));
    CHECK(info.seq == 1 && info.missed == 0 && info.len_bytes == 24 && info.age_nanos >= 0);
    CHECK(info.form.pixel_format == UNCOPY_PIXEL_RGBA8 && info.form.origin == UNCOPY_ORIGIN_BOTTOM_LEFT);
    CHECK(info.form.channel_order == UNCOPY_CHANNELS_RGB && info.form.layout.shape[1] == 3);
    CHECK(info.captured_clock == UNCOPY_CLOCK_OTHER && info.captured_nanos == 123);
    for (uint64_t at = 0; at < info.len_bytes; at++) {
        CHECK(((const uint8_t *)info.data)[at] == 77);
    }
    uint32_t kind;
    const char *bytes;
    uint64_t len, count;
    OK(uncopy_frame_meta(frame, &kind, &bytes, &len));
    CHECK(kind == UNCOPY_META_JSON && len == meta.len_bytes && memcmp(bytes, meta.bytes, len) == 0);
    OK(uncopy_frame_copies(frame, NULL, 0, &count));
    CHECK(count == 0);

    // The frame outlives both ends, and its export the frame.
    DLManagedTensorVersioned *exported;
    OK(uncopy_frame_to_dlpack(frame, &exported));
    CHECK(exported->dl_tensor.data == info.data && exported->flags == 1);
    uncopy_array *array, *copy;
    OK(uncopy_frame_array(frame, &array));
    OK(uncopy_array_ready_on(array, NULL));
    OK(uncopy_frame_ready_on(frame, NULL));
    OK(uncopy_frame_used_on(frame, NULL));
    OK(uncopy_frame_to_host(frame, &copy));
    uncopy_subscriber_destroy(subscriber);
    uncopy_publisher_destroy(publisher);
    uncopy_frame_destroy(frame);
    CHECK(((const uint8_t *)exported->dl_tensor.data)[23] == 77);
    exported->deleter(exported);
    uncopy_array_info shared = UNCOPY_ARRAY_INFO_INIT, private_one = UNCOPY_ARRAY_INFO_INIT;
    OK(uncopy_array_describe(array, &shared));
    OK(uncopy_array_describe(copy, &private_one));
    CHECK(shared.data == info.data && shared.is_read_only);
    CHECK(private_one.data != info.data && !private_one.is_read_only && private_one.was_copied);
    ((uint8_t *)private_one.data)[0] = 1;
    CHECK(*(const uint8_t *)shared.data == 77);
    uncopy_array_destroy(array);
    uncopy_array_destroy(copy);
}

static void a_strided_array_is_sent_packed_and_the_copy_is_named(void) {
    uncopy_publisher *publisher;
    uncopy_subscriber *subscriber;
    OK(uncopy_publisher_create("send", NULL, &publisher));
    OK(uncopy_subscriber_create("send", NULL, &subscriber));
    uint16_t elements[6] = {1, 2, 3, 4, 5, 6};
    uncopy_memory memory = UNCOPY_MEMORY_INIT;
    uncopy_dtype dtype = {UNCOPY_DTYPE_UINT, 16, 1};
    int64_t shape[2] = {3, 2};
    OK(uncopy_layout_packed(dtype, 2, shape, &memory.layout));
    memory.layout.strides_elems[0] = 1;
    memory.layout.strides_elems[1] = 3;
    memory.data = elements;
    uint64_t seq;
    OK(uncopy_publisher_send_memory(publisher, &memory, NULL, &seq));
    CHECK(seq == 1);
    elements[0] = 99;
    uncopy_frame *frame;
    OK(uncopy_subscriber_recv(subscriber, SECOND, &frame));
    uncopy_frame_info info = UNCOPY_FRAME_INFO_INIT;
    OK(uncopy_frame_describe(frame, &info));
    const uint16_t expected[6] = {1, 4, 2, 5, 3, 6};
    CHECK(info.len_bytes == sizeof expected && memcmp(info.data, expected, sizeof expected) == 0);
    uncopy_copy copies[UNCOPY_MAX_COPIES];
    uint64_t count;
    OK(uncopy_frame_copies(frame, copies, UNCOPY_MAX_COPIES, &count));
    CHECK(count == 1 && copies[0].reason == UNCOPY_COPY_GATHER && copies[0].len_bytes == sizeof expected);
    uncopy_frame_destroy(frame);

    uncopy_array *array;
    OK(uncopy_array_wrap(&memory, &array));
    uncopy_send_options options = UNCOPY_SEND_OPTIONS_INIT;
    uncopy_meta meta = UNCOPY_META_INIT;
    meta.kind = UNCOPY_META_RAW;
    meta.bytes = "\0\1";
    meta.len_bytes = 2;
    options.meta = &meta;
    options.pixel_format = UNCOPY_PIXEL_GRAY16;
    options.origin = UNCOPY_ORIGIN_BOTTOM_LEFT;
    options.channel_order = UNCOPY_CHANNELS_BGR;
    OK(uncopy_publisher_send(publisher, array, &options, &seq));
    uncopy_array_destroy(array);
    OK(uncopy_subscriber_recv(subscriber, SECOND, &frame));
    OK(uncopy_frame_describe(frame, &info));
    CHECK(*(const uint16_t *)info.data == 99 && info.form.pixel_format == UNCOPY_PIXEL_GRAY16);
    CHECK(info.form.origin == UNCOPY_ORIGIN_BOTTOM_LEFT && info.form.channel_order == UNCOPY_CHANNELS_BGR);
    const char *bytes;
    uint64_t len;
    OK(uncopy_frame_meta(frame, NULL, &bytes, &len));
    CHECK(len == 2 && bytes[1] == 1);
    uncopy_frame_destroy(frame);

    int32_t written;
    OK(uncopy_publisher_flush(publisher, 0, &written));
    CHECK(written == 1);
    uncopy_publisher_stats sent = UNCOPY_PUBLISHER_STATS_INIT;
    OK(uncopy_publisher_get_stats(publisher, &sent));
    CHECK(sent.published == 2 && sent.dropped == 0 && sent.consumers == 1 && sent.slots == 4);
    uncopy_subscriber_stats got = UNCOPY_SUBSCRIBER_STATS_INIT;
    OK(uncopy_subscriber_get_stats(subscriber, &got));
    CHECK(got.received == 2 && got.missed == 0 && got.is_connected == 1 && got.restarts == 0);
    uncopy_publisher_destroy(publisher);
    uncopy_subscriber_destroy(subscriber);
}

static void a_dlpack_view_of_a_loan_is_written_and_published(void) {
    uncopy_publisher *publisher;
    uncopy_subscriber *subscriber;
    OK(uncopy_publisher_create("dlpack", NULL, &publisher));
    OK(uncopy_subscriber_create("dlpack", NULL, &subscriber));
    uncopy_form form = small_form();
    uncopy_loan *loan;
    OK(uncopy_publisher_loan(publisher, &form, &loan));
    DLManagedTensorVersioned *slot;
    OK(uncopy_loan_to_dlpack(loan, &slot));
    CHECK(slot->flags == 0 && slot->dl_tensor.ndim == 3);
    memset(slot->dl_tensor.data, 5, 24);
    slot->deleter(slot);
    OK(uncopy_loan_also_on(loan, NULL));
    OK(uncopy_loan_publish(loan, NULL, NULL));
    uncopy_frame *frame;
    OK(uncopy_subscriber_recv(subscriber, SECOND, &frame));
    uncopy_frame_info info = UNCOPY_FRAME_INFO_INIT;
    OK(uncopy_frame_describe(frame, &info));
    CHECK(((const uint8_t *)info.data)[23] == 5);
    uncopy_frame_destroy(frame);
    // An abandoned loan publishes nothing, and its slot comes again.
    for (int round = 0; round < 10; round++) {
        OK(uncopy_publisher_loan(publisher, &form, &loan));
        uncopy_loan_abandon(loan);
    }
    FAILS(uncopy_subscriber_recv(subscriber, 0, &frame), UNCOPY_ERROR_TIMED_OUT, "no new frame");
    CHECK(frame == NULL);
    uncopy_publisher_destroy(publisher);
    uncopy_subscriber_destroy(subscriber);
}

static void a_full_link_drops_or_blocks_as_it_was_told(void) {
    uncopy_publish_options options = UNCOPY_PUBLISH_OPTIONS_INIT;
    options.slots = 2;
    uncopy_publisher *publisher;
    uncopy_subscriber *subscriber;
    OK(uncopy_publisher_create("full", &options, &publisher));
    OK(uncopy_subscriber_create("full", NULL, &subscriber));
    uncopy_frame *held;
    CHECK(publish_one(publisher, 1) == 1);
    OK(uncopy_subscriber_recv(subscriber, SECOND, &held));
    CHECK(publish_one(publisher, 2) == 2);
    uncopy_frame *second;
    OK(uncopy_subscriber_recv(subscriber, SECOND, &second));
    uncopy_form form = small_form();
    uncopy_loan *loan;
    FAILS(uncopy_publisher_loan(publisher, &form, &loan), UNCOPY_ERROR_NO_FREE_SLOT, "no free slot");
    uncopy_memory memory = UNCOPY_MEMORY_INIT;
    uint8_t bytes[24] = {0};
    memory.data = bytes;
    memory.layout = form.layout;
    uint64_t seq = 9;
    OK(uncopy_publisher_send_memory(publisher, &memory, NULL, &seq));
    CHECK(seq == 0);
    uncopy_publisher_stats stats = UNCOPY_PUBLISHER_STATS_INIT;
    OK(uncopy_publisher_get_stats(publisher, &stats));
    CHECK(stats.dropped == 2);
    uncopy_frame_destroy(held);
    CHECK(publish_one(publisher, 3) == 3);
    uncopy_frame_destroy(second);
    uncopy_publisher_destroy(publisher);
    uncopy_subscriber_destroy(subscriber);

    options.when_full = UNCOPY_WHEN_FULL_BLOCK;
    options.room_timeout_nanos = 1000;
    OK(uncopy_publisher_create("full", &options, &publisher));
    uncopy_subscribe_options every = UNCOPY_SUBSCRIBE_OPTIONS_INIT;
    every.read = UNCOPY_READ_EVERY;
    OK(uncopy_subscriber_create("full", &every, &subscriber));
    publish_one(publisher, 1);
    publish_one(publisher, 2);
    FAILS(uncopy_publisher_send_memory(publisher, &memory, NULL, &seq), UNCOPY_ERROR_NO_FREE_SLOT, "no free slot");
    OK(uncopy_subscriber_recv(subscriber, SECOND, &held));
    uncopy_frame_destroy(held);
    OK(uncopy_publisher_send_memory(publisher, &memory, NULL, &seq));
    CHECK(seq == 3);
    uncopy_publisher_destroy(publisher);
    uncopy_subscriber_destroy(subscriber);
}

static void a_consumer_that_keeps_slots_for_too_long_loses_its_place(void) {
    uncopy_publish_options options = UNCOPY_PUBLISH_OPTIONS_INIT;
    options.slots = 2;
    options.evict_after_nanos = 1000000;
    uncopy_publisher *publisher;
    uncopy_subscriber *subscriber;
    OK(uncopy_publisher_create("evict", &options, &publisher));
    OK(uncopy_subscriber_create("evict", NULL, &subscriber));
    uncopy_frame *held[2], *next;
    for (int at = 0; at < 2; at++) {
        publish_one(publisher, at);
        OK(uncopy_subscriber_recv(subscriber, SECOND, &held[at]));
    }
    // No room: the producer runs out of patience, not of slots that it may take.
    uncopy_form form = small_form();
    uncopy_loan *loan;
    FAILS(uncopy_publisher_loan(publisher, &form, &loan), UNCOPY_ERROR_NO_FREE_SLOT, "");
    uncopy_status status;
    do {
        uncopy_publisher_loan(publisher, &form, &loan);
        status = uncopy_subscriber_recv(subscriber, 0, &next);
    } while (status == UNCOPY_ERROR_TIMED_OUT);
    CHECK(status == UNCOPY_ERROR_EVICTED && next == NULL);
    uncopy_frame_info info = UNCOPY_FRAME_INFO_INIT;
    OK(uncopy_frame_describe(held[0], &info));
    CHECK(*(const uint8_t *)info.data == 0);
    uncopy_frame_destroy(held[0]);
    uncopy_frame_destroy(held[1]);
    uncopy_subscriber_destroy(subscriber);
    uncopy_publisher_destroy(publisher);
}

static void a_fixed_form_refuses_others(void) {
    uncopy_publish_options options = UNCOPY_PUBLISH_OPTIONS_INIT;
    uncopy_form form = small_form(), other;
    options.form = &form;
    uncopy_publisher *publisher;
    OK(uncopy_publisher_create("fixed", &options, &publisher));
    OK(uncopy_form_image(4, 4, UNCOPY_PIXEL_GRAY8, &other));
    uncopy_loan *loan;
    FAILS(uncopy_publisher_loan(publisher, &other, &loan), UNCOPY_ERROR_FORM_MISMATCH, "uint8[2, 3, 4]");
    CHECK(publish_one(publisher, 1) == 1);
    uncopy_publisher_destroy(publisher);
}

static void a_name_is_taken_until_it_is_taken_over(void) {
    uncopy_publish_options options = UNCOPY_PUBLISH_OPTIONS_INIT;
    uncopy_publisher *first, *second;
    OK(uncopy_publisher_create("name", &options, &first));
    FAILS(uncopy_publisher_create("name", &options, &second), UNCOPY_ERROR_NAME_TAKEN, "is taken");
    options.takeover = 1;
    OK(uncopy_publisher_create("name", &options, &second));
    uncopy_form form = small_form();
    uncopy_loan *loan;
    FAILS(uncopy_publisher_loan(first, &form, &loan), UNCOPY_ERROR_SUPERSEDED, "took the name");
    uncopy_publisher_destroy(first);
    CHECK(publish_one(second, 1) == 1);
    uncopy_publisher_destroy(second);
    FAILS(uncopy_publisher_create("no/name", NULL, &first), UNCOPY_ERROR_INVALID_NAME, "");
}

static void an_event_loop_polls_the_descriptor(void) {
    uncopy_publisher *publisher;
    uncopy_subscriber *subscriber;
    uncopy_frame *frame;
    OK(uncopy_publisher_create("poll", NULL, &publisher));
    OK(uncopy_subscriber_create("poll", NULL, &subscriber));
    int32_t fd;
    OK(uncopy_subscriber_fileno(subscriber, &fd));
    OK(uncopy_subscriber_poll(subscriber, &frame));
    CHECK(fd >= 0 && frame == NULL);
    OK(uncopy_subscriber_newest(subscriber, &frame));
    CHECK(frame == NULL);
    struct pollfd polled = {fd, POLLIN, 0};
    CHECK(poll(&polled, 1, 0) == 0);
    publish_one(publisher, 8);
    CHECK(poll(&polled, 1, -1) == 1);
    OK(uncopy_subscriber_poll(subscriber, &frame));
    CHECK(frame != NULL);
    uncopy_frame_destroy(frame);
    OK(uncopy_subscriber_newest(subscriber, &frame));
    CHECK(frame != NULL);
    uncopy_frame *twin;
    OK(uncopy_frame_clone(frame, &twin));
    uncopy_frame_destroy(frame);
    uncopy_frame_info info = UNCOPY_FRAME_INFO_INIT;
    OK(uncopy_frame_describe(twin, &info));
    CHECK(info.seq == 1);
    int32_t torn;
    OK(uncopy_frame_is_torn(twin, &torn));
    OK(uncopy_frame_used_anywhere(twin));
    CHECK(torn == 0);
    uncopy_frame_destroy(twin);
    uncopy_publisher_destroy(publisher);
    uncopy_subscriber_destroy(subscriber);
}

static void several_links_are_waited_for_at_once(void) {
    uncopy_publisher *color, *depth;
    uncopy_subscriber *both[2];
    OK(uncopy_publisher_create("color", NULL, &color));
    OK(uncopy_publisher_create("depth", NULL, &depth));
    OK(uncopy_subscriber_create("color", NULL, &both[0]));
    OK(uncopy_subscriber_create("depth", NULL, &both[1]));
    uint8_t ready[2] = {9, 9};
    uint64_t count;
    OK(uncopy_wait(both, 2, 0, ready, &count));
    CHECK(count == 0 && ready[0] == 0 && ready[1] == 0);
    publish_one(depth, 1);
    OK(uncopy_wait(both, 2, UNCOPY_FOREVER, ready, &count));
    CHECK(count == 1 && ready[0] == 0 && ready[1] == 1);
    uncopy_frame *frame;
    OK(uncopy_subscriber_poll(both[1], &frame));
    uncopy_frame_destroy(frame);
    uncopy_subscriber *twice[2] = {both[0], both[0]};
    FAILS(uncopy_wait(twice, 2, 0, ready, &count), UNCOPY_ERROR_UNSUPPORTED, "in use");
    OK(uncopy_wait(NULL, 0, 0, NULL, &count));
    uncopy_publisher_destroy(color);
    uncopy_publisher_destroy(depth);
    uncopy_subscriber_destroy(both[0]);
    uncopy_subscriber_destroy(both[1]);
}

static void the_links_of_the_user_are_listed(void) {
    uncopy_publisher *publisher;
    OK(uncopy_publisher_create("listed", NULL, &publisher));
    publish_one(publisher, 1);
    const char *directories[2] = {NULL, directory()};
    for (int at = 0; at < 2; at++) {
        uncopy_link_list *list;
        uint64_t count;
        OK(uncopy_link_list_create(directories[at], &list));
        OK(uncopy_link_list_count(list, &count));
        CHECK(count == 1);
        uncopy_link_info info = UNCOPY_LINK_INFO_INIT;
        OK(uncopy_link_list_get(list, 0, &info));
        CHECK(strcmp(info.name, "listed") == 0 && info.answer == UNCOPY_ANSWERING && info.pid > 0);
        CHECK(info.slots == 4 && info.published == 1 && info.whereabouts == UNCOPY_ON_HOST && info.has_form);
        CHECK(info.form.layout.shape[0] == 2 && strcmp(info.detail, "") == 0 && info.last_frame_age_nanos >= 0);
        FAILS(uncopy_link_list_get(list, 1, &info), UNCOPY_ERROR_INVALID_ARGUMENT, "no index 1");
        uncopy_link_list_destroy(list);
        FAILS(uncopy_link_list_count(list, &count), UNCOPY_ERROR_INVALID_ARGUMENT, "was destroyed");
    }
    uncopy_publisher_destroy(publisher);
}

static int has_enough;

static int32_t until_it_has_enough(void *user) {
    CHECK(user == &has_enough);
    return !has_enough;
}

static void a_wait_asks_its_program_and_ends_when_that_says_so(void) {
    uncopy_publisher *publisher;
    uncopy_subscriber *subscriber;
    uncopy_frame *frame;
    OK(uncopy_publisher_create("ask", NULL, &publisher));
    uncopy_subscribe_options options = UNCOPY_SUBSCRIBE_OPTIONS_INIT;
    options.keep_waiting = until_it_has_enough;
    options.user = &has_enough;
    OK(uncopy_subscriber_create("ask", &options, &subscriber));
    has_enough = 1;
    FAILS(uncopy_subscriber_recv(subscriber, UNCOPY_FOREVER, &frame), UNCOPY_ERROR_INTERRUPTED, "interrupted");
    uncopy_subscriber_destroy(subscriber);

    options.keep_waiting = NULL;
    options.restart_timeout_nanos = 0;
    OK(uncopy_subscriber_create("ask", &options, &subscriber));
    // Before the wait: it is the next one that ends.
    OK(uncopy_subscriber_interrupt(subscriber));
    FAILS(uncopy_subscriber_recv(subscriber, UNCOPY_FOREVER, &frame), UNCOPY_ERROR_INTERRUPTED, "interrupted");
    OK(uncopy_publisher_wait_for_consumers(publisher, 1, SECOND));
    FAILS(uncopy_publisher_wait_for_consumers(publisher, 2, 0), UNCOPY_ERROR_TIMED_OUT, "1 of 2 consumers");
    OK(uncopy_publisher_interrupt(publisher));
    FAILS(uncopy_publisher_wait_for_consumers(publisher, 2, UNCOPY_FOREVER), UNCOPY_ERROR_INTERRUPTED, "");
    uncopy_publisher_destroy(publisher);
    FAILS(uncopy_subscriber_recv(subscriber, UNCOPY_FOREVER, &frame), UNCOPY_ERROR_PRODUCER_CLOSED, "closed the link");
    uncopy_subscriber_destroy(subscriber);
}

static void a_subscriber_may_come_before_its_producer(void) {
    uncopy_subscribe_options options = UNCOPY_SUBSCRIBE_OPTIONS_INIT;
    uncopy_subscriber *subscriber;
    options.timeout_nanos = 0;
    FAILS(uncopy_subscriber_create("early", &options, &subscriber), UNCOPY_ERROR_NOT_FOUND, "nobody publishes");
    options.is_started_later = 1;
    options.timeout_nanos = UNCOPY_FOREVER;
    options.directory = directory();
    OK(uncopy_subscriber_create("early", &options, &subscriber));
    uncopy_publish_options there = UNCOPY_PUBLISH_OPTIONS_INIT;
    there.directory = directory();
    uncopy_publisher *publisher;
    OK(uncopy_publisher_create("early", &there, &publisher));
    publish_one(publisher, 4);
    uncopy_frame *frame;
    OK(uncopy_subscriber_recv(subscriber, UNCOPY_FOREVER, &frame));
    uncopy_frame_destroy(frame);
    uncopy_subscriber_destroy(subscriber);
    uncopy_publisher_destroy(publisher);
}

int main(void) {
    a_loan_arrives_without_a_copy_and_with_its_metadata();
    a_strided_array_is_sent_packed_and_the_copy_is_named();
    a_dlpack_view_of_a_loan_is_written_and_published();
    a_full_link_drops_or_blocks_as_it_was_told();
    a_consumer_that_keeps_slots_for_too_long_loses_its_place();
    a_fixed_form_refuses_others();
    a_name_is_taken_until_it_is_taken_over();
    an_event_loop_polls_the_descriptor();
    several_links_are_waited_for_at_once();
    the_links_of_the_user_are_listed();
    a_wait_asks_its_program_and_ends_when_that_says_so();
    a_subscriber_may_come_before_its_producer();
    puts("done");
    return 0;
}
