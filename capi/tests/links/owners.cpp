// SPDX-License-Identifier: MIT OR Apache-2.0
// link.hpp: owners that move and end by themselves, exceptions with their kind, callbacks that throw, ranges.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <type_traits>

#include "dlpack_structs.h"
#include <uncopy/link.hpp>

namespace link = uncopy::link;

#define CHECK(condition)                                                             \
    do {                                                                             \
        if (!(condition)) {                                                          \
            std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            std::exit(1);                                                            \
        }                                                                            \
    } while (0)

template <class T>
constexpr bool is_an_owner = std::is_nothrow_move_constructible_v<T> && std::is_nothrow_move_assignable_v<T> &&
                             std::is_nothrow_destructible_v<T> && !std::is_copy_constructible_v<T> &&
                             !std::is_copy_assignable_v<T>;
static_assert(is_an_owner<link::publisher> && is_an_owner<link::subscriber> && is_an_owner<link::frame>);
static_assert(is_an_owner<link::loan> && is_an_owner<link::array> && is_an_owner<link::list>);
static_assert(std::is_base_of_v<std::runtime_error, link::error> && std::is_base_of_v<link::error, link::timed_out>);

// The kind that a call fails with; ends the program where it does not.
template <class Error, class F>
static link::kind fails(F&& call) {
    try {
        call();
    } catch (const Error& error) {
        CHECK(std::strlen(error.what()) > 0 && std::strlen(error.name()) > 0);
        return error.kind();
    }
    CHECK(!"it should have failed");
    std::abort();
}

static const uncopy_form form = link::image(2, 3, UNCOPY_PIXEL_RGBA8);

static void publish_one(link::publisher& out, std::uint8_t value) {
    link::loan slot = out.loan(form);
    for (std::uint8_t& byte : slot.bytes()) {
        byte = value;
    }
    slot.publish();
}

static void errors_have_their_kind_and_class() {
    CHECK(fails<link::error>([] { link::publisher("no/name"); }) == link::kind::invalid_name);
    link::subscribe_options options;
    options.timeout = link::nanoseconds(0);
    CHECK(fails<link::not_found>([&] { link::subscriber("nobody", options); }) == link::kind::not_found);
    link::publisher out("errors");
    link::subscriber in("errors");
    CHECK(fails<link::timed_out>([&] { in.recv(link::nanoseconds(0)); }) == link::kind::timed_out);
    CHECK(fails<link::error>([&] { link::dtype("float"); }) == link::kind::invalid_dtype);
    const link::publisher moved = std::move(out);
    CHECK(fails<link::error>([&] { out.loan(form); }) == link::kind::invalid_argument);
    CHECK(moved.stats().slots == 4);
}

static void owners_end_what_they_own() {
    {
        link::publisher out("owners");
        CHECK(fails<link::error>([] { link::publisher("owners"); }) == link::kind::name_taken);
    }
    link::publisher out("owners");
    std::optional<link::frame> kept;
    {
        link::subscriber in("owners");
        publish_one(out, 3);
        kept = in.recv();
    }
    // The frame outlives its subscriber, and a clone the frame.
    link::frame clone = kept->clone();
    kept.reset();
    CHECK(clone.as<std::uint8_t>().size() == 24 && clone.bytes()[23] == 3);
    // A loan that is dropped publishes nothing.
    { link::loan dropped = out.loan(form); }
    CHECK(out.stats().published == 1);
}

static void frames_are_iterated_until_the_producer_closes() {
    link::publish_options blocking;
    blocking.blocks = true;
    auto out = std::make_unique<link::publisher>("iterate", blocking);
    link::subscribe_options every;
    every.every = true;
    every.restart_timeout = link::nanoseconds(0);
    link::subscriber in("iterate", every);
    std::thread producer([&] {
        for (std::uint8_t value = 1; value <= 20; value++) {
            publish_one(*out, value);
        }
        out.reset();
    });
    std::uint64_t expected = 1;
    for (const link::frame& frame : in) {
        CHECK(frame.seq() == expected && frame.bytes()[0] == expected && frame.missed() == 0);
        expected++;
    }
    CHECK(expected == 21);
    producer.join();
}

static void metadata_arrays_and_copies_come_through() {
    link::publisher out("content");
    link::subscriber in("content");
    float elements[6] = {1, 2, 3, 4, 5, 6};
    uncopy_memory memory = UNCOPY_MEMORY_INIT;
    memory.data = elements;
    memory.layout = link::array_form(link::dtype("float32"), {2, 3}).layout;
    const link::array wrapped(memory);
    CHECK(wrapped.info().data == elements && wrapped.to_bytes().size() == sizeof elements);
    const auto sent = out.send(wrapped, link::meta().json("{}").captured(std::chrono::seconds(2)));
    CHECK(sent == std::optional<std::uint64_t>(1));
    const link::frame frame = in.recv();
    CHECK(frame.meta() == "{}" && frame.meta_kind() == UNCOPY_META_JSON);
    CHECK(frame.info().captured_nanos == 2000000000 && frame.info().captured_clock == UNCOPY_CLOCK_MONOTONIC);
    CHECK(frame.shape().size() == 2 && frame.shape()[1] == 3 && frame.as<float>()[5] == 6);
    CHECK(frame.copies().size() == 1 && frame.copies()[0].reason == UNCOPY_COPY_SEND);
    DLManagedTensorVersioned* managed = frame.to_dlpack();
    CHECK(managed->dl_tensor.data == frame.data() && managed->flags == 1);
    const link::array taken(managed);
    CHECK(taken.info().data == frame.data() && taken.info().is_read_only);
    CHECK(frame.array().info().data == frame.data() && frame.to_host().info().data != frame.data());
    auto owner = std::make_shared<int>(1);
    frame.used_on(nullptr, owner); // of a frame in host memory nothing is noted, and so nothing kept
    CHECK(owner.use_count() == 1);
    CHECK(out.send(memory) == std::optional<std::uint64_t>(2));
    link::loan slot = out.loan(form);
    DLManagedTensorVersioned* view = slot.to_dlpack();
    CHECK(view->dl_tensor.data == slot.bytes().data());
    view->deleter(view);
    CHECK(slot.publish(link::meta().raw(std::string("\0a", 2))) == 3);
    CHECK(in.recv().meta() == std::string_view("\0a", 2));
    const link::list links;
    CHECK(links.size() == 1 && std::strcmp(links[0].name, "content") == 0);
    CHECK(out.flush());
}

static void what_a_callback_throws_passes_through_the_wait() {
    struct stop {};
    link::publisher out("callbacks");
    bool asks = true, throws = false;
    link::subscribe_options options;
    options.keep_waiting = [&] { return throws ? throw stop() : asks; };
    link::subscriber in("callbacks", options);
    // It is called from wherever the subscriber is moved to.
    link::subscriber moved = std::move(in);
    asks = false;
    CHECK(fails<link::interrupted>([&] { moved.recv(); }) == link::kind::interrupted);
    throws = true;
    bool caught = false;
    try {
        moved.recv();
    } catch (const stop&) {
        caught = true;
    }
    CHECK(caught);
    caught = false;
    try {
        link::wait({moved});
    } catch (const stop&) {
        caught = true;
    }
    CHECK(caught);
    throws = false;
    asks = true;
    publish_one(out, 1);
    CHECK(link::wait({moved}) == std::vector<std::size_t>{0});
    CHECK(moved.poll().has_value() && !moved.poll().has_value() && moved.newest().has_value());
    CHECK(moved.fileno() >= 0 && moved.stats().received >= 1);
}

static void another_thread_interrupts() {
    link::publisher out("interrupt");
    link::subscriber in("interrupt");
    std::thread other([&] { in.interrupt(); });
    fails<link::interrupted>([&] { in.recv(); });
    other.join();
}

int main() {
    errors_have_their_kind_and_class();
    owners_end_what_they_own();
    frames_are_iterated_until_the_producer_closes();
    metadata_arrays_and_copies_come_through();
    what_a_callback_throws_passes_through_the_wait();
    another_thread_interrupts();
    std::puts("done");
}
