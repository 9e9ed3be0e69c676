// SPDX-License-Identifier: MIT OR Apache-2.0
// Links of libuncopy in C++17: owners that end by themselves, exceptions, ranges.
//
//     #include <uncopy/link.hpp>
//     namespace link = uncopy::link;
//
//     link::publisher out("camera");                                    // one process
//     link::loan slot = out.loan(link::image(1080, 1920, UNCOPY_PIXEL_RGBA8));
//     render(slot.bytes().data());                                      // straight into shared memory
//     slot.publish(link::meta().json("{\"lens\": 35}"));
//
//     link::subscriber in("camera");                                    // another
//     for (const link::frame& frame : in) {                             // until the producer closes
//         show(frame.bytes(), frame.shape());                           // nothing was copied
//     }
//
// It is header-only over uncopy.h, and links against libuncopy. What a function does, in whose memory, in which order of
// streams, and what it fails with, stands at the function of uncopy.h that it calls; here is what C++ adds:
//
// * Owners can be moved and not copied, and their destructors throw nothing. A moved-from owner holds nothing: its functions
//   throw link::error of kind invalid_argument.
// * What fails throws link::error, a std::runtime_error, or one of the classes below it.
// * Times are std::chrono durations; link::forever has no end.
// * A callback may throw: the exception passes through the call that waits.
// * Streams are void*: pass a cudaStream_t or CUstream as it is.
#ifndef UNCOPY_LINK_HPP
#define UNCOPY_LINK_HPP

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#if __has_include(<span>) && __cplusplus >= 202002L
#include <span>
#endif

#include "uncopy.h"

namespace uncopy {
namespace link {

// ---- errors ----

// What went wrong; the kinds of uncopy.h.
enum class kind : std::int32_t {
    invalid_argument = UNCOPY_ERROR_INVALID_ARGUMENT,
    invalid_name = UNCOPY_ERROR_INVALID_NAME,
    invalid_layout = UNCOPY_ERROR_INVALID_LAYOUT,
    invalid_dtype = UNCOPY_ERROR_INVALID_DTYPE,
    form_mismatch = UNCOPY_ERROR_FORM_MISMATCH,
    unsupported = UNCOPY_ERROR_UNSUPPORTED,
    not_found = UNCOPY_ERROR_NOT_FOUND,
    name_taken = UNCOPY_ERROR_NAME_TAKEN,
    permission_denied = UNCOPY_ERROR_PERMISSION_DENIED,
    timed_out = UNCOPY_ERROR_TIMED_OUT,
    interrupted = UNCOPY_ERROR_INTERRUPTED,
    closed = UNCOPY_ERROR_CLOSED,
    producer_lost = UNCOPY_ERROR_PRODUCER_LOST,
    superseded = UNCOPY_ERROR_SUPERSEDED,
    evicted = UNCOPY_ERROR_EVICTED,
    too_many_consumers = UNCOPY_ERROR_TOO_MANY_CONSUMERS,
    no_free_slot = UNCOPY_ERROR_NO_FREE_SLOT,
    version_mismatch = UNCOPY_ERROR_VERSION_MISMATCH,
    corrupt_link = UNCOPY_ERROR_CORRUPT_LINK,
    out_of_memory = UNCOPY_ERROR_OUT_OF_MEMORY,
    out_of_resources = UNCOPY_ERROR_OUT_OF_RESOURCES,
    forked_process = UNCOPY_ERROR_FORKED_PROCESS,
    read_only = UNCOPY_ERROR_READ_ONLY,
    copy_required = UNCOPY_ERROR_COPY_REQUIRED,
    system = UNCOPY_ERROR_SYSTEM,
    producer_closed = UNCOPY_ERROR_PRODUCER_CLOSED,
    device_lost = UNCOPY_ERROR_DEVICE_LOST,
};

// A call that failed: what() says with which values, and what to try.
class error : public std::runtime_error {
public:
    error(link::kind kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}

    // What went wrong.
    link::kind kind() const noexcept { return kind_; }

    // The stable name of that, such as "timed_out"; "" for one that the library that was loaded does not know.
    const char* name() const noexcept {
        const char* name = uncopy_status_name(static_cast<uncopy_status>(kind_));
        return name == nullptr ? "" : name;
    }

private:
    link::kind kind_;
};

// Errors that programs often wait for.
class timed_out : public error {
public:
    using error::error;
};
class interrupted : public error {
public:
    using error::error;
};
class no_free_slot : public error {
public:
    using error::error;
};
class not_found : public error {
public:
    using error::error;
};
class producer_closed : public error {
public:
    using error::error;
};
class producer_lost : public error {
public:
    using error::error;
};

namespace detail {

[[noreturn]] inline void raise(uncopy_status status) {
    const std::string message = uncopy_last_message();
    const auto kind = static_cast<link::kind>(status);
    switch (status) {
    case UNCOPY_ERROR_TIMED_OUT: throw timed_out(kind, message);
    case UNCOPY_ERROR_INTERRUPTED: throw interrupted(kind, message);
    case UNCOPY_ERROR_NO_FREE_SLOT: throw no_free_slot(kind, message);
    case UNCOPY_ERROR_NOT_FOUND: throw not_found(kind, message);
    case UNCOPY_ERROR_PRODUCER_CLOSED: throw producer_closed(kind, message);
    case UNCOPY_ERROR_PRODUCER_LOST: throw producer_lost(kind, message);
    default: throw error(kind, message);
    }
}

// Throws unless the call succeeded.
inline void check(uncopy_status status) {
    if (status != UNCOPY_OK) {
        raise(status);
    }
}

// An owner's handle, ended by `end`.
template <class T, void (*end)(T*)>
struct ender {
    void operator()(T* handle) const noexcept { end(handle); }
};
template <class T, void (*end)(T*)>
using handle = std::unique_ptr<T, ender<T, end>>;

}  // namespace detail

// ---- small values ----

// A time; forever has no end.
using nanoseconds = std::chrono::nanoseconds;
constexpr nanoseconds forever{UNCOPY_FOREVER};

// Elements side by side, borrowed. Converts to std::span where there is one.
template <class T>
class span {
public:
    constexpr span() noexcept = default;
    constexpr span(T* data, std::size_t size) noexcept : data_(data), size_(size) {}

    constexpr T* data() const noexcept { return data_; }
    constexpr std::size_t size() const noexcept { return size_; }
    constexpr bool empty() const noexcept { return size_ == 0; }
    constexpr T* begin() const noexcept { return data_; }
    constexpr T* end() const noexcept { return data_ + size_; }
    constexpr T& operator[](std::size_t at) const noexcept { return data_[at]; }

#if defined(__cpp_lib_span)
    constexpr operator std::span<T>() const noexcept { return {data_, size_}; }
#endif

private:
    T* data_ = nullptr;
    std::size_t size_ = 0;
};

// A dtype by its name: "float32", "uint8", "bf16".
inline uncopy_dtype dtype(const std::string& name) {
    uncopy_dtype made;
    detail::check(uncopy_dtype_from_name(name.c_str(), &made));
    return made;
}

// Host memory, and the CUDA device of a number.
constexpr uncopy_device host{UNCOPY_DEVICE_CPU, 0};
constexpr uncopy_device cuda(std::int32_t id) { return uncopy_device{UNCOPY_DEVICE_CUDA, id}; }

// The form of a picture, UNCOPY_PIXEL_*; see uncopy_form_image.
inline uncopy_form image(std::uint64_t height, std::uint64_t width, std::uint16_t pixel_format) {
    uncopy_form made;
    detail::check(uncopy_form_image(height, width, pixel_format, &made));
    return made;
}

// The form of an array in C order; see uncopy_form_array.
inline uncopy_form array_form(uncopy_dtype dtype, const std::vector<std::int64_t>& shape) {
    uncopy_form made;
    detail::check(uncopy_form_array(dtype, static_cast<std::int32_t>(shape.size()), shape.data(), &made));
    return made;
}

// What a frame carries beside its elements. Owns its bytes.
class meta {
public:
    // UTF-8 JSON text, at most UNCOPY_MAX_META_BYTES.
    meta& json(std::string text) {
        kind_ = UNCOPY_META_JSON;
        bytes_ = std::move(text);
        return *this;
    }

    // Bytes that only the two ends understand.
    meta& raw(std::string bytes) {
        kind_ = UNCOPY_META_RAW;
        bytes_ = std::move(bytes);
        return *this;
    }

    // When the content came to be, by a clock of UNCOPY_CLOCK_*.
    meta& captured(nanoseconds time, std::uint32_t clock = UNCOPY_CLOCK_MONOTONIC) {
        captured_ = time;
        clock_ = clock;
        return *this;
    }

    // The same for the C interface, borrowed.
    uncopy_meta get() const noexcept {
        uncopy_meta made = UNCOPY_META_INIT;
        made.bytes = bytes_.data();
        made.len_bytes = bytes_.size();
        made.kind = kind_;
        made.captured_clock = clock_;
        made.captured_nanos = captured_.count();
        return made;
    }

private:
    std::string bytes_;
    std::uint32_t kind_ = UNCOPY_META_NONE;
    std::uint32_t clock_ = UNCOPY_CLOCK_NONE;
    nanoseconds captured_{0};
};

// ---- arrays ----

// An array somewhere, with whatever keeps its memory.
class array {
public:
    // Takes a DLPack struct: it is uncopy's unless this throws; see uncopy_array_from_dlpack.
    explicit array(DLManagedTensorVersioned* managed) {
        uncopy_array* made = nullptr;
        detail::check(uncopy_array_from_dlpack(managed, &made));
        handle_.reset(made);
    }

    // Takes memory at an address; see uncopy_array_wrap.
    explicit array(const uncopy_memory& memory) {
        uncopy_array* made = nullptr;
        detail::check(uncopy_array_wrap(&memory, &made));
        handle_.reset(made);
    }

    // Takes a handle of the C interface.
    explicit array(uncopy_array* handle) noexcept : handle_(handle) {}

    // What it is.
    uncopy_array_info info() const {
        uncopy_array_info made = UNCOPY_ARRAY_INFO_INIT;
        detail::check(uncopy_array_describe(get(), &made));
        return made;
    }

    // A DLPack struct that keeps the memory by itself; the caller owns it.
    DLManagedTensorVersioned* to_dlpack() const {
        DLManagedTensorVersioned* made = nullptr;
        detail::check(uncopy_array_to_dlpack(get(), &made));
        return made;
    }

    // Says in which stream the content is made; see uncopy_array_made_on.
    void made_on(void* stream) { detail::check(uncopy_array_made_on(get(), stream)); }

    // Orders a stream after the content; see uncopy_array_ready_on.
    void ready_on(void* stream) const { detail::check(uncopy_array_ready_on(get(), stream)); }

    // The elements in C order. A copy.
    std::vector<std::uint8_t> to_bytes() const {
        std::vector<std::uint8_t> bytes(info().len_bytes);
        detail::check(uncopy_array_copy_to(get(), bytes.data(), bytes.size()));
        return bytes;
    }

    // The handle, which stays this object's.
    uncopy_array* get() const noexcept { return handle_.get(); }

private:
    detail::handle<uncopy_array, uncopy_array_destroy> handle_;
};

// ---- callbacks ----

namespace detail {

// What a wait asks and tells. Lives where the C interface finds it.
struct calls {
    std::function<bool()> keep_waiting;
    std::function<void(std::string_view)> notice;
    std::exception_ptr thrown;

    // Runs a callback; what it throws is kept for the call that waits.
    template <class F>
    bool guarded(F&& callback) noexcept {
        try {
            return callback();
        } catch (...) {
            thrown = std::current_exception();
            return false;
        }
    }

    static std::int32_t ask(void* self) noexcept {
        auto* calls = static_cast<struct calls*>(self);
        if (calls->thrown) {
            return 0;
        }
        return !calls->keep_waiting || calls->guarded(calls->keep_waiting) ? 1 : 0;
    }

    static void tell(void* self, const char* text) noexcept {
        auto* calls = static_cast<struct calls*>(self);
        if (calls->notice) {
            calls->guarded([&] { return calls->notice(text), true; });
        }
    }

};

// Throws what a callback threw, or what the call failed with. A moved-from owner has no callbacks.
inline void check(const std::unique_ptr<calls>& asked, uncopy_status status) {
    if (status == UNCOPY_ERROR_INTERRUPTED && asked && asked->thrown) {
        std::rethrow_exception(std::exchange(asked->thrown, nullptr));
    }
    check(status);
}

}  // namespace detail

// ---- publishing ----

// How to publish; the fields of uncopy_publish_options.
struct publish_options {
    std::uint32_t slots = 4;
    bool blocks = false;                  // wait for room when every slot is held, instead of dropping the frame
    nanoseconds room_timeout = forever;   // how long
    nanoseconds evict_after = forever;
    std::optional<uncopy_form> form{};    // the only one
    bool takeover = false;
    bool mirror = false;
    std::string directory{};              // "": the user's own
    std::function<bool()> keep_waiting{};
};

// A slot on loan: write it, then publish it. Destroyed before that, it publishes nothing.
class loan {
public:
    // Takes a handle of the C interface.
    explicit loan(uncopy_loan* handle) : handle_(handle) {
        info_ = UNCOPY_ARRAY_INFO_INIT;
        detail::check(uncopy_loan_describe(handle, &info_));
    }

    // Where the slot is, and its layout.
    const uncopy_array_info& info() const noexcept { return info_; }

    // The bytes of the frame to be: in host memory, or an address in the device's. Never to be written after publish().
    span<std::uint8_t> bytes() const noexcept {
        return {static_cast<std::uint8_t*>(info_.data), static_cast<std::size_t>(info_.len_bytes)};
    }

    // The same as elements; their size is the caller's word.
    template <class T>
    span<T> as() const noexcept {
        return {static_cast<T*>(info_.data), static_cast<std::size_t>(info_.len_bytes) / sizeof(T)};
    }

    // A writable DLPack struct over the slot; the caller owns it.
    DLManagedTensorVersioned* to_dlpack() const {
        DLManagedTensorVersioned* made = nullptr;
        detail::check(uncopy_loan_to_dlpack(handle_.get(), &made));
        return made;
    }

    // Lets work in another stream write the slot too; see uncopy_loan_also_on.
    void also_on(void* stream) { detail::check(uncopy_loan_also_on(handle_.get(), stream)); }

    // Publishes the frame and gives its number, from 1. The loan is over, also where this throws.
    std::uint64_t publish(const meta& meta = {}) {
        const uncopy_meta carried = meta.get();
        std::uint64_t seq = 0;
        detail::check(uncopy_loan_publish(handle_.release(), &carried, &seq));
        return seq;
    }

private:
    detail::handle<uncopy_loan, uncopy_loan_abandon> handle_;
    uncopy_array_info info_;
};

// The producing end of a link, used by one thread at a time. Its end closes the link.
class publisher {
public:
    explicit publisher(const std::string& name, const publish_options& asked = {})
        : calls_(std::make_unique<detail::calls>()) {
        calls_->keep_waiting = asked.keep_waiting;
        uncopy_publish_options options = UNCOPY_PUBLISH_OPTIONS_INIT;
        options.slots = asked.slots;
        options.when_full = asked.blocks ? UNCOPY_WHEN_FULL_BLOCK : UNCOPY_WHEN_FULL_DROP;
        options.room_timeout_nanos = asked.room_timeout.count();
        options.evict_after_nanos = asked.evict_after.count();
        options.form = asked.form ? &*asked.form : nullptr;
        options.takeover = asked.takeover;
        options.mirror = asked.mirror;
        options.directory = asked.directory.empty() ? nullptr : asked.directory.c_str();
        options.keep_waiting = detail::calls::ask;
        options.user = calls_.get();
        uncopy_publisher* made = nullptr;
        detail::check(uncopy_publisher_create(name.c_str(), &options, &made));
        handle_.reset(made);
    }

    // Lends a slot in host memory; throws no_free_slot when every slot is held.
    link::loan loan(const uncopy_form& form) {
        uncopy_loan* made = nullptr;
        detail::check(calls_, uncopy_publisher_loan(handle_.get(), &form, &made));
        return link::loan(made);
    }

    // Lends a slot on a device, to be written by work in a stream; see uncopy_publisher_loan_on.
    link::loan loan_on(const uncopy_form& form, uncopy_device device, void* stream) {
        uncopy_loan* made = nullptr;
        detail::check(calls_, uncopy_publisher_loan_on(handle_.get(), &form, device, stream, &made));
        return link::loan(made);
    }

    // Copies an array into a slot and publishes it: its number, or nothing where it was dropped.
    std::optional<std::uint64_t> send(const array& array, const meta& meta = {}, void* stream = nullptr,
                                      std::uint16_t pixel_format = UNCOPY_PIXEL_UNSPECIFIED) {
        const uncopy_meta carried = meta.get();
        const uncopy_send_options options = sending(carried, stream, pixel_format);
        std::uint64_t seq = 0;
        detail::check(calls_, uncopy_publisher_send(handle_.get(), array.get(), &options, &seq));
        return seq == 0 ? std::nullopt : std::optional<std::uint64_t>(seq);
    }

    // The same of memory that need not be an array.
    std::optional<std::uint64_t> send(const uncopy_memory& memory, const meta& meta = {}, void* stream = nullptr,
                                      std::uint16_t pixel_format = UNCOPY_PIXEL_UNSPECIFIED) {
        const uncopy_meta carried = meta.get();
        const uncopy_send_options options = sending(carried, stream, pixel_format);
        std::uint64_t seq = 0;
        detail::check(calls_, uncopy_publisher_send_memory(handle_.get(), &memory, &options, &seq));
        return seq == 0 ? std::nullopt : std::optional<std::uint64_t>(seq);
    }

    // Waits until so many consumers are attached; throws timed_out.
    void wait_for_consumers(std::uint32_t wanted, nanoseconds timeout = forever) {
        detail::check(calls_, uncopy_publisher_wait_for_consumers(handle_.get(), wanted, timeout.count()));
    }

    // Waits until devices have written what was published; whether they have.
    bool flush(nanoseconds timeout = forever) {
        std::int32_t written = 0;
        detail::check(calls_, uncopy_publisher_flush(handle_.get(), timeout.count(), &written));
        return written != 0;
    }

    // The counters.
    uncopy_publisher_stats stats() const {
        uncopy_publisher_stats made = UNCOPY_PUBLISHER_STATS_INIT;
        detail::check(uncopy_publisher_get_stats(handle_.get(), &made));
        return made;
    }

    // Ends the wait of another thread, or the next one, with interrupted. From any thread.
    void interrupt() const { detail::check(uncopy_publisher_interrupt(handle_.get())); }

    // The handle, which stays this object's.
    uncopy_publisher* get() const noexcept { return handle_.get(); }

private:
    static uncopy_send_options sending(const uncopy_meta& meta, void* stream, std::uint16_t pixel_format) noexcept {
        uncopy_send_options options = UNCOPY_SEND_OPTIONS_INIT;
        options.meta = &meta;
        options.stream = stream;
        options.pixel_format = pixel_format;
        return options;
    }

    // Before the handle, which may call them to its end.
    std::unique_ptr<detail::calls> calls_;
    detail::handle<uncopy_publisher, uncopy_publisher_destroy> handle_;
};

// ---- receiving ----

// A received frame, held: nothing was copied, and nobody can change it until the last of its owners is gone.
class frame {
public:
    // Takes a handle of the C interface.
    explicit frame(uncopy_frame* handle) : handle_(handle) {
        info_ = UNCOPY_FRAME_INFO_INIT;
        detail::check(uncopy_frame_describe(handle, &info_));
    }

    // Form, device, address, number, times.
    const uncopy_frame_info& info() const noexcept { return info_; }

    // The producer's number of it, from 1, and how many went by before it unreceived.
    std::uint64_t seq() const noexcept { return info_.seq; }
    std::uint64_t missed() const noexcept { return info_.missed; }

    // Elements along each axis.
    span<const std::int64_t> shape() const noexcept {
        return {info_.form.layout.shape, static_cast<std::size_t>(info_.form.layout.ndim)};
    }

    // Distance between neighbours along each axis, in elements.
    span<const std::int64_t> strides_elems() const noexcept {
        return {info_.form.layout.strides_elems, static_cast<std::size_t>(info_.form.layout.ndim)};
    }

    uncopy_dtype dtype() const noexcept { return info_.form.layout.dtype; }
    uncopy_device device() const noexcept { return info_.device; }

    // Element 0: an address in the memory of device(), for reading only.
    const void* data() const noexcept { return info_.data; }

    // The bytes from the first to the last element. Only of a frame in host memory; empty else.
    span<const std::uint8_t> bytes() const noexcept { return as<std::uint8_t>(); }

    // The same as elements; their type is the caller's word.
    template <class T>
    span<const T> as() const noexcept {
        if (info_.device.kind != UNCOPY_DEVICE_CPU && info_.device.kind != UNCOPY_DEVICE_CUDA_HOST) {
            return {};
        }
        return {static_cast<const T*>(info_.data), static_cast<std::size_t>(info_.len_bytes) / sizeof(T)};
    }

    // The producer's metadata, good as long as this object; meta_kind() is UNCOPY_META_*.
    std::string_view meta() const { return carried().second; }
    std::uint32_t meta_kind() const { return carried().first; }

    // Every copy that the content went through; none for a frame that was written straight into its slot.
    std::vector<uncopy_copy> copies() const {
        std::vector<uncopy_copy> found(UNCOPY_MAX_COPIES);
        std::uint64_t count = 0;
        detail::check(uncopy_frame_copies(handle_.get(), found.data(), found.size(), &count));
        found.resize(count < found.size() ? static_cast<std::size_t>(count) : found.size());
        return found;
    }

    // A read-only DLPack struct that holds the slot by itself; the caller owns it.
    DLManagedTensorVersioned* to_dlpack() const {
        DLManagedTensorVersioned* made = nullptr;
        detail::check(uncopy_frame_to_dlpack(handle_.get(), &made));
        return made;
    }

    // The frame as an array: shared, read-only, holding the slot by itself.
    link::array array() const {
        uncopy_array* made = nullptr;
        detail::check(uncopy_frame_array(handle_.get(), &made));
        return link::array(made);
    }

    // A private array in host memory: one copy.
    link::array to_host() const {
        uncopy_array* made = nullptr;
        detail::check(uncopy_frame_to_host(handle_.get(), &made));
        return link::array(made);
    }

    // Another owner of the same frame.
    frame clone() const {
        uncopy_frame* made = nullptr;
        detail::check(uncopy_frame_clone(handle_.get(), &made));
        return frame(made);
    }

    // On a device: the slot goes back after what this stream holds at the frame's end; see uncopy_frame_used_on.
    void used_on(void* stream) const { detail::check(uncopy_frame_used_on(handle_.get(), stream)); }

    // The same, keeping what the stream belongs to as long as it is needed.
    void used_on(void* stream, std::shared_ptr<void> owner) const {
        auto kept = std::make_unique<std::shared_ptr<void>>(std::move(owner));
        const auto release = [](void* held) noexcept { delete static_cast<std::shared_ptr<void>*>(held); };
        detail::check(uncopy_frame_used_on_kept(handle_.get(), stream, release, kept.get()));
        kept.release();
    }

    // Orders a stream after the content and notes it as used; see uncopy_frame_ready_on.
    void ready_on(void* stream) const { detail::check(uncopy_frame_ready_on(handle_.get(), stream)); }

    // Whether the content never came; see uncopy_frame_is_torn.
    bool is_torn() const {
        std::int32_t torn = 0;
        detail::check(uncopy_frame_is_torn(handle_.get(), &torn));
        return torn != 0;
    }

    // The handle, which stays this object's.
    uncopy_frame* get() const noexcept { return handle_.get(); }

private:
    std::pair<std::uint32_t, std::string_view> carried() const {
        std::uint32_t kind = UNCOPY_META_NONE;
        const char* bytes = nullptr;
        std::uint64_t len = 0;
        detail::check(uncopy_frame_meta(handle_.get(), &kind, &bytes, &len));
        return {kind, std::string_view(bytes, static_cast<std::size_t>(len))};
    }

    detail::handle<uncopy_frame, uncopy_frame_destroy> handle_;
    uncopy_frame_info info_;
};

// How to subscribe; the fields of uncopy_subscribe_options.
struct subscribe_options {
    bool every = false;                               // each frame in order, instead of always the newest
    nanoseconds timeout = std::chrono::seconds(5);    // without a producer
    std::optional<nanoseconds> restart_timeout{};     // unless told, as timeout
    nanoseconds spin = std::chrono::microseconds(20);
    std::uint32_t place = UNCOPY_PLACE_NEAREST;       // of frames on a device
    uncopy_device device = host;
    std::uint32_t release = UNCOPY_RELEASE_STREAMS;
    bool read_only = false;                           // maps frames on a device so that this process can't write them
    bool started_later = false;                       // waits for no producer now
    std::string directory{};                          // "": the user's own
    std::function<bool()> keep_waiting{};
    std::function<void(std::string_view)> notice{};
};

class subscriber;

// Waits until some of these have something to receive: which, by index. None when the time is over.
std::vector<std::size_t> wait(std::initializer_list<std::reference_wrapper<subscriber>> subscribers,
                              nanoseconds timeout = forever);

// The consuming end of a link, used by one thread at a time.
class subscriber {
public:
    explicit subscriber(const std::string& name, const subscribe_options& asked = {})
        : calls_(std::make_unique<detail::calls>()) {
        calls_->keep_waiting = asked.keep_waiting;
        calls_->notice = asked.notice;
        uncopy_subscribe_options options = UNCOPY_SUBSCRIBE_OPTIONS_INIT;
        options.read = asked.every ? UNCOPY_READ_EVERY : UNCOPY_READ_LATEST;
        options.place = asked.place;
        options.device = asked.device;
        options.release = asked.release;
        options.is_read_only = asked.read_only;
        options.is_started_later = asked.started_later;
        options.timeout_nanos = asked.timeout.count();
        options.restart_timeout_nanos = asked.restart_timeout ? asked.restart_timeout->count() : UNCOPY_LIKE_TIMEOUT;
        options.spin_nanos = asked.spin.count();
        options.directory = asked.directory.empty() ? nullptr : asked.directory.c_str();
        options.keep_waiting = detail::calls::ask;
        options.notice = asked.notice ? detail::calls::tell : nullptr;
        options.user = calls_.get();
        uncopy_subscriber* made = nullptr;
        detail::check(calls_, uncopy_subscriber_create(name.c_str(), &options, &made));
        handle_.reset(made);
    }

    // The next frame that was not received yet; throws timed_out, producer_closed, producer_lost.
    frame recv(nanoseconds timeout = forever) {
        uncopy_frame* made = nullptr;
        detail::check(calls_, uncopy_subscriber_recv(handle_.get(), timeout.count(), &made));
        return frame(made);
    }

    // The same for work in a stream, which finds it whole; see uncopy_subscriber_recv_on.
    frame recv_on(void* stream, nanoseconds timeout = forever) {
        uncopy_frame* made = nullptr;
        detail::check(calls_, uncopy_subscriber_recv_on(handle_.get(), stream, timeout.count(), &made));
        return frame(made);
    }

    // The next frame if it is there. Never waits; for event loops, with fileno().
    std::optional<frame> poll() {
        uncopy_frame* made = nullptr;
        detail::check(calls_, uncopy_subscriber_poll(handle_.get(), &made));
        return made == nullptr ? std::nullopt : std::optional<frame>(frame(made));
    }

    // The newest frame that there is, also one that was received before.
    std::optional<frame> newest() {
        uncopy_frame* made = nullptr;
        detail::check(calls_, uncopy_subscriber_newest(handle_.get(), &made));
        return made == nullptr ? std::nullopt : std::optional<frame>(frame(made));
    }

    // What an event loop polls for reading; it stays this object's.
    int fileno() {
        std::int32_t fd = -1;
        detail::check(uncopy_subscriber_fileno(handle_.get(), &fd));
        return fd;
    }

    // The counters.
    uncopy_subscriber_stats stats() const {
        uncopy_subscriber_stats made = UNCOPY_SUBSCRIBER_STATS_INIT;
        detail::check(uncopy_subscriber_get_stats(handle_.get(), &made));
        return made;
    }

    // Ends the wait of another thread, or the next one, with interrupted. From any thread.
    void interrupt() const { detail::check(uncopy_subscriber_interrupt(handle_.get())); }

    // Frames as they come, until the producer closes the link; throws producer_lost when it died. Each is given back before
    // the next is waited for, unless it was moved out.
    class iterator {
    public:
        using iterator_category = std::input_iterator_tag;
        using value_type = frame;
        using difference_type = std::ptrdiff_t;
        using pointer = frame*;
        using reference = frame&;

        iterator() = default;
        explicit iterator(subscriber* from) : from_(from) { ++*this; }

        frame& operator*() noexcept { return *now_; }
        frame* operator->() noexcept { return &*now_; }
        iterator& operator++() {
            now_.reset();
            try {
                now_.emplace(from_->recv());
            } catch (const producer_closed&) {
                from_ = nullptr;
            }
            return *this;
        }
        friend bool operator==(const iterator& one, const iterator& other) noexcept { return one.from_ == other.from_; }
        friend bool operator!=(const iterator& one, const iterator& other) noexcept { return one.from_ != other.from_; }

    private:
        subscriber* from_ = nullptr;
        std::optional<frame> now_;
    };

    iterator begin() { return iterator(this); }
    iterator end() noexcept { return {}; }

    // The handle, which stays this object's.
    uncopy_subscriber* get() const noexcept { return handle_.get(); }

private:
    friend std::vector<std::size_t> wait(std::initializer_list<std::reference_wrapper<subscriber>>, nanoseconds);

    // Before the handle, which may call them to its end.
    std::unique_ptr<detail::calls> calls_;
    detail::handle<uncopy_subscriber, uncopy_subscriber_destroy> handle_;
};

inline std::vector<std::size_t> wait(std::initializer_list<std::reference_wrapper<subscriber>> subscribers,
                                     nanoseconds timeout) {
    std::vector<uncopy_subscriber*> handles;
    for (subscriber& one : subscribers) {
        handles.push_back(one.get());
    }
    std::vector<std::uint8_t> ready(handles.size());
    std::uint64_t count = 0;
    const uncopy_status status =
        uncopy_wait(handles.data(), handles.size(), timeout.count(), ready.data(), &count);
    for (subscriber& one : subscribers) {
        detail::check(one.calls_, status);
    }
    detail::check(status);
    std::vector<std::size_t> found;
    for (std::size_t at = 0; at < ready.size(); at++) {
        if (ready[at] != 0) {
            found.push_back(at);
        }
    }
    return found;
}

// ---- looking ----

// The links of this user at one moment. The texts of an entry live as long as the list.
class list {
public:
    explicit list(const std::string& directory = "") {
        uncopy_link_list* made = nullptr;
        detail::check(uncopy_link_list_create(directory.empty() ? nullptr : directory.c_str(), &made));
        handle_.reset(made);
        std::uint64_t count = 0;
        detail::check(uncopy_link_list_count(made, &count));
        for (std::uint64_t at = 0; at < count; at++) {
            uncopy_link_info info = UNCOPY_LINK_INFO_INIT;
            detail::check(uncopy_link_list_get(made, at, &info));
            links_.push_back(info);
        }
    }

    std::size_t size() const noexcept { return links_.size(); }
    const uncopy_link_info& operator[](std::size_t at) const noexcept { return links_[at]; }
    std::vector<uncopy_link_info>::const_iterator begin() const noexcept { return links_.begin(); }
    std::vector<uncopy_link_info>::const_iterator end() const noexcept { return links_.end(); }

private:
    detail::handle<uncopy_link_list, uncopy_link_list_destroy> handle_;
    std::vector<uncopy_link_info> links_;
};

}  // namespace link
}  // namespace uncopy

#endif
