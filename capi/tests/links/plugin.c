// SPDX-License-Identifier: MIT OR Apache-2.0
// A host that loads the library, and unloads it while a link is open: its thread goes on.
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <uncopy/uncopy.h>

#define CHECK(condition)                                                  \
    do {                                                                  \
        if (!(condition)) {                                               \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                      \
        }                                                                 \
    } while (0)

static void *find(void *library, const char *name) {
    void *found = dlsym(library, name);
    CHECK(found != NULL);
    return found;
}

// A thread of its own, whose thread-local state of the library is gone with it and keeps nothing loaded.
static void *publish_and_unload(void *path) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    CHECK(library != NULL);
    uncopy_status (*create)(const char *, const uncopy_publish_options *, uncopy_publisher **);
    *(void **)&create = find(library, "uncopy_publisher_create");
    uncopy_publisher *publisher;
    CHECK(create("plugin", NULL, &publisher) == UNCOPY_OK);
    CHECK(dlclose(library) == 0);
    return NULL;
}

int main(int count, char **arguments) {
    CHECK(count == 2);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, publish_and_unload, arguments[1]) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    uncopy_status (*subscribe)(const char *, const uncopy_subscribe_options *, uncopy_subscriber **);
    // Whoever subscribes is answered by the thread of the library that was closed.
    void *library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
    CHECK(library != NULL);
    *(void **)&subscribe = find(library, "uncopy_subscriber_create");
    uncopy_subscriber *subscriber;
    CHECK(subscribe("plugin", NULL, &subscriber) == UNCOPY_OK);
    CHECK(dlclose(library) == 0);
    puts("done");
    return 0;
}
