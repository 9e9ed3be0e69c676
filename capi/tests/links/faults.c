// SPDX-License-Identifier: MIT OR Apache-2.0
// What goes wrong in programs: NULL, handles that are over or of another type, structs of another age, two threads in one
// end, fork.
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "dlpack_structs.h"

#define INVALID UNCOPY_ERROR_INVALID_ARGUMENT

static uncopy_publisher *publisher;
static uncopy_subscriber *subscriber;
static uncopy_frame *frame;
static uncopy_array *array;

static uncopy_loan *new_loan(void) {
    uncopy_form form = small_form();
    uncopy_loan *loan;
    OK(uncopy_publisher_loan(publisher, &form, &loan));
    return loan;
}

static void set_up(void) {
    OK(uncopy_publisher_create("faults", NULL, &publisher));
    OK(uncopy_subscriber_create("faults", NULL, &subscriber));
    OK(uncopy_loan_publish(new_loan(), NULL, NULL));
    OK(uncopy_subscriber_recv(subscriber, SECOND, &frame));
    OK(uncopy_frame_array(frame, &array));
}

static void tear_down(void) {
    uncopy_array_destroy(array);
    uncopy_frame_destroy(frame);
    uncopy_subscriber_destroy(subscriber);
    uncopy_publisher_destroy(publisher);
}

static void null_is_told_for_every_result(void) {
    const char *out = "is NULL; pass the address of a variable";
    uncopy_dtype dtype = {UNCOPY_DTYPE_UINT, 8, 1};
    uncopy_form form = small_form();
    uncopy_memory memory = UNCOPY_MEMORY_INIT;
    uncopy_device host = {UNCOPY_DEVICE_CPU, 0};
    uint64_t number;
    const char *text;
    FAILS(uncopy_dtype_from_name("u8", NULL), INVALID, out);
    FAILS(uncopy_layout_packed(dtype, 0, NULL, NULL), INVALID, out);
    FAILS(uncopy_form_array(dtype, 0, NULL, NULL), INVALID, out);
    FAILS(uncopy_form_image(1, 1, UNCOPY_PIXEL_GRAY8, NULL), INVALID, out);
    FAILS(uncopy_array_from_dlpack(NULL, NULL), INVALID, out);
    FAILS(uncopy_array_from_dlpack_legacy(NULL, NULL), INVALID, out);
    FAILS(uncopy_array_wrap(&memory, NULL), INVALID, out);
    FAILS(uncopy_array_to_dlpack(array, NULL), INVALID, out);
    FAILS(uncopy_array_to_dlpack_legacy(array, NULL), INVALID, out);
    FAILS(uncopy_array_clone(array, NULL), INVALID, out);
    FAILS(uncopy_array_describe(array, NULL), INVALID, "info is NULL");
    FAILS(uncopy_publisher_create("x", NULL, NULL), INVALID, out);
    FAILS(uncopy_publisher_send(publisher, array, NULL, NULL), INVALID, out);
    FAILS(uncopy_publisher_send_memory(publisher, &memory, NULL, NULL), INVALID, out);
    FAILS(uncopy_publisher_flush(publisher, 0, NULL), INVALID, out);
    FAILS(uncopy_publisher_get_stats(publisher, NULL), INVALID, "stats is NULL");
    FAILS(uncopy_publisher_loan(publisher, &form, NULL), INVALID, out);
    FAILS(uncopy_publisher_loan_on(publisher, &form, host, NULL, NULL), INVALID, out);
    FAILS(uncopy_subscriber_create("x", NULL, NULL), INVALID, out);
    FAILS(uncopy_subscriber_recv(subscriber, 0, NULL), INVALID, out);
    FAILS(uncopy_subscriber_recv_on(subscriber, NULL, 0, NULL), INVALID, out);
    FAILS(uncopy_subscriber_poll(subscriber, NULL), INVALID, out);
    FAILS(uncopy_subscriber_newest(subscriber, NULL), INVALID, out);
    FAILS(uncopy_subscriber_fileno(subscriber, NULL), INVALID, out);
    FAILS(uncopy_subscriber_get_stats(subscriber, NULL), INVALID, "stats is NULL");
    FAILS(uncopy_frame_describe(frame, NULL), INVALID, "info is NULL");
    FAILS(uncopy_frame_meta(frame, NULL, NULL, &number), INVALID, out);
    FAILS(uncopy_frame_meta(frame, NULL, &text, NULL), INVALID, out);
    FAILS(uncopy_frame_copies(frame, NULL, 0, NULL), INVALID, out);
    FAILS(uncopy_frame_array(frame, NULL), INVALID, out);
    FAILS(uncopy_frame_to_dlpack(frame, NULL), INVALID, out);
    FAILS(uncopy_frame_to_host(frame, NULL), INVALID, out);
    FAILS(uncopy_frame_is_torn(frame, NULL), INVALID, out);
    FAILS(uncopy_frame_used_on_kept(frame, NULL, NULL, NULL), INVALID, "release is NULL");
    FAILS(uncopy_frame_clone(frame, NULL), INVALID, out);
    FAILS(uncopy_wait(&subscriber, 1, 0, NULL, &number), INVALID, "ready is NULL");
    FAILS(uncopy_wait(NULL, 1, 0, NULL, &number), INVALID, "subscribers is NULL");
    FAILS(uncopy_wait(NULL, 0, 0, NULL, NULL), INVALID, out);
    FAILS(uncopy_link_list_create(NULL, NULL), INVALID, out);
    FAILS(uncopy_link_list_count(NULL, NULL), INVALID, out);
    FAILS(uncopy_link_list_get(NULL, 0, NULL), INVALID, "info is NULL");
}

// Every function that takes this handle says that it is no live one, with these words; nothing happens.
static void told_of_array(uncopy_array *it, int32_t status, const char *words) {
    uncopy_array_info info = UNCOPY_ARRAY_INFO_INIT;
    uncopy_array *other;
    DLManagedTensorVersioned *managed;
    DLManagedTensor *legacy;
    uint64_t seq;
    char byte;
    FAILS(uncopy_array_describe(it, &info), status, words);
    FAILS(uncopy_array_clone(it, &other), status, words);
    FAILS(uncopy_array_to_dlpack(it, &managed), status, words);
    FAILS(uncopy_array_to_dlpack_legacy(it, &legacy), status, words);
    FAILS(uncopy_array_copy_to(it, &byte, 1), status, words);
    FAILS(uncopy_array_made_on(it, NULL), status, words);
    FAILS(uncopy_array_ready_on(it, NULL), status, words);
    FAILS(uncopy_publisher_send(publisher, it, NULL, &seq), status, words);
    CHECK(other == NULL && managed == NULL && legacy == NULL && seq == 0);
    uncopy_array_destroy(it);
}

static void must_not_be_called(void *owner) {
    (void)owner;
    CHECK(!"a release after a failure");
}

static void told_of_frame(uncopy_frame *it, int32_t status, const char *words) {
    uncopy_frame_info info = UNCOPY_FRAME_INFO_INIT;
    uncopy_frame *other;
    uncopy_array *made;
    DLManagedTensorVersioned *managed;
    const char *bytes;
    uint64_t number;
    int32_t torn;
    FAILS(uncopy_frame_describe(it, &info), status, words);
    FAILS(uncopy_frame_clone(it, &other), status, words);
    FAILS(uncopy_frame_meta(it, NULL, &bytes, &number), status, words);
    FAILS(uncopy_frame_copies(it, NULL, 0, &number), status, words);
    FAILS(uncopy_frame_array(it, &made), status, words);
    FAILS(uncopy_frame_to_host(it, &made), status, words);
    FAILS(uncopy_frame_to_dlpack(it, &managed), status, words);
    FAILS(uncopy_frame_used_on(it, NULL), status, words);
    FAILS(uncopy_frame_used_on_kept(it, NULL, must_not_be_called, NULL), status, words);
    FAILS(uncopy_frame_ready_on(it, NULL), status, words);
    FAILS(uncopy_frame_used_anywhere(it), status, words);
    FAILS(uncopy_frame_is_torn(it, &torn), status, words);
    CHECK(other == NULL && made == NULL && managed == NULL && strcmp(bytes, "") == 0);
    uncopy_frame_destroy(it);
}

static void told_of_publisher(uncopy_publisher *it, int32_t status, const char *words) {
    uncopy_form form = small_form();
    uncopy_device cuda = {UNCOPY_DEVICE_CUDA, 0};
    uncopy_memory memory = UNCOPY_MEMORY_INIT;
    uncopy_publisher_stats stats = UNCOPY_PUBLISHER_STATS_INIT;
    uncopy_loan *loan;
    uint64_t seq;
    int32_t written;
    FAILS(uncopy_publisher_loan(it, &form, &loan), status, words);
    FAILS(uncopy_publisher_loan_on(it, &form, cuda, NULL, &loan), status, words);
    FAILS(uncopy_publisher_send(it, array, NULL, &seq), status, words);
    FAILS(uncopy_publisher_send_memory(it, &memory, NULL, &seq), status, words);
    FAILS(uncopy_publisher_wait_for_consumers(it, 0, 0), status, words);
    FAILS(uncopy_publisher_flush(it, 0, &written), status, words);
    FAILS(uncopy_publisher_get_stats(it, &stats), status, words);
    FAILS(uncopy_publisher_interrupt(it), status, words);
    CHECK(loan == NULL && seq == 0);
    uncopy_publisher_destroy(it);
}

static void told_of_subscriber(uncopy_subscriber *it, int32_t status, const char *words) {
    uncopy_subscriber_stats stats = UNCOPY_SUBSCRIBER_STATS_INIT;
    uncopy_frame *received;
    uint64_t count;
    int32_t fd;
    uint8_t ready;
    FAILS(uncopy_subscriber_recv(it, 0, &received), status, words);
    FAILS(uncopy_subscriber_recv_on(it, NULL, 0, &received), status, words);
    FAILS(uncopy_subscriber_poll(it, &received), status, words);
    FAILS(uncopy_subscriber_newest(it, &received), status, words);
    FAILS(uncopy_subscriber_fileno(it, &fd), status, words);
    FAILS(uncopy_subscriber_get_stats(it, &stats), status, words);
    FAILS(uncopy_subscriber_interrupt(it), status, words);
    FAILS(uncopy_wait(&it, 1, 0, &ready, &count), status, words);
    CHECK(received == NULL && fd == -1 && count == 0);
    uncopy_subscriber_destroy(it);
}

static void told_of_loan(uncopy_loan *it, int32_t status, const char *words) {
    uncopy_array_info info = UNCOPY_ARRAY_INFO_INIT;
    DLManagedTensorVersioned *managed;
    FAILS(uncopy_loan_describe(it, &info), status, words);
    FAILS(uncopy_loan_to_dlpack(it, &managed), status, words);
    FAILS(uncopy_loan_also_on(it, NULL), status, words);
    FAILS(uncopy_loan_publish(it, NULL, NULL), status, words);
    CHECK(managed == NULL);
    uncopy_loan_abandon(it);
}

static void handles_that_lead_nowhere_are_told_and_never_followed(void) {
    int local = 0;
    told_of_array(NULL, INVALID, "it is NULL");
    told_of_frame(NULL, INVALID, "it is NULL");
    told_of_publisher(NULL, INVALID, "it is NULL");
    told_of_subscriber(NULL, INVALID, "it is NULL");
    told_of_loan(NULL, INVALID, "it is NULL");
    told_of_array((uncopy_array *)&local, INVALID, "it was never one");
    told_of_frame((uncopy_frame *)array, INVALID, "of another type");
    told_of_array((uncopy_array *)frame, INVALID, "of another type");

    uncopy_loan *over = new_loan();
    uncopy_loan_abandon(over);
    told_of_loan(over, INVALID, "it was destroyed");
    over = new_loan();
    OK(uncopy_loan_publish(over, NULL, NULL));
    told_of_loan(over, INVALID, "it was destroyed");

    uncopy_array *old_array;
    uncopy_frame *old_frame;
    OK(uncopy_array_clone(array, &old_array));
    OK(uncopy_frame_clone(frame, &old_frame));
    uncopy_array_destroy(old_array);
    uncopy_frame_destroy(old_frame);
    // Their cells are in use again.
    uncopy_array *new_array;
    uncopy_frame *new_frame;
    OK(uncopy_array_clone(array, &new_array));
    OK(uncopy_frame_clone(frame, &new_frame));
    told_of_array(old_array, INVALID, "it was destroyed");
    told_of_frame(old_frame, INVALID, "it was destroyed");
    uncopy_array_destroy(new_array);
    uncopy_frame_destroy(new_frame);

    uncopy_publisher *old_publisher;
    uncopy_subscriber *old_subscriber;
    OK(uncopy_publisher_create("old", NULL, &old_publisher));
    OK(uncopy_subscriber_create("old", NULL, &old_subscriber));
    uncopy_publisher_destroy(old_publisher);
    uncopy_subscriber_destroy(old_subscriber);
    told_of_publisher(old_publisher, INVALID, "it was destroyed");
    told_of_subscriber(old_subscriber, INVALID, "it was destroyed");
}

static void a_loan_outlives_its_publisher_and_is_refused(void) {
    uncopy_publisher *closed;
    OK(uncopy_publisher_create("closed", NULL, &closed));
    uncopy_form form = small_form();
    uncopy_loan *loan;
    OK(uncopy_publisher_loan(closed, &form, &loan));
    uncopy_array_info slot = UNCOPY_ARRAY_INFO_INIT;
    OK(uncopy_loan_describe(loan, &slot));
    uncopy_publisher_destroy(closed);
    memset(slot.data, 1, slot.len_bytes);
    FAILS(uncopy_loan_publish(loan, NULL, NULL), UNCOPY_ERROR_CLOSED, "is closed");
}

static void structs_of_another_age_are_told(void) {
    uncopy_publish_options options = UNCOPY_PUBLISH_OPTIONS_INIT;
    uncopy_publisher *made;
    options.size_bytes = 0;
    FAILS(uncopy_publisher_create("age", &options, &made), INVALID, "UNCOPY_PUBLISH_OPTIONS_INIT");
    options.size_bytes = sizeof options - 8;
    FAILS(uncopy_publisher_create("age", &options, &made), INVALID, "begin with");
    options.size_bytes = sizeof options;
    options.version = 2;
    FAILS(uncopy_publisher_create("age", &options, &made), UNCOPY_ERROR_VERSION_MISMATCH, "version 2");

    // A newer header's struct, with a field that this library does not know.
    struct {
        uncopy_publish_options known;
        uint64_t unknown;
    } newer = {UNCOPY_PUBLISH_OPTIONS_INIT, 1};
    newer.known.size_bytes = sizeof newer;
    FAILS(uncopy_publisher_create("age", &newer.known, &made), UNCOPY_ERROR_VERSION_MISMATCH, "newer libuncopy");
    newer.unknown = 0;
    OK(uncopy_publisher_create("age", &newer.known, &made));
    uncopy_publisher_destroy(made);

    struct {
        uncopy_frame_info known;
        uint64_t unknown;
    } info = {UNCOPY_FRAME_INFO_INIT, 7};
    info.known.size_bytes = sizeof info;
    OK(uncopy_frame_describe(frame, &info.known));
    CHECK(info.known.size_bytes == sizeof(uncopy_frame_info) && info.unknown == 7 && info.known.seq == 1);
    info.known.size_bytes = 8;
    FAILS(uncopy_frame_describe(frame, &info.known), INVALID, "UNCOPY_FRAME_INFO_INIT");
}

static void numbers_outside_what_a_call_accepts_are_told(void) {
    uncopy_publish_options options = UNCOPY_PUBLISH_OPTIONS_INIT;
    uncopy_publisher *made;
    options.slots = 65;
    FAILS(uncopy_publisher_create("numbers", &options, &made), INVALID, "2 to 64 slots");
    options.slots = 4;
    options.when_full = 2;
    FAILS(uncopy_publisher_create("numbers", &options, &made), INVALID, "when_full");
    options.when_full = 1;
    options.room_timeout_nanos = -3;
    FAILS(uncopy_publisher_create("numbers", &options, &made), INVALID, "room_timeout_nanos");
    uncopy_subscribe_options reading = UNCOPY_SUBSCRIBE_OPTIONS_INIT;
    uncopy_subscriber *reader;
    reading.read = 9;
    FAILS(uncopy_subscriber_create("faults", &reading, &reader), INVALID, "read is");
    reading.read = 0;
    reading.place = 9;
    FAILS(uncopy_subscriber_create("faults", &reading, &reader), INVALID, "place is");
    reading.place = 0;
    reading.release = 9;
    FAILS(uncopy_subscriber_create("faults", &reading, &reader), INVALID, "release is");
    reading.release = 0;
    reading.spin_nanos = UNCOPY_FOREVER;
    FAILS(uncopy_subscriber_create("faults", &reading, &reader), INVALID, "spin_nanos");
    reading.spin_nanos = 0;
    reading.timeout_nanos = UNCOPY_LIKE_TIMEOUT;
    FAILS(uncopy_subscriber_create("faults", &reading, &reader), INVALID, "timeout_nanos");
    uncopy_frame *received;
    FAILS(uncopy_subscriber_recv(subscriber, -2, &received), INVALID, "timeout_nanos");

    uncopy_meta meta = UNCOPY_META_INIT;
    char bytes[UNCOPY_MAX_META_BYTES + 1] = {0};
    meta.bytes = bytes;
    meta.len_bytes = 1;
    FAILS(uncopy_loan_publish(new_loan(), &meta, NULL), INVALID, "no kind");
    meta.kind = UNCOPY_META_RAW;
    meta.len_bytes = sizeof bytes;
    FAILS(uncopy_loan_publish(new_loan(), &meta, NULL), INVALID, "4097 bytes");
    meta.len_bytes = UINT64_MAX;
    FAILS(uncopy_loan_publish(new_loan(), &meta, NULL), INVALID, "at most 4096");
    meta.kind = UNCOPY_META_JSON;
    meta.bytes = "\xff";
    meta.len_bytes = 1;
    FAILS(uncopy_loan_publish(new_loan(), &meta, NULL), INVALID, "UTF-8");
    meta.kind = 3;
    FAILS(uncopy_loan_publish(new_loan(), &meta, NULL), INVALID, "UNCOPY_META_");
    meta.bytes = NULL;
    meta.kind = UNCOPY_META_RAW;
    FAILS(uncopy_loan_publish(new_loan(), &meta, NULL), INVALID, "meta->bytes is NULL");

    uncopy_form form = small_form();
    uncopy_loan *loan;
    form.layout.strides_elems[0] = -form.layout.strides_elems[0];
    FAILS(uncopy_publisher_loan(publisher, &form, &loan), UNCOPY_ERROR_INVALID_LAYOUT, "go backwards");
    form.layout.strides_elems[0] = 0;
    FAILS(uncopy_publisher_loan(publisher, &form, &loan), UNCOPY_ERROR_INVALID_LAYOUT, "overlap");
    form.layout.ndim = -1;
    FAILS(uncopy_publisher_loan(publisher, &form, &loan), INVALID, "0 to 8 axes");
    uncopy_device host = {UNCOPY_DEVICE_CPU, 0};
    form = small_form();
    FAILS(uncopy_publisher_loan_on(publisher, &form, host, NULL, &loan), INVALID, "no stream");
}

static int in_thread;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static uncopy_subscriber *shared;

static void say(int state) {
    pthread_mutex_lock(&lock);
    in_thread = state;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static int32_t say_that_it_waits(void *user) {
    (void)user;
    say(1);
    return 1;
}

static void *wait_for_ever(void *expected) {
    uncopy_frame *received;
    // A message of this thread is not another's.
    CHECK(uncopy_last_status() == UNCOPY_OK);
    int32_t status = uncopy_subscriber_recv(shared, UNCOPY_FOREVER, &received);
    CHECK(status == *(int32_t *)expected && received == NULL);
    CHECK(uncopy_last_status() == status);
    return NULL;
}

// Starts a thread that waits, and returns once it does.
static pthread_t waiting_thread(int32_t *expected) {
    pthread_t thread;
    say(0);
    CHECK(pthread_create(&thread, NULL, wait_for_ever, expected) == 0);
    pthread_mutex_lock(&lock);
    while (!in_thread) {
        pthread_cond_wait(&changed, &lock);
    }
    pthread_mutex_unlock(&lock);
    return thread;
}

static void two_threads_in_one_end_are_told_and_either_may_end_the_wait(void) {
    uncopy_publisher *quiet;
    OK(uncopy_publisher_create("quiet", NULL, &quiet));
    uncopy_subscribe_options options = UNCOPY_SUBSCRIBE_OPTIONS_INIT;
    options.keep_waiting = say_that_it_waits;
    OK(uncopy_subscriber_create("quiet", &options, &shared));
    uncopy_frame *received;
    int32_t interrupted = UNCOPY_ERROR_INTERRUPTED, closed = UNCOPY_ERROR_CLOSED;
    pthread_t thread = waiting_thread(&interrupted);
    FAILS(uncopy_subscriber_recv(shared, 0, &received), UNCOPY_ERROR_UNSUPPORTED, "in use by another thread");
    OK(uncopy_subscriber_interrupt(shared));
    CHECK(pthread_join(thread, NULL) == 0);
    // It is whole after that.
    FAILS(uncopy_subscriber_recv(shared, 0, &received), UNCOPY_ERROR_TIMED_OUT, "");
    thread = waiting_thread(&closed);
    uncopy_subscriber_destroy(shared);
    CHECK(pthread_join(thread, NULL) == 0);
    told_of_subscriber(shared, INVALID, "it was destroyed");
    uncopy_publisher_stats stats = UNCOPY_PUBLISHER_STATS_INIT;
    do {
        OK(uncopy_publisher_get_stats(quiet, &stats));
    } while (stats.consumers > 0);
    uncopy_publisher_destroy(quiet);
}

static uncopy_publisher *blocking;

static void *wait_for_room(void *unused) {
    (void)unused;
    uncopy_form form = small_form();
    uncopy_loan *loan;
    FAILS(uncopy_publisher_loan(blocking, &form, &loan), UNCOPY_ERROR_CLOSED, "is closed");
    return NULL;
}

static void a_producer_that_waits_for_room_is_ended_by_another_thread(void) {
    uncopy_publish_options options = UNCOPY_PUBLISH_OPTIONS_INIT;
    options.slots = 2;
    options.when_full = UNCOPY_WHEN_FULL_BLOCK;
    options.keep_waiting = say_that_it_waits;
    OK(uncopy_publisher_create("blocking", &options, &blocking));
    uncopy_subscriber *reader;
    OK(uncopy_subscriber_create("blocking", NULL, &reader));
    uncopy_frame *held[2];
    for (int at = 0; at < 2; at++) {
        uncopy_form form = small_form();
        uncopy_loan *loan;
        OK(uncopy_publisher_loan(blocking, &form, &loan));
        OK(uncopy_loan_publish(loan, NULL, NULL));
        OK(uncopy_subscriber_recv(reader, SECOND, &held[at]));
    }
    pthread_t thread;
    say(0);
    CHECK(pthread_create(&thread, NULL, wait_for_room, NULL) == 0);
    pthread_mutex_lock(&lock);
    while (!in_thread) {
        pthread_cond_wait(&changed, &lock);
    }
    pthread_mutex_unlock(&lock);
    uncopy_publisher_destroy(blocking);
    CHECK(pthread_join(thread, NULL) == 0);
    uncopy_frame_destroy(held[0]);
    uncopy_frame_destroy(held[1]);
    uncopy_subscriber_destroy(reader);
}

static volatile sig_atomic_t has_rung;

static void ring(int signal) {
    (void)signal;
    has_rung = 1;
}

static int32_t until_it_rings(void *user) {
    (void)user;
    return !has_rung;
}

static void a_signal_ends_a_wait_whose_program_wants_that(void) {
    uncopy_publisher *quiet;
    uncopy_subscriber *waiting;
    uncopy_frame *received;
    OK(uncopy_publisher_create("signal", NULL, &quiet));
    uncopy_subscribe_options options = UNCOPY_SUBSCRIBE_OPTIONS_INIT;
    options.keep_waiting = until_it_rings;
    OK(uncopy_subscriber_create("signal", &options, &waiting));
    struct sigaction action = {.sa_handler = ring};
    CHECK(sigaction(SIGALRM, &action, NULL) == 0);
    struct itimerval soon = {{0, 0}, {0, 20000}};
    CHECK(setitimer(ITIMER_REAL, &soon, NULL) == 0);
    FAILS(uncopy_subscriber_recv(waiting, UNCOPY_FOREVER, &received), UNCOPY_ERROR_INTERRUPTED, "interrupted");
    CHECK(has_rung);
    uncopy_subscriber_destroy(waiting);
    uncopy_publisher_destroy(quiet);
}

static void *clone_and_destroy(void *unused) {
    (void)unused;
    for (int round = 0; round < 2000; round++) {
        uncopy_frame *twin;
        uncopy_frame_info info = UNCOPY_FRAME_INFO_INIT;
        OK(uncopy_frame_clone(frame, &twin));
        OK(uncopy_frame_describe(twin, &info));
        CHECK(info.seq == 1);
        uncopy_frame_destroy(twin);
    }
    return NULL;
}

static void a_frame_is_used_by_any_number_of_threads(void) {
    pthread_t threads[4];
    for (int at = 0; at < 4; at++) {
        CHECK(pthread_create(&threads[at], NULL, clone_and_destroy, NULL) == 0);
    }
    for (int at = 0; at < 4; at++) {
        CHECK(pthread_join(threads[at], NULL) == 0);
    }
}

static void a_forked_child_is_told_and_ends_nothing_of_its_parent(void) {
    uncopy_loan *loan = new_loan();
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        const char *words = "before fork";
        told_of_loan(loan, UNCOPY_ERROR_FORKED_PROCESS, words);
        told_of_frame(frame, UNCOPY_ERROR_FORKED_PROCESS, words);
        told_of_array(array, UNCOPY_ERROR_FORKED_PROCESS, words);
        told_of_subscriber(subscriber, UNCOPY_ERROR_FORKED_PROCESS, words);
        told_of_publisher(publisher, UNCOPY_ERROR_FORKED_PROCESS, words);
        // It has links of its own.
        uncopy_subscriber *own;
        uncopy_frame *received;
        OK(uncopy_subscriber_create("faults", NULL, &own));
        OK(uncopy_subscriber_recv(own, SECOND, &received));
        uncopy_frame_destroy(received);
        uncopy_subscriber_destroy(own);
        exit(0);
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    uint64_t before, after;
    uncopy_publisher_stats stats = UNCOPY_PUBLISHER_STATS_INIT;
    OK(uncopy_publisher_get_stats(publisher, &stats));
    before = stats.published;
    OK(uncopy_loan_publish(loan, NULL, &after));
    CHECK(after == before + 1);
    uncopy_frame_info info = UNCOPY_FRAME_INFO_INIT;
    OK(uncopy_frame_describe(frame, &info));
    CHECK(info.seq == 1);
}

int main(void) {
    set_up();
    null_is_told_for_every_result();
    handles_that_lead_nowhere_are_told_and_never_followed();
    a_loan_outlives_its_publisher_and_is_refused();
    structs_of_another_age_are_told();
    numbers_outside_what_a_call_accepts_are_told();
    two_threads_in_one_end_are_told_and_either_may_end_the_wait();
    a_producer_that_waits_for_room_is_ended_by_another_thread();
    a_signal_ends_a_wait_whose_program_wants_that();
    a_frame_is_used_by_any_number_of_threads();
    a_forked_child_is_told_and_ends_nothing_of_its_parent();
    tear_down();
    puts("done");
    return 0;
}
