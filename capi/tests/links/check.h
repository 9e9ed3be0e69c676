// SPDX-License-Identifier: MIT OR Apache-2.0
// What the programs of these tests say when something is not as it should be: they end, with the place and uncopy's words.
#ifndef UNCOPY_TESTS_CHECK_H
#define UNCOPY_TESTS_CHECK_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uncopy/uncopy.h>

// Ends the program unless the condition holds.
#define CHECK(condition)                                                                              \
    do {                                                                                              \
        if (!(condition)) {                                                                           \
            fprintf(stderr, "%s:%d: not so: %s; uncopy last said: %s\n", __FILE__, __LINE__, #condition, \
                    uncopy_last_message());                                                           \
            exit(1);                                                                                  \
        }                                                                                             \
    } while (0)

// Ends the program unless the call succeeds.
#define OK(call) CHECK((call) == UNCOPY_OK)

// Ends the program unless the call fails so, and the message has these words.
#define FAILS(call, status, words)                            \
    do {                                                      \
        int32_t found_ = (call);                              \
        if (found_ != (status)) {                             \
            fprintf(stderr, "%s:%d: %s came to %" PRId32 "\n", __FILE__, __LINE__, #call, found_); \
        }                                                     \
        CHECK(found_ == (status));                            \
        CHECK(uncopy_last_status() == (status));              \
        CHECK(strstr(uncopy_last_message(), (words)) != NULL); \
    } while (0)

// One second.
#define SECOND INT64_C(1000000000)

// A form that is not this small would only take time.
static inline uncopy_form small_form(void) {
    uncopy_form form;
    OK(uncopy_form_image(2, 3, UNCOPY_PIXEL_RGBA8, &form));
    return form;
}

// The runtime directory of the test.
static inline const char *directory(void) {
    const char *found = getenv("UNCOPY_RUNTIME_DIR");
    CHECK(found != NULL);
    return found;
}

#endif
