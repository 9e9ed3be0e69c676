/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Made of capi/src/c by cbindgen; change it there. */
/*
 * libuncopy: one buffer, seen by every framework, process, graphics API and language without a copy.
 *
 *     uncopy_publisher *publisher;                            another process:
 *     uncopy_publisher_create("camera", NULL, &publisher);        uncopy_subscriber *subscriber;
 *     uncopy_form form;                                           uncopy_subscriber_create("camera", NULL, &subscriber);
 *     uncopy_form_image(1080, 1920, UNCOPY_PIXEL_RGBA8, &form);   uncopy_frame *frame;
 *     uncopy_loan *loan;                                          uncopy_subscriber_recv(subscriber, 1000000000, &frame);
 *     uncopy_publisher_loan(publisher, &form, &loan);             uncopy_frame_info info = UNCOPY_FRAME_INFO_INIT;
 *     uncopy_array_info slot = UNCOPY_ARRAY_INFO_INIT;            uncopy_frame_describe(frame, &info);
 *     uncopy_loan_describe(loan, &slot);                          ... read info.data ...
 *     ... write slot.data ...                                     uncopy_frame_destroy(frame);
 *     uncopy_loan_publish(loan, NULL, NULL);
 *
 * What holds for every function:
 *
 * Errors.   A function that can fail returns UNCOPY_OK (0) or UNCOPY_ERROR_*; what there is to say of it is kept for the
 *           calling thread: uncopy_last_message. Results come through the last arguments; after a failure they hold NULL,
 *           0 or -1. Nothing is thrown and nothing unwinds out of a call. Functions that end a handle return nothing.
 * Pointers. NULL is told where it is not allowed. Everything else is taken at your word: a pointer leads to what its type
 *           says, for as long as the call lasts, and nobody writes there meanwhile. Texts are UTF-8 and end with a 0.
 * Handles.  Types without fields are handles: each is made by one function and ended by another, once. A handle that was
 *           ended, or is of another type, is told and not followed. Their numbers are no addresses.
 * Structs.  Those that begin with size_bytes and version may get more fields at their end: begin with their macro UNCOPY_*_INIT,
 *           which holds the defaults, so that programs and libraries of different age fit. The others never change.
 * Times.    Nanoseconds. UNCOPY_FOREVER where a time may have no end.
 * Sizes.    Bytes where a name ends in _bytes, elements where it ends in _elems. Shapes are in elements, outermost first.
 * Streams.  CUDA streams as the driver has them: cudaStream_t or CUstream. NULL is the legacy default stream.
 * Devices.  As DLPack counts them. No driver is loaded before a frame or an array on a device is met.
 * Threads.  Any function may be called from any thread; a publisher, a subscriber and a loan by one at a time.
 * fork.     A handle belongs to the process that made it: a child is told UNCOPY_ERROR_FORKED_PROCESS, and ends nothing.
 * Writing.  Who writes the elements of an array does so only while no call and no thread reads them. Frames that were
 *           received are read-only, on the host by order of the kernel.
 */

#ifndef UNCOPY_H
#define UNCOPY_H

#include <stddef.h>
#include <stdint.h>

/* DLPack's own structs, as anybody's dlpack.h declares them; none is included here. */
struct DLManagedTensor;
struct DLManagedTensorVersioned;

// The version of this interface. A program and a library of one number fit; fields and functions are added under it.
#define UNCOPY_ABI_VERSION 1

// The most axes that an array can have.
#define UNCOPY_MAX_NDIM 8

// `uncopy_dtype.code`: signed integer.
#define UNCOPY_DTYPE_INT 0

// `uncopy_dtype.code`: unsigned integer.
#define UNCOPY_DTYPE_UINT 1

// `uncopy_dtype.code`: IEEE 754 binary float.
#define UNCOPY_DTYPE_FLOAT 2

// `uncopy_dtype.code`: bfloat16.
#define UNCOPY_DTYPE_BFLOAT 4

// `uncopy_dtype.code`: complex, of two floats with half the bits each.
#define UNCOPY_DTYPE_COMPLEX 5

// `uncopy_dtype.code`: boolean in a byte.
#define UNCOPY_DTYPE_BOOL 6

// `uncopy_device.kind`: host memory.
#define UNCOPY_DEVICE_CPU 1

// `uncopy_device.kind`: memory of an NVIDIA GPU.
#define UNCOPY_DEVICE_CUDA 2

// `uncopy_device.kind`: host memory that the CUDA driver has pinned.
#define UNCOPY_DEVICE_CUDA_HOST 3

// `uncopy_device.kind`: managed memory of CUDA.
#define UNCOPY_DEVICE_CUDA_MANAGED 13

// `pixel_format`: not an image, or not said.
#define UNCOPY_PIXEL_UNSPECIFIED 0

// `pixel_format`: gray8.
#define UNCOPY_PIXEL_GRAY8 1

// `pixel_format`: gray16.
#define UNCOPY_PIXEL_GRAY16 2

// `pixel_format`: gray16f.
#define UNCOPY_PIXEL_GRAY16F 3

// `pixel_format`: gray32f.
#define UNCOPY_PIXEL_GRAY32F 4

// `pixel_format`: rg8.
#define UNCOPY_PIXEL_RG8 16

// `pixel_format`: rg16.
#define UNCOPY_PIXEL_RG16 17

// `pixel_format`: rg16f.
#define UNCOPY_PIXEL_RG16F 18

// `pixel_format`: rg32f.
#define UNCOPY_PIXEL_RG32F 19

// `pixel_format`: rgb8.
#define UNCOPY_PIXEL_RGB8 32

// `pixel_format`: rgb16.
#define UNCOPY_PIXEL_RGB16 33

// `pixel_format`: rgb16f.
#define UNCOPY_PIXEL_RGB16F 34

// `pixel_format`: rgb32f.
#define UNCOPY_PIXEL_RGB32F 35

// `pixel_format`: bgr8.
#define UNCOPY_PIXEL_BGR8 36

// `pixel_format`: rgba8.
#define UNCOPY_PIXEL_RGBA8 48

// `pixel_format`: rgba16.
#define UNCOPY_PIXEL_RGBA16 49

// `pixel_format`: rgba16f.
#define UNCOPY_PIXEL_RGBA16F 50

// `pixel_format`: rgba32f.
#define UNCOPY_PIXEL_RGBA32F 51

// `pixel_format`: bgra8.
#define UNCOPY_PIXEL_BGRA8 52

// `pixel_format`: nv12.
#define UNCOPY_PIXEL_NV12 64

// `pixel_format`: i420.
#define UNCOPY_PIXEL_I420 65

// `pixel_format`: p010.
#define UNCOPY_PIXEL_P010 66

// `pixel_format`: bayer_rggb8.
#define UNCOPY_PIXEL_BAYER_RGGB8 80

// `pixel_format`: bayer_bggr8.
#define UNCOPY_PIXEL_BAYER_BGGR8 81

// `pixel_format`: bayer_grbg8.
#define UNCOPY_PIXEL_BAYER_GRBG8 82

// `pixel_format`: bayer_gbrg8.
#define UNCOPY_PIXEL_BAYER_GBRG8 83

// `pixel_format`: bayer_rggb16.
#define UNCOPY_PIXEL_BAYER_RGGB16 84

// `pixel_format`: bayer_bggr16.
#define UNCOPY_PIXEL_BAYER_BGGR16 85

// `pixel_format`: bayer_grbg16.
#define UNCOPY_PIXEL_BAYER_GRBG16 86

// `pixel_format`: bayer_gbrg16.
#define UNCOPY_PIXEL_BAYER_GBRG16 87

// `origin`: row 0 is the top row.
#define UNCOPY_ORIGIN_TOP_LEFT 0

// `origin`: row 0 is the bottom row, as OpenGL has it.
#define UNCOPY_ORIGIN_BOTTOM_LEFT 1

// `channel_order`: no colours, or not said.
#define UNCOPY_CHANNELS_UNSPECIFIED 0

// `channel_order`: red first.
#define UNCOPY_CHANNELS_RGB 1

// `channel_order`: blue first.
#define UNCOPY_CHANNELS_BGR 2

// `uncopy_copy.reason`: the array was copied into a slot of the link.
#define UNCOPY_COPY_SEND 1

// `uncopy_copy.reason`: the source was strided and was packed to C order.
#define UNCOPY_COPY_GATHER 2

// `uncopy_copy.reason`: the caller asked for a copy.
#define UNCOPY_COPY_ASKED 3

// `uncopy_copy.reason`: the data was not aligned as the receiver needs it.
#define UNCOPY_COPY_ALIGNMENT 4

// `uncopy_copy.reason`: the receiver cannot reach the memory of the source's device.
#define UNCOPY_COPY_DEVICE 5

// `uncopy_copy.reason`: the items had to be converted to another dtype.
#define UNCOPY_COPY_DTYPE 6

// `uncopy_copy.reason`: the producer keeps a mirror in host memory for consumers without the device.
#define UNCOPY_COPY_MIRROR 7

// `uncopy_copy.reason`: the device that the receiver asked for does not reach the memory of the frame's device.
#define UNCOPY_COPY_STAGED 8

// A time without end, where a number of nanoseconds is asked for.
#define UNCOPY_FOREVER -1

// `restart_timeout_nanos`: as long as `timeout_nanos`, and in a call with a time of its own for that time.
#define UNCOPY_LIKE_TIMEOUT -2

// `uncopy_publish_options.when_full`: the incoming frame is dropped and counted; the producer never waits.
#define UNCOPY_WHEN_FULL_DROP 0

// `uncopy_publish_options.when_full`: the producer waits for room, and keeps frames that a consumer with
// `UNCOPY_READ_EVERY` has not received.
#define UNCOPY_WHEN_FULL_BLOCK 1

// `uncopy_meta.kind`: there are no bytes.
#define UNCOPY_META_NONE 0

// `uncopy_meta.kind`: bytes that only the two ends understand.
#define UNCOPY_META_RAW 1

// `uncopy_meta.kind`: UTF-8 JSON text, which the link does not parse.
#define UNCOPY_META_JSON 2

// The most bytes of metadata that a frame carries.
#define UNCOPY_MAX_META_BYTES 4096

// `captured_clock`: the producer did not say when the content came to be.
#define UNCOPY_CLOCK_NONE 0

// `captured_clock`: `CLOCK_MONOTONIC` of this machine, comparable with `published_nanos`.
#define UNCOPY_CLOCK_MONOTONIC 1

// `captured_clock`: time since the Unix epoch.
#define UNCOPY_CLOCK_REALTIME 2

// `captured_clock`: a clock of the producer's own.
#define UNCOPY_CLOCK_OTHER 3

// `uncopy_subscribe_options.read`: always the newest frame; what was published in between shows as `missed`.
#define UNCOPY_READ_LATEST 0

// `uncopy_subscribe_options.read`: each frame, in order, from the newest at the time of joining on.
#define UNCOPY_READ_EVERY 1

// `uncopy_subscribe_options.place`: frames that are on a device are received there where this process can use it, else in
// the producer's mirror in host memory.
#define UNCOPY_PLACE_NEAREST 0

// `uncopy_subscribe_options.place`: in host memory; no driver is loaded.
#define UNCOPY_PLACE_HOST 1

// `uncopy_subscribe_options.place`: on `device`; where it does not reach the frames' memory each is copied once, which is
// recorded.
#define UNCOPY_PLACE_DEVICE 2

// `uncopy_subscribe_options.place`: on `device`, always copied.
#define UNCOPY_PLACE_COPIED 3

// `uncopy_subscribe_options.release`: a frame on a device goes back after the work in each stream that was named with
// `uncopy_frame_used_on`.
#define UNCOPY_RELEASE_STREAMS 0

// `uncopy_subscribe_options.release`: after everything that this process had put into any stream of the device by then.
// Needs a driver of CUDA 12.5 or later; a capture that goes on meanwhile becomes invalid.
#define UNCOPY_RELEASE_CONTEXT 1

// The most copies that a frame can tell of.
#define UNCOPY_MAX_COPIES 8

// `uncopy_link_info.answer`: the producer answers, and the rest of the struct is what it showed.
#define UNCOPY_ANSWERING 0

// `uncopy_link_info.answer`: nobody answers in time: the process is stopped or very busy.
#define UNCOPY_SILENT 1

// `uncopy_link_info.answer`: the link could not be read, for the reason in `detail`.
#define UNCOPY_REFUSED 2

// `uncopy_link_info.whereabouts`: there was no frame yet.
#define UNCOPY_NOWHERE 0

// `uncopy_link_info.whereabouts`: frames are in host memory.
#define UNCOPY_ON_HOST 1

// `uncopy_link_info.whereabouts`: frames are on the CUDA device `uuid`.
#define UNCOPY_ON_CUDA 2

// `uncopy_link_info.whereabouts`: frames are in memory of a kind that this library does not know.
#define UNCOPY_ELSEWHERE 3

// An array somewhere, with whatever keeps its memory. A handle; any number of threads may use one at the same time.
typedef struct uncopy_array uncopy_array;

// A received frame, held: its content stays as it is until the last of its handles, arrays and DLPack structs is gone. A
// handle; any number of threads may use one at the same time.
typedef struct uncopy_frame uncopy_frame;

// What was seen of the links at one moment. A handle; any number of threads may use one at the same time.
typedef struct uncopy_link_list uncopy_link_list;

// A slot of a link, lent for one frame. A handle, ended by `uncopy_loan_publish` or `uncopy_loan_abandon`.
typedef struct uncopy_loan uncopy_loan;

// The producing end of a link. A handle, used by one thread at a time: another one is told `UNCOPY_ERROR_UNSUPPORTED`.
// `uncopy_publisher_interrupt` and `uncopy_publisher_destroy` may come from any thread.
typedef struct uncopy_publisher uncopy_publisher;

// The consuming end of a link. A handle, used by one thread at a time: another one is told `UNCOPY_ERROR_UNSUPPORTED`.
// `uncopy_subscriber_interrupt` and `uncopy_subscriber_destroy` may come from any thread. When the producer goes away,
// waiting calls look for the next producer of the name by themselves.
typedef struct uncopy_subscriber uncopy_subscriber;

// What a call comes to: `UNCOPY_OK`, or one of `UNCOPY_ERROR_*`. Numbers are never changed, and new ones may come.
typedef int32_t uncopy_status;

// What one element is: `DLDataType` of DLPack, so that a pointer to either may be cast to the other. Names, such as
// `"float32"`, are read by `uncopy_dtype_from_name`.
typedef struct {
    // `UNCOPY_DTYPE_*`, or another of DLPack's codes.
    uint8_t code;
    // Bits of one lane.
    uint8_t bits;
    // 1, unless elements are short vectors.
    uint16_t lanes;
} uncopy_dtype;

// Dtype, shape and strides of an array. Made by hand or by `uncopy_layout_packed`.
typedef struct {
    // What one element is.
    uncopy_dtype dtype;
    // Number of axes, 0 to `UNCOPY_MAX_NDIM`.
    int32_t ndim;
    // Elements along each axis; what lies beyond `ndim` is not looked at.
    int64_t shape[UNCOPY_MAX_NDIM];
    // Distance between neighbours along each axis, in elements. May be negative or 0 where an array is read.
    int64_t strides_elems[UNCOPY_MAX_NDIM];
} uncopy_layout;

// What a frame looks like: its layout, and what its numbers mean as a picture. Made by `uncopy_form_image`,
// `uncopy_form_array`, or by hand.
typedef struct {
    // Dtype, shape and strides.
    uncopy_layout layout;
    // `UNCOPY_PIXEL_*`.
    uint16_t pixel_format;
    // `UNCOPY_ORIGIN_*`.
    uint8_t origin;
    // `UNCOPY_CHANNELS_*`.
    uint8_t channel_order;
    // 0.
    uint32_t reserved;
} uncopy_form;

// Where memory lives: `DLDevice` of DLPack, so that a pointer to either may be cast to the other.
typedef struct {
    // `UNCOPY_DEVICE_*`, or another of DLPack's device types.
    int32_t kind;
    // Which one, counted from 0 as this process sees them; 0 for host memory.
    int32_t id;
} uncopy_device;

// What an array is. Begin with `UNCOPY_ARRAY_INFO_INIT`.
typedef struct {
    // `sizeof(uncopy_array_info)`; after the call, the bytes that were filled.
    uint32_t size_bytes;
    // 1.
    uint32_t version;
    // Element 0: an address in the memory of `device`, good as long as the array's memory is.
    void *data;
    // Where it is.
    uncopy_device device;
    // Dtype, shape and strides.
    uncopy_layout layout;
    // Bytes of the elements without gaps: what a copy of it needs.
    uint64_t len_bytes;
    // The stream of the work that makes the content, NULL where the content is there. Order your own stream after it
    // with `uncopy_array_ready_on`.
    void *stream;
    // 1: nobody may write it.
    uint8_t is_read_only;
    // 1: in C order without gaps.
    uint8_t is_c_contiguous;
    // 1: every element stands at a multiple of its size.
    uint8_t is_aligned;
    // 1: it is a copy that was made for this exchange.
    uint8_t was_copied;
    // 0.
    uint8_t reserved[4];
} uncopy_array_info;

// Memory at an address, for `uncopy_array_wrap`. Begin with `UNCOPY_MEMORY_INIT`.
typedef struct {
    // `sizeof(uncopy_memory)`.
    uint32_t size_bytes;
    // 1.
    uint32_t version;
    // Element 0, an address in the memory of `device`. NULL only without elements.
    void *data;
    // Where it is; the CPU after `UNCOPY_MEMORY_INIT`.
    uncopy_device device;
    // Dtype, shape and strides.
    uncopy_layout layout;
    // The stream of the work that makes the content: a CUDA stream. NULL: the content is there already, or `device` is
    // the host. It lives as long as the array.
    void *stream;
    // Called once, with `owner`, when the last handle, DLPack struct and pending copy of the array is gone; on any
    // thread. It must not throw, and must not call uncopy. NULL: whoever wraps the memory keeps it so long.
    void (*release)(void *owner);
    // What `release` is called with.
    void *owner;
    // 1: nobody may write it.
    uint8_t is_read_only;
    // 0.
    uint8_t reserved[7];
} uncopy_memory;

// How to publish. Begin with `UNCOPY_PUBLISH_OPTIONS_INIT`.
typedef struct {
    // `sizeof(uncopy_publish_options)`.
    uint32_t size_bytes;
    // 1.
    uint32_t version;
    // Frames in shared memory, 2 to 64: 2 and those that consumers hold at once are a good choice. 0: 4.
    uint32_t slots;
    // `UNCOPY_WHEN_FULL_*`: what happens when every slot is held.
    uint32_t when_full;
    // How long a producer that blocks waits for room, in nanoseconds, `UNCOPY_FOREVER` unless told.
    int64_t room_timeout_nanos;
    // How long a consumer may keep slots from a producer that finds no room, without receiving a frame, before its place
    // is taken away, in nanoseconds; `UNCOPY_FOREVER` unless told.
    int64_t evict_after_nanos;
    // The form of every frame, any other being refused. NULL: each frame brings its own.
    const uncopy_form *form;
    // Another runtime directory than the user's own, for tests and containers. NULL: the user's own.
    const char *directory;
    // Called by a call that waits for room whenever a signal handler has run in its thread, and besides several times a
    // second: 0 ends the wait with `UNCOPY_ERROR_INTERRUPTED`. It must not throw, and must not use this publisher. NULL:
    // the wait goes on.
    int32_t (*keep_waiting)(void *user);
    // What `keep_waiting` is called with.
    void *user;
    // 1: the process that holds the name gives it up.
    uint8_t takeover;
    // 1: each frame on a GPU is copied to host memory too, once for all consumers, and the copy is recorded.
    uint8_t mirror;
    // 0.
    uint8_t reserved[6];
} uncopy_publish_options;

// Counters of a publisher. Begin with `UNCOPY_PUBLISHER_STATS_INIT`.
typedef struct {
    // `sizeof(uncopy_publisher_stats)`; after the call, the bytes that were filled.
    uint32_t size_bytes;
    // 1.
    uint32_t version;
    // Frames published, which is also the number of the newest.
    uint64_t published;
    // Frames dropped because every slot was held.
    uint64_t dropped;
    // Consumers attached now.
    uint32_t consumers;
    // Number of slots.
    uint32_t slots;
} uncopy_publisher_stats;

// What a frame carries beside its elements. Begin with `UNCOPY_META_INIT`.
typedef struct {
    // `sizeof(uncopy_meta)`.
    uint32_t size_bytes;
    // 1.
    uint32_t version;
    // Copied by the call.
    const void *bytes;
    // At most `UNCOPY_MAX_META_BYTES`.
    uint64_t len_bytes;
    // `UNCOPY_META_*`: what the bytes are.
    uint32_t kind;
    // `UNCOPY_CLOCK_*`: the clock of `captured_nanos`.
    uint32_t captured_clock;
    // When the content came to be, in nanoseconds.
    int64_t captured_nanos;
} uncopy_meta;

// How an array is sent. Begin with `UNCOPY_SEND_OPTIONS_INIT`.
typedef struct {
    // `sizeof(uncopy_send_options)`.
    uint32_t size_bytes;
    // 1.
    uint32_t version;
    // `UNCOPY_PIXEL_*`.
    uint16_t pixel_format;
    // `UNCOPY_ORIGIN_*`.
    uint8_t origin;
    // `UNCOPY_CHANNELS_*`; 0: what the pixel format implies.
    uint8_t channel_order;
    // 0.
    uint32_t reserved;
    // The stream that an array on a device is copied in, ordered after the work that makes its content. NULL: the one
    // that the array was said to be made on, or the legacy default stream.
    void *stream;
    // NULL: none.
    const uncopy_meta *meta;
} uncopy_send_options;

// How to subscribe. Begin with `UNCOPY_SUBSCRIBE_OPTIONS_INIT`.
typedef struct {
    // `sizeof(uncopy_subscribe_options)`.
    uint32_t size_bytes;
    // 1.
    uint32_t version;
    // `UNCOPY_READ_*`.
    uint32_t read;
    // `UNCOPY_PLACE_*`: where frames that are on a device are received.
    uint32_t place;
    // The device of `UNCOPY_PLACE_DEVICE` and `UNCOPY_PLACE_COPIED`.
    uncopy_device device;
    // `UNCOPY_RELEASE_*`: when frames on a device go back.
    uint32_t release;
    // 1: frames on a device are mapped so that this process can't write to them: a kernel that does costs the process its
    // context. Frames in host memory are read-only in any case.
    uint8_t is_read_only;
    // 1: `uncopy_subscriber_create` waits for no producer; the first call for a frame does.
    uint8_t is_started_later;
    // 0.
    uint8_t reserved[2];
    // How long to be without a producer, when subscribing and whenever one goes away, in nanoseconds or
    // `UNCOPY_FOREVER`; 5 s unless told.
    int64_t timeout_nanos;
    // How long a producer that has gone is waited for to come again, in every call; `UNCOPY_LIKE_TIMEOUT` unless told.
    // 0: what became of it is told at once.
    int64_t restart_timeout_nanos;
    // How long a wait for a frame spins before it sleeps, in nanoseconds; 20 us unless told. 0: never.
    int64_t spin_nanos;
    // Another runtime directory than the user's own, for tests and containers. NULL: the user's own.
    const char *directory;
    // Called by a call that waits whenever a signal handler has run in its thread, and besides several times a second: 0
    // ends the wait with `UNCOPY_ERROR_INTERRUPTED`. It must not throw, and must not use this subscriber. NULL: the wait
    // goes on.
    int32_t (*keep_waiting)(void *user);
    // Called once, 2 s into a wait for a producer, with a line on what is waited for, which links are live, and the nearest
    // name. It must not throw, and must not use this subscriber. NULL: nothing is said.
    void (*notice)(void *user, const char *text);
    // What both are called with.
    void *user;
} uncopy_subscribe_options;

// Counters of a subscriber, over all producers. Begin with `UNCOPY_SUBSCRIBER_STATS_INIT`.
typedef struct {
    // `sizeof(uncopy_subscriber_stats)`; after the call, the bytes that were filled.
    uint32_t size_bytes;
    // 1.
    uint32_t version;
    // Frames received.
    uint64_t received;
    // Frames that were published since it joined, and not received.
    uint64_t missed;
    // How often another producer took the place of one that was gone.
    uint64_t restarts;
    // 1: a producer is there now.
    uint8_t is_connected;
    // 0.
    uint8_t reserved[7];
} uncopy_subscriber_stats;

// What a frame is. Begin with `UNCOPY_FRAME_INFO_INIT`.
typedef struct {
    // `sizeof(uncopy_frame_info)`; after the call, the bytes that were filled.
    uint32_t size_bytes;
    // 1.
    uint32_t version;
    // Element 0: an address in the memory of `device`, **for reading only**. In host memory a write ends the process with a
    // message; on a device it changes the frame for everybody.
    const void *data;
    // Where it is.
    uncopy_device device;
    // Dtype, shape, strides, pixel format and origin.
    uncopy_form form;
    // Bytes from `data` to the end of the last element.
    uint64_t len_bytes;
    // The producer's number of this frame, from 1.
    uint64_t seq;
    // Frames that were published between the one received before and this one.
    uint64_t missed;
    // When it was published: nanoseconds of this process's `CLOCK_MONOTONIC`.
    uint64_t published_nanos;
    // Nanoseconds since then; -1 where that can't be told.
    int64_t age_nanos;
    // When its content came to be, in nanoseconds of `captured_clock`.
    int64_t captured_nanos;
    // `UNCOPY_CLOCK_*`; `UNCOPY_CLOCK_NONE` where the producer did not say.
    uint32_t captured_clock;
    // The allocation of frame memory that it lies in; changes when frames outgrow their slots.
    uint32_t epoch;
} uncopy_frame_info;

// One copy that was made of a frame's content on its way.
typedef struct {
    // `UNCOPY_COPY_*`: why.
    uint32_t reason;
    // 0.
    uint32_t reserved;
    // Where the bytes were.
    uncopy_device from;
    // Where they were copied to.
    uncopy_device to;
    // How many were written.
    uint64_t len_bytes;
} uncopy_copy;

// A link as an observer sees it. Begin with `UNCOPY_LINK_INFO_INIT`. The texts live until the list is destroyed.
typedef struct {
    // `sizeof(uncopy_link_info)`; after the call, the bytes that were filled.
    uint32_t size_bytes;
    // 1.
    uint32_t version;
    // The name.
    const char *name;
    // The producer's command line, `""` where it can't be told.
    const char *command;
    // Why it was `UNCOPY_REFUSED`, else `""`.
    const char *detail;
    // `UNCOPY_ANSWERING`, `UNCOPY_SILENT` or `UNCOPY_REFUSED`.
    uint32_t answer;
    // The producer's process, 0 where it can't be told.
    int32_t pid;
    // How long the link has been open, in nanoseconds.
    uint64_t uptime_nanos;
    // Frames published, which is also the number of the newest.
    uint64_t published;
    // Frames dropped because every slot was held.
    uint64_t dropped;
    // Consumers whose places were taken away.
    uint64_t evicted;
    // How long the producer has waited for room, in nanoseconds.
    uint64_t blocked_nanos;
    // Shared memory of the link, in bytes.
    uint64_t memory_bytes;
    // Nanoseconds since the newest frame; -1 where there is none or that can't be told.
    int64_t last_frame_age_nanos;
    // Number of slots.
    uint32_t slots;
    // Allocations of frame memory so far.
    uint32_t epoch;
    // Consumers.
    uint32_t consumers;
    // `UNCOPY_NOWHERE`, `UNCOPY_ON_HOST`, `UNCOPY_ON_CUDA` or `UNCOPY_ELSEWHERE`.
    uint32_t whereabouts;
    // As every process calls the device of `UNCOPY_ON_CUDA`.
    uint8_t uuid[16];
    // The form of the newest frame, where `has_form` is 1.
    uncopy_form form;
    // 1: `form` is one.
    uint8_t has_form;
    // 1: the producer waits for room when every slot is held.
    uint8_t is_blocking;
    // 1: frames on a device are in host memory too.
    uint8_t is_mirrored;
    // 0.
    uint8_t reserved[5];
} uncopy_link_info;

// It is done.
#define UNCOPY_OK 0

// An argument is outside what the call accepts.
#define UNCOPY_ERROR_INVALID_ARGUMENT 1

// A link name does not follow the rules for names.
#define UNCOPY_ERROR_INVALID_NAME 2

// A shape or its strides are impossible, too large, or do not fit their memory.
#define UNCOPY_ERROR_INVALID_LAYOUT 3

// A dtype is unknown, malformed, or has no name in the form that was asked for.
#define UNCOPY_ERROR_INVALID_DTYPE 4

// A frame has another shape or dtype than the link was fixed to.
#define UNCOPY_ERROR_FORM_MISMATCH 5

// This system, build or device cannot do it.
#define UNCOPY_ERROR_UNSUPPORTED 6

// There is no link, file or device of that name.
#define UNCOPY_ERROR_NOT_FOUND 7

// Another live producer holds the name.
#define UNCOPY_ERROR_NAME_TAKEN 8

// The system or the other side does not permit it.
#define UNCOPY_ERROR_PERMISSION_DENIED 9

// The time that the caller gave has passed.
#define UNCOPY_ERROR_TIMED_OUT 10

// A signal or the caller ended the wait.
#define UNCOPY_ERROR_INTERRUPTED 11

// This end of the link was closed before.
#define UNCOPY_ERROR_CLOSED 12

// The producer died or hung up without closing.
#define UNCOPY_ERROR_PRODUCER_LOST 13

// A newer producer took the name over.
#define UNCOPY_ERROR_SUPERSEDED 14

// The producer took this consumer's place away.
#define UNCOPY_ERROR_EVICTED 15

// Every place of the link is taken.
#define UNCOPY_ERROR_TOO_MANY_CONSUMERS 16

// Consumers hold every slot, so there is nowhere to write.
#define UNCOPY_ERROR_NO_FREE_SLOT 17

// The two sides speak versions that do not understand each other.
#define UNCOPY_ERROR_VERSION_MISMATCH 18

// Shared memory of a link holds something that no correct peer writes.
#define UNCOPY_ERROR_CORRUPT_LINK 19

// There is not enough memory.
#define UNCOPY_ERROR_OUT_OF_MEMORY 20

// Descriptors, processes or another limited resource ran out.
#define UNCOPY_ERROR_OUT_OF_RESOURCES 21

// An object made before a fork was used in the child.
#define UNCOPY_ERROR_FORKED_PROCESS 22

// Writing was asked for, and the memory may only be read.
#define UNCOPY_ERROR_READ_ONLY 23

// It cannot be done without a copy, and the caller forbade copies.
#define UNCOPY_ERROR_COPY_REQUIRED 24

// A call of the operating system failed in a way that has no kind of its own.
#define UNCOPY_ERROR_SYSTEM 25

// The producer closed the link, and no other came in time.
#define UNCOPY_ERROR_PRODUCER_CLOSED 26

// The device failed in a way that ends its use in this process.
#define UNCOPY_ERROR_DEVICE_LOST 27

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// `UNCOPY_ABI_VERSION` of the library that was loaded. With another number than the header's, call nothing else.
uint32_t uncopy_abi_version(void);

// The version of the library that was loaded, such as `"0.1.0"`. It lives as long as the process.
const char *uncopy_version(void);

// The status of the calling thread's last call that failed; `UNCOPY_OK` if none did. A call that succeeds leaves it as
// it is.
uncopy_status uncopy_last_status(void);

// What the calling thread's last failed call had to say: what failed, with which values, and what to try. One line of
// UTF-8 without a full stop, `""` if no call failed. Never NULL.
//
// Lifetime: until the next call of this thread that fails, or its end; copy it to keep it.
const char *uncopy_last_message(void);

// The stable name of a status, such as `"timed_out"`: the same in Python and in JSON. `"ok"` for `UNCOPY_OK`, NULL for a
// number that this library does not know. It lives as long as the process.
const char *uncopy_status_name(uncopy_status status);

// One sentence on what a status means. As `uncopy_status_name`.
const char *uncopy_status_meaning(uncopy_status status);

// Reads the name of a dtype: `"float32"`, `"uint8"`, `"bfloat16"`, short as in `"f32"`, or with lanes as in
// `"float32x4"`.
//
// Errors: `UNCOPY_ERROR_INVALID_DTYPE` for a name that is none, or whose width differs between languages (`"int"`).
uncopy_status uncopy_dtype_from_name(const char *name,
                                     uncopy_dtype *out);

// The layout of an array in C order without gaps. `shape` has `ndim` extents, in elements; it may be NULL for 0 axes.
//
// Errors: `UNCOPY_ERROR_INVALID_ARGUMENT` for more than 8 axes or a negative extent, `UNCOPY_ERROR_INVALID_LAYOUT` where
// the size overflows, `UNCOPY_ERROR_INVALID_DTYPE`.
uncopy_status uncopy_layout_packed(uncopy_dtype dtype,
                                   int32_t ndim,
                                   const int64_t *shape,
                                   uncopy_layout *out);

// The form of a frame that is an array in C order, and no picture. As `uncopy_layout_packed`.
uncopy_status uncopy_form_array(uncopy_dtype dtype, int32_t ndim, const int64_t *shape, uncopy_form *out);

// The form of a picture of `height` by `width` pixels, `UNCOPY_PIXEL_*`: dtype and shape come with the pixel format, the
// first row is the top one, rows have no padding. `UNCOPY_PIXEL_RGBA8` is `uint8[height, width, 4]`,
// `UNCOPY_PIXEL_NV12` is `uint8[height * 3 / 2, width]`.
//
// Errors: `UNCOPY_ERROR_INVALID_ARGUMENT` for a format without a layout, `UNCOPY_ERROR_INVALID_LAYOUT` for an odd size of
// a format with halved colour, or a size that overflows.
uncopy_status uncopy_form_image(uint64_t height,
                                uint64_t width,
                                uint16_t pixel_format,
                                uncopy_form *out);

// Says that the content of an array on a device is made by work that is in `stream` by now: readers are ordered after it.
// NULL says that the content is there. The stream lives as long as the array.
//
// Errors: `UNCOPY_ERROR_INVALID_ARGUMENT` for an array in host memory, and for the per-thread default stream, which is
// another one in every thread.
uncopy_status uncopy_array_made_on(uncopy_array *array,
                                   void *stream);

// Orders `stream` after the content of the array: work that is put into it after this call may read the elements. Waits
// for nothing itself. Of a frame it is noted too that the stream reads it, as with `uncopy_frame_used_on`, so that the
// stream lives until the last of frame, arrays and DLPack structs of it is gone. Does nothing for an array in host memory.
//
// Errors: `UNCOPY_ERROR_INVALID_ARGUMENT` while a stream is being captured into a graph, `UNCOPY_ERROR_UNSUPPORTED` where
// there is no driver, `UNCOPY_ERROR_DEVICE_LOST`.
uncopy_status uncopy_array_ready_on(const uncopy_array *array,
                                    void *stream);

// Says what an array is: shape, dtype, strides, device, address, whether it may be written.
uncopy_status uncopy_array_describe(const uncopy_array *array, uncopy_array_info *info);

// Copies the elements of an array in host memory to `bytes`, in C order without gaps. **A copy.** `len_bytes` is exactly
// `uncopy_array_info.len_bytes`.
//
// Errors: `UNCOPY_ERROR_UNSUPPORTED` for an array on a device, `UNCOPY_ERROR_INVALID_ARGUMENT` for another length, or
// memory that overlaps the array.
uncopy_status uncopy_array_copy_to(const uncopy_array *array,
                                   void *bytes,
                                   uint64_t len_bytes);

// Another handle of the same array. The memory lives until the last is destroyed.
uncopy_status uncopy_array_clone(const uncopy_array *array, uncopy_array **out);

// Ends a handle. NULL is left alone. A handle that was destroyed before is left alone too, and kept as the thread's last
// failure; so is every handle in a process that was forked after it was made.
void uncopy_array_destroy(uncopy_array *array);

// Takes memory at an address as an array. Shares the memory, on its device; **nothing is checked**: it has to be there.
//
// Owner and lifetime: until `memory->release` is called, or, without one, as long as any handle, DLPack struct or pending
// copy of the array lives. `release` is not called where this fails.
//
// Stream order: readers that call `uncopy_array_ready_on`, and `uncopy_publisher_send`, are ordered after `memory->stream`.
//
// Errors: `UNCOPY_ERROR_INVALID_ARGUMENT`, `UNCOPY_ERROR_INVALID_LAYOUT`, `UNCOPY_ERROR_INVALID_DTYPE`.
uncopy_status uncopy_array_wrap(const uncopy_memory *memory,
                                uncopy_array **out);

// Takes a DLPack 1.x struct as an array. Shares the memory, on its device; copies shape and strides.
//
// Owner: **the struct is uncopy's after a success only**. Its deleter is called once, when the last handle, DLPack struct
// and pending copy of the array is gone, on any thread. After a failure it is still yours to delete.
//
// Stream order: none. Say with `uncopy_array_made_on` where the content is being made, unless it is there.
//
// Errors: `UNCOPY_ERROR_VERSION_MISMATCH` for another major version, `UNCOPY_ERROR_INVALID_LAYOUT`,
// `UNCOPY_ERROR_INVALID_DTYPE`, `UNCOPY_ERROR_UNSUPPORTED` for more than 8 axes, `UNCOPY_ERROR_INVALID_ARGUMENT` for a
// struct without data, and for one that uncopy has already.
uncopy_status uncopy_array_from_dlpack(struct DLManagedTensorVersioned *managed,
                                       uncopy_array **out);

// Takes a legacy DLPack struct, from before 1.0, as an array. As `uncopy_array_from_dlpack`; it can't say that it is
// read-only, and counts as writable.
uncopy_status uncopy_array_from_dlpack_legacy(struct DLManagedTensor *managed,
                                              uncopy_array **out);

// Gives an array as a DLPack 1.x struct. Shares the memory; shape and strides are the struct's own.
//
// Owner: the caller, who gives it on or calls its deleter once, on any thread. It keeps the memory by itself, and of a
// frame the slot: the handle may be destroyed before. Read-only arrays say so in the flags, and **must not be written**.
//
// Stream order: none; see `uncopy_array_ready_on`.
uncopy_status uncopy_array_to_dlpack(const uncopy_array *array,
                                     struct DLManagedTensorVersioned **out);

// Gives an array as a legacy DLPack struct, from before 1.0. As `uncopy_array_to_dlpack`.
//
// Errors: `UNCOPY_ERROR_READ_ONLY` for a read-only array, such as a received frame: the struct can't say so.
uncopy_status uncopy_array_to_dlpack_legacy(const uncopy_array *array, struct DLManagedTensor **out);

// Opens a link for publishing, under a name of up to 64 letters, digits, `.`, `_` and `-`. `options` may be NULL.
//
// Owner: the caller, who ends the link with `uncopy_publisher_destroy`. Frame memory is made with the first frame, or now
// for a fixed form. The first end of a process starts one thread of uncopy's own, which ends with the last.
//
// Errors: `UNCOPY_ERROR_NAME_TAKEN`, `UNCOPY_ERROR_INVALID_NAME`, `UNCOPY_ERROR_INVALID_ARGUMENT`,
// `UNCOPY_ERROR_PERMISSION_DENIED` for a runtime directory that is not private, `UNCOPY_ERROR_OUT_OF_MEMORY`.
uncopy_status uncopy_publisher_create(const char *name,
                                      const uncopy_publish_options *options,
                                      uncopy_publisher **out);

// Waits until at least `wanted` consumers are attached, at most `timeout_nanos` nanoseconds or `UNCOPY_FOREVER`.
//
// Errors: `UNCOPY_ERROR_TIMED_OUT`, `UNCOPY_ERROR_SUPERSEDED`, `UNCOPY_ERROR_INTERRUPTED`.
uncopy_status uncopy_publisher_wait_for_consumers(uncopy_publisher *publisher,
                                                  uint32_t wanted,
                                                  int64_t timeout_nanos);

// Waits until devices have written every frame that was published and is still there, at most `timeout_nanos` nanoseconds
// or `UNCOPY_FOREVER`. `*written` is 1 when they have, 0 when the time is over. At once for frames in host memory. From then
// on the frames need this process no longer, and arrays that were sent are given back.
//
// Errors: `UNCOPY_ERROR_INTERRUPTED`.
uncopy_status uncopy_publisher_flush(uncopy_publisher *publisher,
                                     int64_t timeout_nanos,
                                     int32_t *written);

// The counters of a publisher.
uncopy_status uncopy_publisher_get_stats(uncopy_publisher *publisher, uncopy_publisher_stats *stats);

// Ends the wait that goes on in another thread, or else the next one, with `UNCOPY_ERROR_INTERRUPTED`. From any thread; not
// from a signal handler, for which `keep_waiting` is there.
uncopy_status uncopy_publisher_interrupt(uncopy_publisher *publisher);

// Closes the link: consumers are told, frames that they hold stay as they are, and the name is free. Waits before that, for
// a second at most, until devices have written what was published. A call of another thread that waits ends with
// `UNCOPY_ERROR_CLOSED`, and the link closes when it does. NULL is left alone; so is a handle that was destroyed, or made
// before a fork.
void uncopy_publisher_destroy(uncopy_publisher *publisher);

// Lends a slot in host memory for a frame of `form`, to be written through `uncopy_loan_describe(...).data` or a DLPack
// struct: nothing is copied. It holds what an older frame left there. `form` may have strides that are positive and don't
// overlap; `uncopy_form_image` and `uncopy_form_array` make those without gaps. Waits for room where the link was opened
// to block.
//
// Owner: the caller, who publishes the loan or abandons it; until then the slot is nobody else's. Several loans at once are
// fine.
//
// Errors: `UNCOPY_ERROR_NO_FREE_SLOT` when every slot is held, which is counted as a dropped frame;
// `UNCOPY_ERROR_FORM_MISMATCH`, `UNCOPY_ERROR_INVALID_LAYOUT`, `UNCOPY_ERROR_OUT_OF_MEMORY`, `UNCOPY_ERROR_SUPERSEDED`,
// `UNCOPY_ERROR_INTERRUPTED`.
uncopy_status uncopy_publisher_loan(uncopy_publisher *publisher,
                                    const uncopy_form *form,
                                    uncopy_loan **out);

// Lends a slot on a device, to be written by work in `stream`: nothing is copied. As `uncopy_publisher_loan`.
//
// Stream order: work that is put into the stream after this call finds the slot free, and what it holds by
// `uncopy_loan_publish` is the frame; nothing has to be waited for. The stream lives until then. The first frame on another
// device than the last begins new memory, which consumers follow by themselves.
//
// Errors: as for `uncopy_publisher_loan`, and `UNCOPY_ERROR_INVALID_ARGUMENT` while the stream is being captured into a
// graph, `UNCOPY_ERROR_UNSUPPORTED` without a driver, `UNCOPY_ERROR_NOT_FOUND` without such a device,
// `UNCOPY_ERROR_DEVICE_LOST`.
uncopy_status uncopy_publisher_loan_on(uncopy_publisher *publisher,
                                       const uncopy_form *form,
                                       uncopy_device device,
                                       void *stream,
                                       uncopy_loan **out);

// Says where the slot is: `info->data` is the address of element 0 in the memory of `info->device`, to be written until the
// loan is over, and **never after**: by address nothing stops a late write, which changes a published frame.
uncopy_status uncopy_loan_describe(const uncopy_loan *loan,
                                   uncopy_array_info *info);

// Gives the slot as a writable DLPack 1.x struct. Shares the memory.
//
// Owner: the caller, who gives it on or calls its deleter once. While it lives the slot is not lent again; from the moment
// the frame is published its pages in host memory are read-only, so that a late write ends this process with a message
// instead of changing the frame.
//
// Stream order: what writes puts its work into the loan's stream, or says so with `uncopy_loan_also_on`.
uncopy_status uncopy_loan_to_dlpack(const uncopy_loan *loan,
                                    struct DLManagedTensorVersioned **out);

// Lets work in another stream write the slot too, where it is on a device: what is put into the stream from now on finds
// the slot free, and what it holds by `uncopy_loan_publish` is part of the frame. The stream lives until then. Does nothing
// in host memory.
//
// Errors: `UNCOPY_ERROR_INVALID_ARGUMENT` while the stream is being captured, `UNCOPY_ERROR_DEVICE_LOST`.
uncopy_status uncopy_loan_also_on(uncopy_loan *loan,
                                  void *stream);

// Publishes the frame: from here on it is the newest of the link, and nobody may change it. `*seq` is its number, from 1.
// `meta` may be NULL, and so may `seq`.
//
// Owner: **the loan is over whatever this returns**, and its handle ended; after a failure nothing is published and the slot
// is free again.
//
// Errors: `UNCOPY_ERROR_INVALID_ARGUMENT` for metadata that is too long, and for a loan whose memory frames have outgrown
// since; `UNCOPY_ERROR_CLOSED` when the publisher was destroyed, `UNCOPY_ERROR_SUPERSEDED` after a takeover,
// `UNCOPY_ERROR_UNSUPPORTED` while another thread is inside the publisher, `UNCOPY_ERROR_DEVICE_LOST`.
uncopy_status uncopy_loan_publish(uncopy_loan *loan,
                                  const uncopy_meta *meta,
                                  uint64_t *seq);

// Gives the slot back without publishing, and ends the handle. NULL is left alone; so is a loan that is over, or that was
// made before a fork.
void uncopy_loan_abandon(uncopy_loan *loan);

// Copies an array into a slot and publishes it: **one copy**, where the array is, recorded with the frame. It is packed in
// C order. Host and GPU alike. `options` may be NULL. `*seq` is the frame's number, from 1, or 0 when it was dropped
// because every slot was held, which is no failure.
//
// Stream order: in host memory the copy is made when the call returns. On a device it is put into `options->stream` and
// the call returns; the memory of the array is kept until it is made, and given back by a later call. Work that is put into
// that stream afterwards may write to the array. The stream may be destroyed as soon as the call has returned.
//
// Errors: `UNCOPY_ERROR_FORM_MISMATCH` on a link that was opened for another form, `UNCOPY_ERROR_INVALID_ARGUMENT` for
// metadata that is too long and for a stream that is being captured, `UNCOPY_ERROR_NO_FREE_SLOT` when a producer that
// blocks found no room in time, `UNCOPY_ERROR_SUPERSEDED` after a takeover, `UNCOPY_ERROR_INTERRUPTED`,
// `UNCOPY_ERROR_OUT_OF_MEMORY`, `UNCOPY_ERROR_UNSUPPORTED` where the array's device can't be used,
// `UNCOPY_ERROR_DEVICE_LOST`.
uncopy_status uncopy_publisher_send(uncopy_publisher *publisher,
                                    const uncopy_array *array,
                                    const uncopy_send_options *options,
                                    uint64_t *seq);

// `uncopy_publisher_send` of memory that need not be an array: `memory->release` is not called, and memory on a device stays
// until the copy in its stream is made, which `uncopy_publisher_flush` waits for.
uncopy_status uncopy_publisher_send_memory(uncopy_publisher *publisher,
                                           const uncopy_memory *memory,
                                           const uncopy_send_options *options,
                                           uint64_t *seq);

// Takes a place at the producer of a name, waiting for it to appear. `options` may be NULL.
//
// Owner: the caller, who leaves with `uncopy_subscriber_destroy`.
//
// Errors: `UNCOPY_ERROR_NOT_FOUND` when nobody publishes under the name in time, `UNCOPY_ERROR_TOO_MANY_CONSUMERS` (16 are
// the most), `UNCOPY_ERROR_INVALID_NAME`, `UNCOPY_ERROR_INVALID_ARGUMENT`, `UNCOPY_ERROR_VERSION_MISMATCH`,
// `UNCOPY_ERROR_UNSUPPORTED` where frames are wanted on a device that can't be used, `UNCOPY_ERROR_PERMISSION_DENIED`,
// `UNCOPY_ERROR_INTERRUPTED`.
uncopy_status uncopy_subscriber_create(const char *name,
                                       const uncopy_subscribe_options *options,
                                       uncopy_subscriber **out);

// Waits for the next frame that was not received yet, at most `timeout_nanos` nanoseconds or `UNCOPY_FOREVER`, through
// restarts of the producer.
//
// Owner: the caller holds the frame with `*out` until `uncopy_frame_destroy`; nothing is copied, and nobody can change it
// meanwhile. Hold as many as the link has slots for (slots - 2).
//
// Stream order: the content is there when this returns, on a GPU too; name the streams that read it with
// `uncopy_frame_used_on`.
//
// Errors: `UNCOPY_ERROR_TIMED_OUT` when the producer lives and published nothing new; `UNCOPY_ERROR_PRODUCER_LOST` when it
// died, `UNCOPY_ERROR_PRODUCER_CLOSED` when it closed the link, `UNCOPY_ERROR_NOT_FOUND` when there never was one;
// `UNCOPY_ERROR_EVICTED` when it took this place away, after which the next call takes a new one;
// `UNCOPY_ERROR_INTERRUPTED`, `UNCOPY_ERROR_CLOSED`, `UNCOPY_ERROR_CORRUPT_LINK`.
uncopy_status uncopy_subscriber_recv(uncopy_subscriber *subscriber,
                                     int64_t timeout_nanos,
                                     uncopy_frame **out);

// As `uncopy_subscriber_recv`, for work in `stream`: a frame on a GPU may still be written by its producer; what is put into
// the stream after this call finds it whole, and the frame goes back after that work. The stream lives until the last of
// frame, arrays and DLPack structs of it is gone.
//
// It is known no sooner so; use it only where the processor has nothing to do but to put work into the stream. Should the
// producer die meanwhile, `uncopy_frame_is_torn` tells.
//
// Errors: also `UNCOPY_ERROR_INVALID_ARGUMENT` while the stream is being captured, `UNCOPY_ERROR_DEVICE_LOST`.
uncopy_status uncopy_subscriber_recv_on(uncopy_subscriber *subscriber,
                                        void *stream,
                                        int64_t timeout_nanos,
                                        uncopy_frame **out);

// The next frame that was not received yet, if it is there; `*out` is NULL when there is none. Never waits. For event
// loops: call it once before the first poll of `uncopy_subscriber_fileno`, and after each event until it gives none, which
// asks the producer to ring.
//
// Errors: as for `uncopy_subscriber_recv`, but never `UNCOPY_ERROR_TIMED_OUT`.
uncopy_status uncopy_subscriber_poll(uncopy_subscriber *subscriber,
                                     uncopy_frame **out);

// The newest frame that there is, also one that was received before; `*out` is NULL when there is none. Never waits.
//
// Errors: `UNCOPY_ERROR_CORRUPT_LINK`, and those of `uncopy_subscriber_create`.
uncopy_status uncopy_subscriber_newest(uncopy_subscriber *subscriber,
                                       uncopy_frame **out);

// The descriptor that an event loop polls for reading (poll, epoll, io_uring): readable when there may be a frame, or
// another producer; see `uncopy_subscriber_poll`.
//
// Owner: the subscriber. It stays the same until `uncopy_subscriber_destroy`; don't close it.
//
// Errors: `UNCOPY_ERROR_OUT_OF_RESOURCES` when no descriptor is left, `UNCOPY_ERROR_UNSUPPORTED` on Windows.
uncopy_status uncopy_subscriber_fileno(uncopy_subscriber *subscriber,
                                       int32_t *fd);

// The counters of a subscriber.
uncopy_status uncopy_subscriber_get_stats(uncopy_subscriber *subscriber, uncopy_subscriber_stats *stats);

// Ends the wait that goes on in another thread, or else the next one, with `UNCOPY_ERROR_INTERRUPTED`. From any thread; not
// from a signal handler, for which `keep_waiting` is there.
uncopy_status uncopy_subscriber_interrupt(uncopy_subscriber *subscriber);

// Leaves the link. Frames that are held stay as they are. A call of another thread that waits ends with
// `UNCOPY_ERROR_CLOSED`. NULL is left alone; so is a handle that was destroyed, or made before a fork.
void uncopy_subscriber_destroy(uncopy_subscriber *subscriber);

// Says what a frame is: form, device, address, number, times.
uncopy_status uncopy_frame_describe(const uncopy_frame *frame, uncopy_frame_info *info);

// The producer's metadata: `*kind` is `UNCOPY_META_*`, `*bytes` leads to `*len_bytes` bytes, to `""` without any. `kind` may
// be NULL.
//
// Lifetime: until this handle of the frame is destroyed; copy them to keep them.
uncopy_status uncopy_frame_meta(const uncopy_frame *frame,
                                uint32_t *kind,
                                const char **bytes,
                                uint64_t *len_bytes);

// Every copy that the content went through, in order: fills up to `capacity` of `copies`, at most `UNCOPY_MAX_COPIES` are
// needed. `*count` is how many there are. None for a frame that was written straight into its slot.
uncopy_status uncopy_frame_copies(const uncopy_frame *frame,
                                  uncopy_copy *copies,
                                  uint64_t capacity,
                                  uint64_t *count);

// The frame as an array: shared, read-only, holding the slot by itself.
//
// Stream order: `uncopy_array_ready_on` orders a stream after the content, and the slot's return after that stream.
uncopy_status uncopy_frame_array(const uncopy_frame *frame,
                                 uncopy_array **out);

// Gives the frame as a DLPack 1.x struct that says that it is read-only. Shares the memory, and holds the slot by itself.
//
// Owner: the caller, who gives it on or calls its deleter once, on any thread. A consumer that does not honour
// `DLPACK_FLAG_BITMASK_READ_ONLY` and writes ends the process, in host memory.
//
// Stream order: none; name the streams that read it with `uncopy_frame_used_on`.
uncopy_status uncopy_frame_to_dlpack(const uncopy_frame *frame,
                                     struct DLManagedTensorVersioned **out);

// A private, writable array in host memory with the frame's elements in C order: **one copy**, made when this returns. Of a
// frame on a device the device makes it, into pinned memory. The frame is needed no longer then.
//
// Errors: `UNCOPY_ERROR_OUT_OF_MEMORY`, `UNCOPY_ERROR_DEVICE_LOST`.
uncopy_status uncopy_frame_to_host(const uncopy_frame *frame,
                                   uncopy_array **out);

// Notes that work in `stream` reads a frame on a device, through its address or an export: the slot goes back to the
// producer only after what the stream holds when the last of handles, arrays and DLPack structs is gone. Without any such
// stream it goes back at that moment. **The stream lives until then**, and may be destroyed at once after it, whatever it
// still has to do. Nothing is noted of a frame in host memory.
uncopy_status uncopy_frame_used_on(const uncopy_frame *frame,
                                   void *stream);

// As `uncopy_frame_used_on`, and keeps what the stream belongs to: `release` is called once, with `owner`, on any thread, when
// the stream is not needed any more. It must not throw, and must not call uncopy. It is not called where this fails; of a
// frame in host memory it is called before this returns.
uncopy_status uncopy_frame_used_on_kept(const uncopy_frame *frame,
                                        void *stream,
                                        void (*release)(void *owner),
                                        void *owner);

// Orders `stream` after the content of the frame and notes it as used: needed only for another stream than that of
// `uncopy_subscriber_recv_on`; for every other frame this is `uncopy_frame_used_on`.
//
// Errors: `UNCOPY_ERROR_INVALID_ARGUMENT` while the stream is being captured, `UNCOPY_ERROR_DEVICE_LOST`.
uncopy_status uncopy_frame_ready_on(const uncopy_frame *frame,
                                    void *stream);

// Notes that something reads the frame on its device that can't say in which stream: the slot goes back only when the
// device has done everything that this process gave it. `uncopy_frame_used_on` is better wherever the stream is known.
uncopy_status uncopy_frame_used_anywhere(const uncopy_frame *frame);

// Whether the content never came, since the producer died while its device was at work on it; `*torn` is 1 then. Only a
// frame of `uncopy_subscriber_recv_on` can turn out so.
uncopy_status uncopy_frame_is_torn(const uncopy_frame *frame,
                                   int32_t *torn);

// Another handle of the same frame. The slot goes back after the last.
uncopy_status uncopy_frame_clone(const uncopy_frame *frame, uncopy_frame **out);

// Ends a handle; the slot goes back to the producer after the last of handles, arrays and DLPack structs. On any thread,
// also after the subscriber is gone. NULL is left alone; so is a handle that was destroyed, or made before a fork.
void uncopy_frame_destroy(uncopy_frame *frame);

// Waits until some of `count` subscribers have something to receive, at most `timeout_nanos` nanoseconds or
// `UNCOPY_FOREVER`. `ready[i]` becomes 1 for each that has, else 0; `*ready_count` is how many have, 0 when the time is
// over, which is no failure. Nothing is received here: each that is ready gives a frame, or an error that is to be seen, with
// its next `uncopy_subscriber_poll`.
//
// Errors: `UNCOPY_ERROR_UNSUPPORTED` where another thread is inside one of them, or one is named twice;
// `UNCOPY_ERROR_INTERRUPTED`, `UNCOPY_ERROR_CLOSED`, `UNCOPY_ERROR_OUT_OF_RESOURCES`.
uncopy_status uncopy_wait(uncopy_subscriber *const *subscribers,
                          uint64_t count,
                          int64_t timeout_nanos,
                          uint8_t *ready,
                          uint64_t *ready_count);

// Looks at the links of this user, by name, without taking part: no place, no lease. `directory` is NULL for the user's own
// runtime directory. Takes a quarter of a second at most.
//
// Owner: the caller, who ends the list with `uncopy_link_list_destroy`.
//
// Errors: the runtime directory can't be read.
uncopy_status uncopy_link_list_create(const char *directory,
                                      uncopy_link_list **out);

// How many links a list has.
uncopy_status uncopy_link_list_count(const uncopy_link_list *list, uint64_t *count);

// One link of a list, `index` from 0.
//
// Errors: `UNCOPY_ERROR_INVALID_ARGUMENT` for an index beyond the last.
uncopy_status uncopy_link_list_get(const uncopy_link_list *list, uint64_t index, uncopy_link_info *info);

// Ends a list, and the texts that it gave. NULL is left alone.
void uncopy_link_list_destroy(uncopy_link_list *list);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* UNCOPY_H */

/* Initialisers: the size, the version, and the default of every field. */

#define UNCOPY_PUBLISH_OPTIONS_INIT \
    { sizeof(uncopy_publish_options), 1, 4, UNCOPY_WHEN_FULL_DROP, UNCOPY_FOREVER, UNCOPY_FOREVER, NULL, NULL, NULL, NULL, \
      0, 0, { 0 } }

#define UNCOPY_SUBSCRIBE_OPTIONS_INIT \
    { sizeof(uncopy_subscribe_options), 1, UNCOPY_READ_LATEST, UNCOPY_PLACE_NEAREST, { UNCOPY_DEVICE_CPU, 0 }, \
      UNCOPY_RELEASE_STREAMS, 0, 0, { 0 }, 5000000000, UNCOPY_LIKE_TIMEOUT, 20000, NULL, NULL, NULL, NULL }

#define UNCOPY_SEND_OPTIONS_INIT \
    { sizeof(uncopy_send_options), 1, UNCOPY_PIXEL_UNSPECIFIED, UNCOPY_ORIGIN_TOP_LEFT, UNCOPY_CHANNELS_UNSPECIFIED, 0, \
      NULL, NULL }

#define UNCOPY_META_INIT { sizeof(uncopy_meta), 1, NULL, 0, UNCOPY_META_NONE, UNCOPY_CLOCK_NONE, 0 }

#define UNCOPY_LAYOUT_INIT { { 0, 0, 0 }, 0, { 0 }, { 0 } }

#define UNCOPY_FORM_INIT { UNCOPY_LAYOUT_INIT, UNCOPY_PIXEL_UNSPECIFIED, 0, 0, 0 }

#define UNCOPY_MEMORY_INIT \
    { sizeof(uncopy_memory), 1, NULL, { UNCOPY_DEVICE_CPU, 0 }, UNCOPY_LAYOUT_INIT, NULL, NULL, NULL, 0, { 0 } }

#define UNCOPY_ARRAY_INFO_INIT \
    { sizeof(uncopy_array_info), 1, NULL, { 0, 0 }, UNCOPY_LAYOUT_INIT, 0, NULL, 0, 0, 0, 0, { 0 } }

#define UNCOPY_FRAME_INFO_INIT \
    { sizeof(uncopy_frame_info), 1, NULL, { 0, 0 }, UNCOPY_FORM_INIT, 0, 0, 0, 0, 0, 0, 0, 0 }

#define UNCOPY_PUBLISHER_STATS_INIT { sizeof(uncopy_publisher_stats), 1, 0, 0, 0, 0 }

#define UNCOPY_SUBSCRIBER_STATS_INIT { sizeof(uncopy_subscriber_stats), 1, 0, 0, 0, 0, { 0 } }

#define UNCOPY_LINK_INFO_INIT \
    { sizeof(uncopy_link_info), 1, NULL, NULL, NULL, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, { 0 }, UNCOPY_FORM_INIT, \
      0, 0, 0, { 0 } }
