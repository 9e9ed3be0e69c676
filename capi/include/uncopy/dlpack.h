/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* DLPack 1.3 for C and C++: how arrays are described and handed over between libraries.
 *
 * The names are those of DLPack's own dlpack/dlpack.h, so this header and a vendored copy of that one can be included in
 * one file, in either order: whichever comes first defines them. A vendored header from before 1.0 gets the versioned
 * struct from here. Layouts are asserted at the end.
 *
 * Device types and dtype codes are numbers that grow with every version of DLPack: expect values that have no name here.
 *
 * Source: DLPack 1.3, "C API".
 */
#ifndef UNCOPY_DLPACK_H
#define UNCOPY_DLPACK_H

#include <stddef.h>
#include <stdint.h>

#ifndef DLPACK_DLPACK_H_
#define DLPACK_DLPACK_H_

#define DLPACK_MAJOR_VERSION 1
#define DLPACK_MINOR_VERSION 3

#ifdef __cplusplus
#define DLPACK_EXTERN_C extern "C"
extern "C" {
#else
#define DLPACK_EXTERN_C
#endif

#ifndef DLPACK_DLL
#define DLPACK_DLL
#endif

/* The version of an interface. Structs of another major version may only be deleted. */
typedef struct {
  uint32_t major;
  uint32_t minor;
} DLPackVersion;

/* Where memory lies. */
#ifdef __cplusplus
typedef enum : int32_t {
#else
typedef enum {
#endif
  kDLCPU = 1,
  kDLCUDA = 2,
  kDLCUDAHost = 3,
  kDLOpenCL = 4,
  kDLVulkan = 7,
  kDLMetal = 8,
  kDLVPI = 9,
  kDLROCM = 10,
  kDLROCMHost = 11,
  kDLExtDev = 12,
  kDLCUDAManaged = 13,
  kDLOneAPI = 14,
  kDLWebGPU = 15,
  kDLHexagon = 16,
  kDLMAIA = 17,
  kDLTrn = 18
} DLDeviceType;

/* One device: its type, and which one, counted from 0 as this process sees them. */
typedef struct {
  DLDeviceType device_type;
  int32_t device_id;
} DLDevice;

/* The family of an item. */
typedef enum {
  kDLInt = 0U,
  kDLUInt = 1U,
  kDLFloat = 2U,
  kDLOpaqueHandle = 3U,
  kDLBfloat = 4U,
  kDLComplex = 5U,
  kDLBool = 6U,
  kDLFloat8_e3m4 = 7U,
  kDLFloat8_e4m3 = 8U,
  kDLFloat8_e4m3b11fnuz = 9U,
  kDLFloat8_e4m3fn = 10U,
  kDLFloat8_e4m3fnuz = 11U,
  kDLFloat8_e5m2 = 12U,
  kDLFloat8_e5m2fnuz = 13U,
  kDLFloat8_e8m0fnu = 14U,
  kDLFloat6_e2m3fn = 15U,
  kDLFloat6_e3m2fn = 16U,
  kDLFloat4_e2m1fn = 17U
} DLDataTypeCode;

/* What one item is: family, bits of one lane, lanes. */
typedef struct {
  uint8_t code;
  uint8_t bits;
  uint16_t lanes;
} DLDataType;

/* An array: strides count items; NULL strides mean C order (in structs from before 1.2). */
typedef struct {
  void *data;
  DLDevice device;
  int32_t ndim;
  DLDataType dtype;
  int64_t *shape;
  int64_t *strides;
  uint64_t byte_offset;
} DLTensor;

/* An array that its holder deletes, without a version. */
typedef struct DLManagedTensor {
  DLTensor dl_tensor;
  void *manager_ctx;
  void (*deleter)(struct DLManagedTensor *self);
} DLManagedTensor;

#define DLPACK_FLAG_BITMASK_READ_ONLY (1UL << 0UL)
#define DLPACK_FLAG_BITMASK_IS_COPIED (1UL << 1UL)
#define DLPACK_FLAG_BITMASK_IS_SUBBYTE_TYPE_PADDED (1UL << 2UL)

/* An array that its holder deletes. `deleter` may be NULL; it may be called on any thread. */
typedef struct DLManagedTensorVersioned {
  DLPackVersion version;
  void *manager_ctx;
  void (*deleter)(struct DLManagedTensorVersioned *self);
  uint64_t flags;
  DLTensor dl_tensor;
} DLManagedTensorVersioned;

/* The functions of a type's exchange table. Each returns 0, or -1 with a Python exception set. */
typedef int (*DLPackManagedTensorAllocator)(DLTensor *prototype, DLManagedTensorVersioned **out, void *error_ctx,
                                            void (*SetError)(void *error_ctx, const char *kind, const char *message));
typedef int (*DLPackManagedTensorFromPyObjectNoSync)(void *py_object, DLManagedTensorVersioned **out);
typedef int (*DLPackDLTensorFromPyObjectNoSync)(void *py_object, DLTensor *out);
typedef int (*DLPackCurrentWorkStream)(DLDeviceType device_type, int32_t device_id, void **out_current_stream);
typedef int (*DLPackManagedTensorToPyObjectNoSync)(DLManagedTensorVersioned *tensor, void **out_py_object);

/* What every version of an exchange table begins with. */
typedef struct DLPackExchangeAPIHeader {
  DLPackVersion version;
  struct DLPackExchangeAPIHeader *prev_api;
} DLPackExchangeAPIHeader;

/* The exchange table: in the capsule "dlpack_exchange_api" of a type's `__dlpack_c_exchange_api__`. */
typedef struct DLPackExchangeAPI {
  DLPackExchangeAPIHeader header;
  DLPackManagedTensorAllocator managed_tensor_allocator;
  DLPackManagedTensorFromPyObjectNoSync managed_tensor_from_py_object_no_sync;
  DLPackManagedTensorToPyObjectNoSync managed_tensor_to_py_object_no_sync;
  DLPackDLTensorFromPyObjectNoSync dltensor_from_py_object_no_sync; /* may be NULL */
  DLPackCurrentWorkStream current_work_stream;
} DLPackExchangeAPI;

#ifdef __cplusplus
}
#endif

#elif !defined(DLPACK_MAJOR_VERSION)

/* A vendored header from before 1.0 came first. */
#ifdef __cplusplus
extern "C" {
#endif
typedef struct {
  uint32_t major;
  uint32_t minor;
} DLPackVersion;
typedef struct DLManagedTensorVersioned {
  DLPackVersion version;
  void *manager_ctx;
  void (*deleter)(struct DLManagedTensorVersioned *self);
  uint64_t flags;
  DLTensor dl_tensor;
} DLManagedTensorVersioned;
#ifdef __cplusplus
}
#endif

#endif /* DLPACK_DLPACK_H_ */

#ifdef __cplusplus
#define UNCOPY_ASSERT_LAYOUT(what) static_assert(what, #what)
#else
#define UNCOPY_ASSERT_LAYOUT(what) _Static_assert(what, #what)
#endif
UNCOPY_ASSERT_LAYOUT(sizeof(DLDevice) == 8);
UNCOPY_ASSERT_LAYOUT(sizeof(DLDataType) == 4);
#if UINTPTR_MAX == 0xFFFFFFFFFFFFFFFFu
UNCOPY_ASSERT_LAYOUT(sizeof(DLTensor) == 48);
UNCOPY_ASSERT_LAYOUT(offsetof(DLTensor, shape) == 24);
UNCOPY_ASSERT_LAYOUT(offsetof(DLTensor, byte_offset) == 40);
UNCOPY_ASSERT_LAYOUT(sizeof(DLManagedTensor) == 64);
UNCOPY_ASSERT_LAYOUT(sizeof(DLManagedTensorVersioned) == 80);
UNCOPY_ASSERT_LAYOUT(offsetof(DLManagedTensorVersioned, flags) == 24);
UNCOPY_ASSERT_LAYOUT(offsetof(DLManagedTensorVersioned, dl_tensor) == 32);
#endif
#undef UNCOPY_ASSERT_LAYOUT

#endif /* UNCOPY_DLPACK_H */
