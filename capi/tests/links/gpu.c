// SPDX-License-Identifier: MIT OR Apache-2.0
// Streams: who waits for whom. On the stand-in for a driver each piece of work is late by as much as its stream was told, so
// that an order that is forgotten shows as bytes of another frame.
#include <sched.h>

#include "../../examples/links/driver.h"
#include "check.h"
#include "dlpack_structs.h"

#define LEN 24

// In the order in which they are made: UNCOPY_STANDIN_LAG_US says how late each is.
static CUstream late, prompt;
static uncopy_device cuda = {UNCOPY_DEVICE_CUDA, 0};
// Pinned: a copy to other memory is made before the call returns, whatever the stream.
static uint8_t *bytes, *others;

static void fill(void *at, int value, uint64_t len, CUstream stream) {
    driver_check(driver.fill((CUdeviceptr)at, (unsigned char)value, len, stream), "cuMemsetD8Async");
}

static void copy_to_host(void *to, const void *from, CUstream stream) {
    driver_check(driver.to_host(to, (CUdeviceptr)from, LEN, stream), "cuMemcpyDtoHAsync");
}

static void wait_for(CUstream stream) {
    driver_check(driver.stream_synchronize(stream), "cuStreamSynchronize");
}

static int all_are(const uint8_t *bytes, int value) {
    for (int at = 0; at < LEN; at++) {
        if (bytes[at] != value) {
            fprintf(stderr, "byte %d is %d, not %d\n", at, bytes[at], value);
            return 0;
        }
    }
    return 1;
}

static void publish_one(uncopy_publisher *publisher, int value, CUstream stream) {
    uncopy_form form = small_form();
    uncopy_loan *loan;
    OK(uncopy_publisher_loan_on(publisher, &form, cuda, stream, &loan));
    uncopy_array_info slot = UNCOPY_ARRAY_INFO_INIT;
    OK(uncopy_loan_describe(loan, &slot));
    CHECK(slot.device.kind == UNCOPY_DEVICE_CUDA && slot.stream == (void *)stream && !slot.is_read_only);
    fill(slot.data, value, slot.len_bytes, stream);
    OK(uncopy_loan_publish(loan, NULL, NULL));
}

static void open_both(const char *name, uint32_t slots, uncopy_publisher **publisher, uncopy_subscriber **subscriber) {
    uncopy_publish_options options = UNCOPY_PUBLISH_OPTIONS_INIT;
    options.slots = slots;
    OK(uncopy_publisher_create(name, &options, publisher));
    OK(uncopy_subscriber_create(name, NULL, subscriber));
}

static void a_slot_goes_back_after_the_streams_that_were_named(void) {
    uncopy_publisher *publisher;
    uncopy_subscriber *subscriber;
    open_both("used", 2, &publisher, &subscriber);
    uncopy_frame *frame;
    publish_one(publisher, 1, prompt);
    OK(uncopy_subscriber_recv(subscriber, UNCOPY_FOREVER, &frame));
    uncopy_frame_info info = UNCOPY_FRAME_INFO_INIT;
    OK(uncopy_frame_describe(frame, &info));
    OK(uncopy_frame_used_on(frame, late));
    copy_to_host(bytes, info.data, late);
    uncopy_frame_destroy(frame);
    // Both slots are written again, in a stream that is never late by itself.
    publish_one(publisher, 2, prompt);
    publish_one(publisher, 3, prompt);
    wait_for(prompt);
    wait_for(late);
    CHECK(all_are(bytes, 1));
    uncopy_subscriber_destroy(subscriber);
    uncopy_publisher_destroy(publisher);
}

static int released;

static void release(void *owner) {
    CHECK(owner == &released);
    __atomic_add_fetch(&released, 1, __ATOMIC_SEQ_CST);
}

static void the_owner_of_a_stream_is_kept_as_long_as_the_frame_needs_it(void) {
    uncopy_publisher *publisher;
    uncopy_subscriber *subscriber;
    open_both("kept", 4, &publisher, &subscriber);
    publish_one(publisher, 1, prompt);
    uncopy_frame *frame, *twin;
    OK(uncopy_subscriber_recv(subscriber, UNCOPY_FOREVER, &frame));
    OK(uncopy_frame_used_on_kept(frame, late, release, &released));
    OK(uncopy_frame_clone(frame, &twin));
    uncopy_frame_destroy(frame);
    CHECK(__atomic_load_n(&released, __ATOMIC_SEQ_CST) == 0);
    uncopy_frame_destroy(twin);
    while (__atomic_load_n(&released, __ATOMIC_SEQ_CST) == 0) {
        sched_yield();
    }
    uncopy_subscriber_destroy(subscriber);
    uncopy_publisher_destroy(publisher);
    CHECK(released == 1);
}

static void a_stream_is_ordered_after_an_array_that_another_makes(void) {
    CUdeviceptr memory;
    driver_check(driver.alloc(&memory, LEN), "cuMemAlloc");
    uncopy_memory described = UNCOPY_MEMORY_INIT;
    uncopy_dtype dtype = {UNCOPY_DTYPE_UINT, 8, 1};
    int64_t shape[1] = {LEN};
    OK(uncopy_layout_packed(dtype, 1, shape, &described.layout));
    described.data = (void *)memory;
    described.device = cuda;
    described.stream = late;
    fill((void *)memory, 5, LEN, late);
    uncopy_array *array;
    OK(uncopy_array_wrap(&described, &array));
    uncopy_array_info info = UNCOPY_ARRAY_INFO_INIT;
    OK(uncopy_array_describe(array, &info));
    CHECK(info.stream == (void *)late);
    OK(uncopy_array_ready_on(array, prompt));
    copy_to_host(bytes, (void *)memory, prompt);
    wait_for(prompt);
    CHECK(all_are(bytes, 5));

    // The same for a struct of DLPack, which has no stream to say, and for what is sent.
    DLManagedTensorVersioned *managed;
    OK(uncopy_array_to_dlpack(array, &managed));
    uncopy_array_destroy(array);
    OK(uncopy_array_from_dlpack(managed, &array));
    uncopy_publisher *publisher;
    uncopy_subscriber *subscriber;
    open_both("made", 4, &publisher, &subscriber);
    fill((void *)memory, 6, LEN, late);
    OK(uncopy_array_made_on(array, late));
    uint64_t seq;
    OK(uncopy_publisher_send(publisher, array, NULL, &seq));
    // The copy is in the array's stream: what comes after it may write the array.
    fill((void *)memory, 7, LEN, late);
    uncopy_frame *frame;
    OK(uncopy_subscriber_recv(subscriber, UNCOPY_FOREVER, &frame));
    uncopy_frame_info got = UNCOPY_FRAME_INFO_INIT;
    OK(uncopy_frame_describe(frame, &got));
    uncopy_copy copies[UNCOPY_MAX_COPIES];
    uint64_t count;
    OK(uncopy_frame_copies(frame, copies, UNCOPY_MAX_COPIES, &count));
    CHECK(count == 1 && copies[0].reason == UNCOPY_COPY_SEND && copies[0].from.kind == UNCOPY_DEVICE_CUDA);
    copy_to_host(bytes, got.data, prompt);
    wait_for(prompt);
    CHECK(all_are(bytes, 6));
    uncopy_frame_destroy(frame);
    int32_t written;
    OK(uncopy_publisher_flush(publisher, UNCOPY_FOREVER, &written));
    CHECK(written == 1);
    uncopy_array_destroy(array);
    uncopy_subscriber_destroy(subscriber);
    uncopy_publisher_destroy(publisher);
    wait_for(late);
    driver_check(driver.free(memory), "cuMemFree");
}

static void a_frame_for_a_stream_is_whole_there_before_it_is_anywhere_else(void) {
    uncopy_publisher *publisher;
    uncopy_subscriber *subscriber;
    open_both("for", 4, &publisher, &subscriber);
    publish_one(publisher, 9, late);
    uncopy_frame *frame;
    OK(uncopy_subscriber_recv_on(subscriber, prompt, UNCOPY_FOREVER, &frame));
    uncopy_frame_info info = UNCOPY_FRAME_INFO_INIT;
    OK(uncopy_frame_describe(frame, &info));
    copy_to_host(bytes, info.data, prompt);
    // Another stream is ordered by the array of the frame.
    CUstream third = driver_stream();
    uncopy_array *array;
    OK(uncopy_frame_array(frame, &array));
    OK(uncopy_array_ready_on(array, third));
    copy_to_host(others, info.data, third);
    uncopy_array_destroy(array);
    uncopy_frame_destroy(frame);
    wait_for(prompt);
    wait_for(third);
    CHECK(all_are(bytes, 9) && all_are(others, 9));
    driver_check(driver.stream_destroy(third), "cuStreamDestroy");
    uncopy_subscriber_destroy(subscriber);
    uncopy_publisher_destroy(publisher);
}

static void two_streams_write_one_loan(void) {
    uncopy_publisher *publisher;
    uncopy_subscriber *subscriber;
    open_both("also", 4, &publisher, &subscriber);
    uncopy_form form = small_form();
    uncopy_loan *loan;
    OK(uncopy_publisher_loan_on(publisher, &form, cuda, prompt, &loan));
    uncopy_array_info slot = UNCOPY_ARRAY_INFO_INIT;
    OK(uncopy_loan_describe(loan, &slot));
    OK(uncopy_loan_also_on(loan, late));
    fill(slot.data, 4, LEN / 2, prompt);
    fill((uint8_t *)slot.data + LEN / 2, 4, LEN / 2, late);
    OK(uncopy_loan_publish(loan, NULL, NULL));
    uncopy_frame *frame;
    OK(uncopy_subscriber_recv(subscriber, UNCOPY_FOREVER, &frame));
    uncopy_array *copy;
    OK(uncopy_frame_to_host(frame, &copy));
    uncopy_frame_destroy(frame);
    OK(uncopy_array_copy_to(copy, bytes, LEN));
    CHECK(all_are(bytes, 4));
    uncopy_array_destroy(copy);
    uncopy_subscriber_destroy(subscriber);
    uncopy_publisher_destroy(publisher);
}

static void a_consumer_without_the_device_reads_the_mirror(void) {
    uncopy_publish_options mirrored = UNCOPY_PUBLISH_OPTIONS_INIT;
    mirrored.mirror = 1;
    uncopy_subscribe_options on_host = UNCOPY_SUBSCRIBE_OPTIONS_INIT;
    on_host.place = UNCOPY_PLACE_HOST;
    uncopy_publisher *publisher;
    uncopy_subscriber *subscriber;
    OK(uncopy_publisher_create("mirror", &mirrored, &publisher));
    OK(uncopy_subscriber_create("mirror", &on_host, &subscriber));
    publish_one(publisher, 8, late);
    uncopy_frame *frame;
    OK(uncopy_subscriber_recv(subscriber, UNCOPY_FOREVER, &frame));
    uncopy_frame_info info = UNCOPY_FRAME_INFO_INIT;
    OK(uncopy_frame_describe(frame, &info));
    CHECK(info.device.kind == UNCOPY_DEVICE_CPU && all_are(info.data, 8));
    uncopy_copy copies[UNCOPY_MAX_COPIES];
    uint64_t count;
    OK(uncopy_frame_copies(frame, copies, UNCOPY_MAX_COPIES, &count));
    CHECK(count == 1 && copies[0].reason == UNCOPY_COPY_MIRROR && copies[0].to.kind == UNCOPY_DEVICE_CPU);
    uncopy_link_list *list;
    OK(uncopy_link_list_create(NULL, &list));
    uncopy_link_info seen = UNCOPY_LINK_INFO_INIT;
    OK(uncopy_link_list_get(list, 0, &seen));
    CHECK(seen.whereabouts == UNCOPY_ON_CUDA && seen.is_mirrored && (seen.uuid[0] || seen.uuid[15]));
    uncopy_link_list_destroy(list);
    uncopy_frame_destroy(frame);
    uncopy_subscriber_destroy(subscriber);
    uncopy_publisher_destroy(publisher);
}

int main(void) {
    late = driver_open();
    prompt = driver_stream();
    driver_check(driver.alloc_host((void **)&bytes, LEN), "cuMemAllocHost");
    driver_check(driver.alloc_host((void **)&others, LEN), "cuMemAllocHost");
    a_slot_goes_back_after_the_streams_that_were_named();
    the_owner_of_a_stream_is_kept_as_long_as_the_frame_needs_it();
    a_stream_is_ordered_after_an_array_that_another_makes();
    a_frame_for_a_stream_is_whole_there_before_it_is_anywhere_else();
    two_streams_write_one_loan();
    a_consumer_without_the_device_reads_the_mirror();
    driver_check(driver.stream_destroy(late), "cuStreamDestroy");
    driver_check(driver.stream_destroy(prompt), "cuStreamDestroy");
    driver_check(driver.free_host(bytes), "cuMemFreeHost");
    driver_check(driver.free_host(others), "cuMemFreeHost");
    puts("done");
    return 0;
}
