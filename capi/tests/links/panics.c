// SPDX-License-Identifier: MIT OR Apache-2.0
// Every function panics inside, in a library that was built for it: none unwinds, all say so, and what is left works on.
#include "check.h"

// Only in this library.
void uncopy_test_panic(void);

#define PANICS(call)                                       \
    do {                                                   \
        uncopy_test_panic();                               \
        FAILS(call, UNCOPY_ERROR_SYSTEM, "a bug of uncopy"); \
        panicked++;                                        \
    } while (0)

static int panicked;

static void every_function_with_a_status(void) {
    uncopy_dtype dtype = {0, 0, 0};
    uncopy_device device = {0, 0};
    PANICS(uncopy_array_from_dlpack(NULL, NULL));
    PANICS(uncopy_array_from_dlpack_legacy(NULL, NULL));
    PANICS(uncopy_array_wrap(NULL, NULL));
    PANICS(uncopy_array_made_on(NULL, NULL));
    PANICS(uncopy_array_ready_on(NULL, NULL));
    PANICS(uncopy_array_to_dlpack(NULL, NULL));
    PANICS(uncopy_array_to_dlpack_legacy(NULL, NULL));
    PANICS(uncopy_array_describe(NULL, NULL));
    PANICS(uncopy_array_copy_to(NULL, NULL, 0));
    PANICS(uncopy_array_clone(NULL, NULL));
    PANICS(uncopy_dtype_from_name(NULL, NULL));
    PANICS(uncopy_layout_packed(dtype, 0, NULL, NULL));
    PANICS(uncopy_form_array(dtype, 0, NULL, NULL));
    PANICS(uncopy_form_image(0, 0, 0, NULL));
    PANICS(uncopy_frame_describe(NULL, NULL));
    PANICS(uncopy_frame_meta(NULL, NULL, NULL, NULL));
    PANICS(uncopy_frame_copies(NULL, NULL, 0, NULL));
    PANICS(uncopy_frame_array(NULL, NULL));
    PANICS(uncopy_frame_to_dlpack(NULL, NULL));
    PANICS(uncopy_frame_to_host(NULL, NULL));
    PANICS(uncopy_frame_used_on(NULL, NULL));
    PANICS(uncopy_frame_used_on_kept(NULL, NULL, NULL, NULL));
    PANICS(uncopy_frame_ready_on(NULL, NULL));
    PANICS(uncopy_frame_used_anywhere(NULL));
    PANICS(uncopy_frame_is_torn(NULL, NULL));
    PANICS(uncopy_frame_clone(NULL, NULL));
    PANICS(uncopy_link_list_create(NULL, NULL));
    PANICS(uncopy_link_list_count(NULL, NULL));
    PANICS(uncopy_link_list_get(NULL, 0, NULL));
    PANICS(uncopy_publisher_loan(NULL, NULL, NULL));
    PANICS(uncopy_publisher_loan_on(NULL, NULL, device, NULL, NULL));
    PANICS(uncopy_loan_describe(NULL, NULL));
    PANICS(uncopy_loan_to_dlpack(NULL, NULL));
    PANICS(uncopy_loan_also_on(NULL, NULL));
    PANICS(uncopy_loan_publish(NULL, NULL, NULL));
    PANICS(uncopy_publisher_create(NULL, NULL, NULL));
    PANICS(uncopy_publisher_send(NULL, NULL, NULL, NULL));
    PANICS(uncopy_publisher_send_memory(NULL, NULL, NULL, NULL));
    PANICS(uncopy_publisher_wait_for_consumers(NULL, 0, 0));
    PANICS(uncopy_publisher_flush(NULL, 0, NULL));
    PANICS(uncopy_publisher_get_stats(NULL, NULL));
    PANICS(uncopy_publisher_interrupt(NULL));
    PANICS(uncopy_subscriber_create(NULL, NULL, NULL));
    PANICS(uncopy_subscriber_recv(NULL, 0, NULL));
    PANICS(uncopy_subscriber_recv_on(NULL, NULL, 0, NULL));
    PANICS(uncopy_subscriber_poll(NULL, NULL));
    PANICS(uncopy_subscriber_newest(NULL, NULL));
    PANICS(uncopy_subscriber_fileno(NULL, NULL));
    PANICS(uncopy_subscriber_get_stats(NULL, NULL));
    PANICS(uncopy_subscriber_interrupt(NULL));
    PANICS(uncopy_wait(NULL, 0, 0, NULL, NULL));
}

// They have no status, and keep it all the same. The object stays.
static void every_function_that_ends_something(void) {
    uncopy_publisher *publisher;
    uncopy_subscriber *subscriber;
    uncopy_loan *loan;
    uncopy_frame *frame;
    uncopy_array *array;
    uncopy_link_list *list;
    uncopy_form form = small_form();
    OK(uncopy_publisher_create("panics", NULL, &publisher));
    OK(uncopy_subscriber_create("panics", NULL, &subscriber));
    OK(uncopy_publisher_loan(publisher, &form, &loan));
    OK(uncopy_loan_publish(loan, NULL, NULL));
    OK(uncopy_publisher_loan(publisher, &form, &loan));
    OK(uncopy_subscriber_recv(subscriber, SECOND, &frame));
    OK(uncopy_frame_array(frame, &array));
    OK(uncopy_link_list_create(NULL, &list));
#define ENDS(call)                                                      \
    do {                                                                \
        uncopy_test_panic();                                            \
        call;                                                           \
        CHECK(uncopy_last_status() == UNCOPY_ERROR_SYSTEM);             \
        CHECK(strstr(uncopy_last_message(), "a bug of uncopy") != NULL); \
        call;                                                           \
        panicked++;                                                     \
    } while (0)
    ENDS(uncopy_array_destroy(array));
    ENDS(uncopy_frame_destroy(frame));
    ENDS(uncopy_loan_abandon(loan));
    ENDS(uncopy_subscriber_destroy(subscriber));
    ENDS(uncopy_publisher_destroy(publisher));
    ENDS(uncopy_link_list_destroy(list));
    // The second call ended it: the name is free.
    OK(uncopy_publisher_create("panics", NULL, &publisher));
    uncopy_publisher_destroy(publisher);
}

int main(void) {
    every_function_with_a_status();
    every_function_that_ends_something();
    printf("%d functions\n", panicked);
    return 0;
}
