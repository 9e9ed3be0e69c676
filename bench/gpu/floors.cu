// SPDX-License-Identifier: MIT OR Apache-2.0
// The floors: what a card and its driver take at least for what uncopy's links do with them.
//
// Two processes, joined by nothing but shared memory and the driver: no socket, no protocol, no leases. The producer
// makes a frame, the consumer gets it; one frame is under way at a time. Goals are ratios to these rows, measured in
// the same minute. bench/gpu/README.md says what each row is for.
//
// Build: nvcc -O2 -std=c++17 -arch=native floors.cu -lcuda -o floors
//
// Limits: legacy IPC carries the frame, since nothing here depends on how memory was shared; one card, but for one row; Linux.

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "floors/consumer.cuh"
#include "floors/places.hpp"
#include "floors/producer.cuh"

namespace {

using namespace floors;

/// For the signal handler, which can be given nothing.
Page* the_page = nullptr;

/// The consumer ended. If not well, the producer must not wait for it.
void on_end_of_child(int) {
    int status = 0;
    if (waitpid(-1, &status, WNOHANG) <= 0) return;
    if (status != 0) the_page->failed.value.store(1);
    else tell(the_page->ended, 1);
}

[[noreturn]] void consume(Page& page, const Options& options, const void* mirror) {
    // A consumer without a producer would spin for ever.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    alarm(options.limit_s);
    take_place(Place::CONSUMER);
    Consumer(page, options, static_cast<const std::uint32_t*>(mirror)).run();
    _exit(0);
}

/// A floor that was measured on the wrong bytes is none.
void refuse_wrong_words(Page& page) {
    const std::uint32_t wrong = page.wrong_words.load();
    if (wrong == 0) return;
    std::fprintf(stderr, "%u words were not those that the producer wrote\n", wrong);
    give_up(page);
}

}  // namespace

int main(int count, char** words) {
    const Options options = options_of(count, words);
    Page& page = *new (shared_memory(PAGE_LEN_BYTES)) Page;
    void* mirror = shared_memory(LARGEST_LEN_BYTES);
    the_page = &page;
    signal(SIGCHLD, on_end_of_child);
    // Before the first driver call: a driver that was initialised does not work in a child.
    const pid_t child = fork();
    if (child < 0) {
        std::perror("fork");
        return 3;
    }
    if (child == 0) consume(page, options, mirror);
    alarm(options.limit_s);
    take_place(Place::PRODUCER);
    Producer producer(page, options, mirror);
    const Report report = producer.measure();
    spin_until(page, page.ended, 1);
    refuse_wrong_words(page);
    report.print();
    return 0;
}
