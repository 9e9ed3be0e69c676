// SPDX-License-Identifier: MIT OR Apache-2.0
// A program that ends without ending what it has.
#include "check.h"

int main(void) {
    uncopy_publisher *publisher;
    uncopy_subscriber *subscriber;
    uncopy_loan *published, *open;
    uncopy_frame *frame;
    uncopy_array *array;
    uncopy_form form = small_form();
    OK(uncopy_publisher_create("forgetful", NULL, &publisher));
    OK(uncopy_subscriber_create("forgetful", NULL, &subscriber));
    OK(uncopy_publisher_loan(publisher, &form, &published));
    OK(uncopy_loan_publish(published, NULL, NULL));
    OK(uncopy_publisher_loan(publisher, &form, &open));
    OK(uncopy_subscriber_recv(subscriber, SECOND, &frame));
    OK(uncopy_frame_array(frame, &array));
    puts("done");
    return 0;
}
