// SPDX-License-Identifier: MIT OR Apache-2.0
// The API of mikaeltw/pybind11_cuda_array_interface over uncopy: its programs compile as they are.
//
// Header-only, and without the CUDA toolkit: the driver is found at run time. Where <cuda_runtime.h> is on the include path
// it is included, as programs that call the runtime themselves expect; nothing here calls it.
//
// As strict as the original: arguments need version 3 of the interface, at least one axis, and no axis of 0. (For the rest of
// the world use uncopy/pybind11.hpp.) What it does beside the original:
//
// | subject | here |
// |---|---|
// | an argument that is returned | the same object, with its reference counted |
// | element types | all with a NumPy dtype, in both directions |
// | strides | `get_strides()`, `get_strided_typed_pointer()`; the contiguous pointer is refused where it would lead to wrong data |
// | streams | work is expected in `cai::work_stream()`, by default the legacy default stream: it is made to run after an argument's stream, and that stream after it when the call ends; returned arrays name it |
// | versions | 2 and 3 can be returned; others are refused and not renamed |
// | overloads | in the first pass a wrong argument means "the next overload"; where none fits, or with one only, it is an exception of the kinds below |
// | kept copies | may be returned, as often as wanted |
// | read-only arguments | `const` pointers of them, and `cuda_array_t<const T>` |
// | memory | pointers are asked for device and kind (`get_device()`), and for the end of their allocation |
// | deleters | never throw; device memory is freed without the GIL |
#pragma once

#define PY_SSIZE_T_CLEAN
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <iostream>
#include <limits>
#include <memory>
#include <numeric>
#include <optional>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#if defined(__has_include)
#if __has_include(<cuda_runtime.h>)
#include <cuda_runtime.h>
#define CAI_HAS_CUDA_RUNTIME 1
#endif
#endif

#include "../uncopy/array.hpp"
#include "../uncopy/python/interface.hpp"
#include "../uncopy/python/signature.hpp"
#include "../uncopy/python/take.hpp"

namespace py = pybind11;

namespace caiexcp {

class BaseError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

#define CAI_ERROR(NAME)                              \
  class NAME : public BaseError {                    \
   public:                                           \
    using BaseError::BaseError;                      \
    static constexpr const char *class_name = #NAME; \
  };
CAI_ERROR(InterfaceNotImplementedError)
CAI_ERROR(IncompleteInterfaceError)
CAI_ERROR(DtypeMismatchError)
CAI_ERROR(CudaCallError)
CAI_ERROR(ReadOnlyAccessError)
CAI_ERROR(EndiannessDetectionError)
CAI_ERROR(InvalidShapeError)
CAI_ERROR(InvalidVersionError)
CAI_ERROR(InvalidCapsuleError)
CAI_ERROR(ObjectOwnershipError)
CAI_ERROR(InvalidTypestrError)
CAI_ERROR(MissingDeleterError)
CAI_ERROR(SimpleNamespaceError)
CAI_ERROR(UnRegCudaTypeError)
#undef CAI_ERROR

// Classes of the module's own, so that two modules with this header don't translate each other's errors.
template <class... Errors>
void register_errors(py::module_ &module) {
  (py::register_local_exception<Errors>(module, Errors::class_name), ...);
}

// Makes the 14 exceptions importable from `module`, and C++ errors of these types become them.
inline void register_custom_cuda_array_interface_exceptions(py::module_ &module) {
  register_errors<InterfaceNotImplementedError, IncompleteInterfaceError, DtypeMismatchError, CudaCallError,
                  ReadOnlyAccessError, EndiannessDetectionError, InvalidShapeError, InvalidVersionError,
                  InvalidCapsuleError, ObjectOwnershipError, InvalidTypestrError, MissingDeleterError,
                  SimpleNamespaceError, UnRegCudaTypeError>(module);
}

}  // namespace caiexcp

namespace cuerrutil {

// The name of a code of the driver, or of the runtime where that is there.
template <class T>
std::string enum_to_string(const T &code) {
#ifdef CAI_HAS_CUDA_RUNTIME
  if constexpr (std::is_same_v<T, cudaError_t>) return cudaGetErrorName(code);
#endif
  return uncopy::driver::name_of_error(static_cast<int>(code));
}

template <class T>
void throw_on_unsuccessful_enum(T result, const char *call, const char *file, int line) {
  const auto code = static_cast<unsigned int>(result);
  if (code == 0) return;
  throw caiexcp::CudaCallError("CUDA error at " + std::string(file) + ":" + std::to_string(line) +
                               " code=" + std::to_string(code) + "(" + enum_to_string(result) + ") \"" + call + "\"");
}

}  // namespace cuerrutil

#define checkCudaErrors(call) cuerrutil::throw_on_unsuccessful_enum((call), #call, __FILE__, __LINE__)

namespace cai {

template <class T>
class cuda_array_t;
template <class T>
class cuda_shared_ptr_holder;

namespace detail {

inline uncopy::stream &work_stream_of_thread() {
  static thread_local uncopy::stream current = uncopy::stream::legacy_default();
  return current;
}

// Runs what may find no driver or fail in it; errors become CudaCallError.
template <class F>
auto with_driver(F &&body) {
  try {
    return body();
  } catch (const uncopy::array_error &error) {
    throw caiexcp::CudaCallError(error.what());
  }
}

// "<" or ">" by the bytes of the number 1.
inline std::string endianness_of(std::uint8_t first_byte, std::uint8_t last_byte) {
  if (first_byte == 1 && last_byte == 0) return "<";
  if (first_byte == 0 && last_byte == 1) return ">";
  throw caiexcp::EndiannessDetectionError(
      "this machine is neither little- nor big-endian: its arrays can't be described");
}

inline std::string determine_endianness() {
  constexpr std::uint32_t one = 1;
  const auto *bytes = reinterpret_cast<const std::uint8_t *>(&one);
  return endianness_of(bytes[0], bytes[sizeof one - 1]);
}

template <class T>
std::string typestr_of() {
  constexpr uncopy::dtype type = uncopy::dtype_of<T>;
  const std::string text = uncopy::typestr_from_dtype(type);
  if (text.empty()) throw caiexcp::InvalidTypestrError("there is no typestr for " + uncopy::name_of(type));
  return type.item_bytes() == 1 ? text : determine_endianness() + text.substr(1);
}

// Frees device memory without the GIL: the driver may wait for the device.
inline void release_device_memory(int device_id, void *memory) noexcept {
#if PY_VERSION_HEX >= 0x030D0000
  const bool ending = Py_IsFinalizing();
#else
  const bool ending = _Py_IsFinalizing();
#endif
  PyThreadState *released = Py_IsInitialized() && !ending && PyGILState_Check() ? PyEval_SaveThread() : nullptr;
  uncopy::driver::release(device_id, memory);
  if (released) PyEval_RestoreThread(released);
}

// The allocation that an address lies in, as start and length; of length 0 where the driver does not say.
inline std::pair<std::uint64_t, std::uint64_t> range_of(const uncopy::driver::scope &in, std::uint64_t address) {
  std::uint64_t start = 0;
  std::size_t length = 0;
  int names[] = {11 /* RANGE_START_ADDR */, 12 /* RANGE_SIZE */};
  void *values[] = {&start, &length};
  if (in.calls().cuPointerGetAttributes(2, names, values, address) != 0) return {0, 0};
  return {start, length};
}

// How many bytes from `first` on are memory that the driver knows, up to `wanted`; allocations that meet count together.
// All of them for a `pointer` whose allocation the driver does not tell.
inline std::uint64_t reachable_bytes(std::uint64_t pointer, std::uint64_t first, std::uint64_t wanted) {
  const uncopy::driver::scope in(uncopy::driver::current_device());
  if (range_of(in, pointer).second == 0) return wanted;
  std::uint64_t reached = 0;
  while (reached < wanted) {
    const auto [start, length] = range_of(in, first + reached);
    if (length == 0 || start + length <= first + reached) break;
    reached = start + length - first;
  }
  return reached < wanted ? reached : wanted;
}

}  // namespace detail

// The stream that functions of this thread work in: arguments are made ready for it.
inline uncopy::stream work_stream() { return detail::work_stream_of_thread(); }

// Sets the work stream of this thread while it lives.
class work_stream_scope {
 public:
  explicit work_stream_scope(uncopy::stream wanted) : before_(std::exchange(detail::work_stream_of_thread(), wanted)) {}
  work_stream_scope(const work_stream_scope &) = delete;
  work_stream_scope &operator=(const work_stream_scope &) = delete;
  ~work_stream_scope() { detail::work_stream_of_thread() = before_; }

 private:
  uncopy::stream before_;
};

// Device memory, or the object that owns it, until the last array that uses it is gone.
template <class T>
class cuda_memory_handle {
 public:
  cuda_memory_handle(const cuda_memory_handle &) = delete;
  cuda_memory_handle &operator=(const cuda_memory_handle &) = delete;
  ~cuda_memory_handle() {
    try {
      deleter_(pointer_);
    } catch (...) {
      // There is nobody to tell: this may be the end of the process, where the driver has gone first.
    }
  }

 protected:
  // With `deleter`, or with the driver's free for memory that the caller allocated on the current device.
  template <class... Args>
  static std::shared_ptr<cuda_memory_handle> make_shared_handle(Args &&...args) {
    return std::shared_ptr<cuda_memory_handle>(new cuda_memory_handle(std::forward<Args>(args)...));
  }

 private:
  explicit cuda_memory_handle(void *pointer) : pointer_(pointer) {
    const int device_id = detail::with_driver([] { return uncopy::driver::current_device(); });
    deleter_ = [device_id](void *memory) { detail::release_device_memory(device_id, memory); };
  }
  cuda_memory_handle(void *pointer, std::function<void(void *)> deleter)
      : pointer_(pointer), deleter_(std::move(deleter)) {
    if (deleter_) return;
    deleter_ = [](void *) {};
    throw caiexcp::MissingDeleterError(
        "device memory was handed over without a deleter: pass one, or one that does nothing");
  }

  void *pointer_;
  std::function<void(void *)> deleter_;

  friend class cuda_array_t<T>;
  friend class CudaArrayInterfaceTest;
  friend class py::detail::type_caster<cuda_array_t<T>>;
};

// An array on a CUDA device, of Python or of C++. Copies share the memory.
template <class T>
class cuda_array_t {
 public:
  // Uninitialised memory on the current device.
  cuda_array_t(std::vector<std::size_t> shape, const bool readonly = false, const int version = 3)
      : shape_(std::move(shape)), typestr_(detail::typestr_of<T>()), readonly_(readonly), version_(version) {
    detail::with_driver([&] {
      const std::size_t bytes = size_in_bytes();
      device_ = uncopy::device::cuda(uncopy::driver::current_device());
      void *memory = uncopy::driver::allocate(device_.id, bytes);
      try {
        handle_ = cuda_memory_handle<T>::make_shared_handle(memory);
      } catch (...) {
        uncopy::driver::release(device_.id, memory);
        throw;
      }
    });
    strides_ = c_strides();
    stream_ = work_stream();
  }

  const std::vector<std::size_t> &get_shape() const & { return shape_; }
  py::dtype get_dtype() const { return py::dtype(typestr_); }
  bool is_readonly() const { return readonly_; }
  int get_version() const { return version_; }
  std::size_t size_of_shape() const {
    return std::accumulate(shape_.begin(), shape_.end(), std::size_t{1}, std::multiplies<>());
  }

  // In elements, one for each axis.
  const std::vector<std::ptrdiff_t> &get_strides() const & { return strides_; }
  bool is_contiguous() const {
    const std::vector<std::ptrdiff_t> packed = c_strides();
    for (std::size_t axis = 0; axis < shape_.size(); ++axis) {
      if (shape_[axis] > 1 && strides_[axis] != packed[axis]) return false;
    }
    return true;
  }
  // Where the memory is: kind cuda, cuda_managed or cuda_host (pinned host memory, which a device reads too), and which.
  uncopy::device get_device() const { return device_; }
  // The stream in which the content is made; none where it is there already.
  std::optional<uncopy::stream> get_stream() const { return stream_; }

  // To write to. Refused for read-only arrays, and for strides, which a pointer can't say.
  T *get_compatible_typed_pointer() {
    need_writable();
    check_dtype();
    need_contiguous();
    return static_cast<T *>(pointer());
  }
  // To read from.
  const T *get_compatible_typed_pointer() const {
    check_dtype();
    need_contiguous();
    return static_cast<const T *>(pointer());
  }
  // The same for who steps by `get_strides()`: the element of index 0 along every axis.
  T *get_strided_typed_pointer() {
    need_writable();
    check_dtype();
    return static_cast<T *>(pointer());
  }
  const T *get_strided_typed_pointer() const {
    check_dtype();
    return static_cast<const T *>(pointer());
  }

 private:
  cuda_array_t() = default;

  void *pointer() const { return handle_->pointer_; }

  std::size_t size_in_bytes() const {
    std::int64_t product = sizeof(T);
    for (std::size_t extent : shape_) {
      const auto most = static_cast<std::size_t>((std::numeric_limits<std::int64_t>::max)());
      if (extent > most || !uncopy::detail::multiply(product, static_cast<std::int64_t>(extent), product)) {
        throw caiexcp::InvalidShapeError("'shape' is larger than any memory");
      }
    }
    return static_cast<std::size_t>(product);
  }

  std::vector<std::ptrdiff_t> c_strides() const {
    std::vector<std::ptrdiff_t> steps(shape_.size());
    std::ptrdiff_t step = 1;
    for (std::size_t axis = shape_.size(); axis-- > 0;) {
      steps[axis] = step;
      step *= static_cast<std::ptrdiff_t>(shape_[axis]);
    }
    return steps;
  }

  void check_dtype() const {
    const auto found = uncopy::dtype_from_typestr(typestr_);
    if (found && *found == uncopy::dtype_of<T>) return;
    const std::string expected = uncopy::name_of(uncopy::dtype_of<T>);
    throw caiexcp::DtypeMismatchError("Mismatching dtypes. Expected " + expected + ", and the array has " +
                                      (found ? uncopy::name_of(*found) : "typestr '" + typestr_ + "'") +
                                      ": convert it with .astype('" + expected + "')");
  }
  void need_writable() const {
    if (readonly_ && !std::is_const_v<T>) {
      throw caiexcp::ReadOnlyAccessError(
          "Attempt to modify a cuda_array_t that is readonly: take it as const, or pass a writable copy");
    }
  }
  void need_contiguous() const {
    if (is_contiguous()) return;
    throw caiexcp::InvalidShapeError(
        "the array has strides, and a plain pointer would lead to wrong elements: pass a contiguous copy, or use "
        "get_strides() and get_strided_typed_pointer()");
  }

  std::shared_ptr<cuda_memory_handle<T>> handle_;
  std::shared_ptr<uncopy::array_owner> python_;  // the object that it was taken from
  std::vector<std::size_t> shape_;
  std::vector<std::ptrdiff_t> strides_;
  std::string typestr_;
  bool readonly_ = false;
  int version_ = 3;
  uncopy::device device_;
  std::optional<uncopy::stream> stream_;

  friend class py::detail::type_caster<cuda_array_t<T>>;
};

// What the capsule of a returned array owns.
template <class T>
class cuda_shared_ptr_holder {
 private:
  explicit cuda_shared_ptr_holder(std::shared_ptr<cuda_memory_handle<T>> held) : held_(std::move(held)) {}
  static cuda_shared_ptr_holder *create(const std::shared_ptr<cuda_memory_handle<T>> &held) {
    return new cuda_shared_ptr_holder(held);
  }

  std::shared_ptr<cuda_memory_handle<T>> held_;

  friend class CudaArrayInterfaceTest;
  friend class py::detail::type_caster<cuda_array_t<T>>;
};

// A byte order, a code of NumPy's, and the bytes of an item.
inline void validate_typestr(const std::string &typestr) {
  if (typestr.size() < 3) throw caiexcp::InvalidTypestrError("Invalid typestr '" + typestr + "': too short");
  if (std::string("<>|").find(typestr[0]) == std::string::npos) {
    throw caiexcp::InvalidTypestrError("Invalid typestr '" + typestr +
                                       "': it begins with no byte order, which is one of < > |");
  }
  if (std::string("tbiufcmMOSUV").find(typestr[1]) == std::string::npos) {
    throw caiexcp::InvalidTypestrError("Invalid typestr '" + typestr + "': there is no type code " + typestr[1]);
  }
  const std::string size = typestr.substr(2);
  const bool is_number = size.find_first_not_of("0123456789") == std::string::npos;
  if (!is_number || size.find_first_not_of('0') == std::string::npos) {
    throw caiexcp::InvalidTypestrError("Invalid typestr '" + typestr + "': its bytes are no number above 0");
  }
}

inline void validate_shape(const std::vector<std::size_t> &shape) {
  if (shape.empty()) throw caiexcp::InvalidShapeError("'shape' cannot be empty");
  for (std::size_t extent : shape) {
    if (extent < 1) throw caiexcp::InvalidShapeError("All elements of 'shape' must be at least 1");
  }
}

// Memory that the CUDA driver knows, on whatever device. Returns which.
inline uncopy::device validate_cuda_ptr(const void *pointer) {
  const uncopy::device found = detail::with_driver([&] {
    return pointer ? uncopy::driver::device_of(pointer) : uncopy::device{0, 0};
  });
  if (found.kind == 0)
    throw caiexcp::UnRegCudaTypeError("Invalid CUDA device pointer: the driver does not know the address");
  return found;
}

template <class T>
void validate_cuda_memory_handle(const std::shared_ptr<cuda_memory_handle<T>> &handle) {
  if (handle.use_count() != 1) {
    throw caiexcp::ObjectOwnershipError("the cuda_memory_handle has " + std::to_string(handle.use_count()) +
                                        " owners, and not one");
  }
}

inline void validate_capsule(const py::capsule &capsule) {
  if (!capsule) throw caiexcp::InvalidCapsuleError("there is no capsule: making it failed");
  const char *name = capsule.name();
  if (!name || std::string(name) != "cuda_memory_capsule") {
    throw caiexcp::InvalidCapsuleError("the capsule is not called cuda_memory_capsule but " +
                                       std::string(name ? name : "nothing"));
  }
}

template <class T>
struct signature {
  static constexpr std::string_view start = std::is_const_v<T> ? "cai::cuda_array_t[const " : "cai::cuda_array_t[";
  static constexpr std::string_view dtype = uncopy::detail::plain_name(uncopy::dtype_of<T>);
  static constexpr std::size_t length = start.size() + dtype.size() + 1;
  static constexpr uncopy::python::characters_of<length> make() {
    uncopy::python::characters_of<length> made;
    std::size_t at = 0;
    for (char one : start) made.characters[at++] = one;
    for (char one : dtype) made.characters[at++] = one;
    made.characters[at] = ']';
    return made;
  }
  static constexpr uncopy::python::characters_of<length> text = make();
};

}  // namespace cai

namespace pybind11 {
namespace detail {

template <class T>
class handle_type_name<cai::cuda_array_t<T>> {
 public:
  static constexpr auto name = descr<cai::signature<T>::length>(cai::signature<T>::text.characters);
};

template <class T>
class type_caster<cai::cuda_array_t<T>> {
 public:
  using type = cai::cuda_array_t<T>;
  PYBIND11_TYPE_CASTER(type, handle_type_name<type>::name);

  type_caster() = default;
  type_caster(const type_caster &) = delete;
  type_caster(type_caster &&other) noexcept
      : value(std::move(other.value)), ordered_(std::exchange(other.ordered_, std::nullopt)) {}
  // The call has ended: the argument's own stream goes on after what it put into the work stream.
  ~type_caster() {
    if (!ordered_) return;
    try {
      uncopy::driver::order(device_id_, cai::work_stream(), *ordered_);
    } catch (...) {
    }
  }

  bool load(handle source, bool convert) {
    try {
      read(reinterpret_borrow<object>(source));
      return true;
    } catch (const caiexcp::BaseError &) {
      // The first pass over several overloads: another one may fit.
      if (!convert) return false;
      throw;
    }
  }

  static handle cast(const type &array, return_value_policy, handle) {
    if (array.python_) return handle(static_cast<PyObject *>(array.python_->python())).inc_ref();
    cai::validate_shape(array.shape_);
    cai::validate_typestr(array.typestr_);
    array.check_dtype();
    cai::validate_cuda_ptr(array.pointer());
    if (array.version_ != 2 && array.version_ != 3) {
      throw caiexcp::InvalidVersionError("a __cuda_array_interface__ of version " + std::to_string(array.version_) +
                                         " can't be made: 2 and 3 can");
    }
    dict interface;
    interface["shape"] = tuple(pybind11::cast(array.shape_));
    interface["typestr"] = array.typestr_;
    interface["data"] = make_tuple(reinterpret_cast<std::uintptr_t>(array.pointer()), array.readonly_);
    interface["version"] = array.version_;
    if (array.version_ == 3) interface["stream"] = array.stream_->raw();
    using holder = cai::cuda_shared_ptr_holder<T>;
    capsule owner(holder::create(array.handle_), "cuda_memory_capsule",
                  [](void *held) { delete static_cast<holder *>(held); });
    cai::validate_capsule(owner);
    object made = make_namespace();
    made.attr("__cuda_array_interface__") = interface;
    made.attr("_capsule") = owner;
    return made.release();
  }

 private:
  static object make_namespace() {
    try {
      return module_::import("types").attr("SimpleNamespace")();
    } catch (const error_already_set &error) {
      throw caiexcp::SimpleNamespaceError(std::string("types.SimpleNamespace can't be made: ") + error.what());
    }
  }

  // In this order, which programs rely on: interface, fields, version, shape, typestr, pointer, ownership, dtype; then what
  // the original did not look at.
  void read(const object &source) {
    if (!hasattr(source, "__cuda_array_interface__")) {
      throw caiexcp::InterfaceNotImplementedError("the " + uncopy::python::type_name(source.ptr()) +
                                                  " does not implement __cuda_array_interface__");
    }
    const object answer = source.attr("__cuda_array_interface__");
    if (!isinstance<dict>(answer)) throw caiexcp::IncompleteInterfaceError("__cuda_array_interface__ is no dictionary");
    const auto interface = reinterpret_borrow<dict>(answer);
    for (const char *field : {"data", "shape", "typestr", "version"}) {
      if (!interface.contains(field)) {
        throw caiexcp::IncompleteInterfaceError(std::string("Mandatory field ") + field +
                                                " is missing from the provided __cuda_array_interface__");
      }
    }
    read_version(interface["version"]);
    read_shape(interface["shape"]);
    read_typestr(interface["typestr"]);
    read_data(interface["data"]);
    value.check_dtype();
    read_strides(interface);
    check_bounds();
    read_stream(interface);
    auto owner = std::make_shared<uncopy::python::detail::python_owner>();
    owner->object = object(source).release().ptr();
    value.python_ = std::move(owner);
  }

  void read_version(handle version) {
    long long number = 0;
    if (!uncopy::python::integer_of(version.ptr(), number) || number != 3) {
      throw caiexcp::InvalidVersionError("Unsupported __cuda_array_interface__ version: " + std::string(str(version)) +
                                         ", not 3");
    }
    value.version_ = 3;
  }

  void read_shape(handle shape) {
    if (!isinstance<tuple>(shape) && !isinstance<list>(shape)) throw caiexcp::InvalidShapeError("'shape' is no tuple");
    for (const handle extent : reinterpret_borrow<sequence>(shape)) {
      long long number = 0;
      if (!uncopy::python::integer_of(extent.ptr(), number) || number < 0) {
        throw caiexcp::InvalidShapeError("'shape' can only contain whole numbers of at least 1, and has " +
                                         std::string(repr(extent)));
      }
      value.shape_.push_back(static_cast<std::size_t>(number));
    }
    cai::validate_shape(value.shape_);
    value.size_in_bytes();
  }

  void read_typestr(handle typestr) {
    if (!isinstance<str>(typestr)) throw caiexcp::InvalidTypestrError("typestr is no text");
    value.typestr_ = typestr.cast<std::string>();
    cai::validate_typestr(value.typestr_);
  }

  void read_data(handle data) {
    unsigned long long address = 0;
    if (!isinstance<tuple>(data) || len(data) != 2)
      throw caiexcp::IncompleteInterfaceError("data is no pair of address and read-only");
    const auto pair = reinterpret_borrow<tuple>(data);
    const object first = pair[0], second = pair[1];
    if (!first.is_none() && !uncopy::python::address_of(first.ptr(), address)) {
      throw caiexcp::UnRegCudaTypeError("the address in data is no whole number");
    }
    auto *pointer = reinterpret_cast<void *>(static_cast<std::uintptr_t>(address));
    value.device_ = cai::validate_cuda_ptr(pointer);
    value.handle_ = cai::cuda_memory_handle<T>::make_shared_handle(pointer, [](void *) {});
    cai::validate_cuda_memory_handle<T>(value.handle_);
    value.readonly_ = second.cast<bool>();
  }

  void read_strides(const dict &interface) {
    if (interface.contains("mask") && !object(interface["mask"]).is_none()) {
      throw caiexcp::InterfaceNotImplementedError(
          "the array has a mask, which would be lost: pass the mask as an array of its own");
    }
    value.strides_ = value.c_strides();
    const object strides = interface.contains("strides") ? object(interface["strides"]) : object(none());
    if (strides.is_none()) return;
    if (!isinstance<sequence>(strides) || len(strides) != value.shape_.size()) {
      throw caiexcp::InvalidShapeError("'strides' does not have one step for each axis");
    }
    std::size_t axis = 0;
    for (const handle step : reinterpret_borrow<sequence>(strides)) {
      long long bytes = 0;
      const bool is_number = uncopy::python::integer_of(step.ptr(), bytes);
      if (!is_number || (value.shape_[axis] > 1 && bytes % static_cast<long long>(sizeof(T)) != 0)) {
        throw caiexcp::InvalidShapeError("'strides' can only contain multiples of the elements' " +
                                         std::to_string(sizeof(T)) + " bytes");
      }
      value.strides_[axis++] = static_cast<std::ptrdiff_t>(bytes / static_cast<long long>(sizeof(T)));
    }
  }

  // Every byte from the lowest element to the highest has to be memory of the driver's.
  void check_bounds() {
    std::int64_t below = 0, above = 0, reach = 0, bytes = 0;
    for (std::size_t axis = 0; axis < value.shape_.size(); ++axis) {
      std::int64_t &end = value.strides_[axis] < 0 ? below : above;
      const bool fits =
          uncopy::detail::multiply(static_cast<std::int64_t>(value.shape_[axis]) - 1, value.strides_[axis], reach) &&
          uncopy::detail::add(end, reach, end);
      if (!fits) throw caiexcp::InvalidShapeError("'shape' and 'strides' lead beyond any memory");
    }
    const auto item = static_cast<std::int64_t>(sizeof(T));
    if (!uncopy::detail::multiply(above - below + 1, item, bytes))
      throw caiexcp::InvalidShapeError("'shape' and 'strides' lead beyond any memory");
    const auto pointer = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(value.pointer()));
    const std::uint64_t first = pointer + static_cast<std::uint64_t>(below * item);
    const auto wanted = static_cast<std::uint64_t>(bytes);
    const std::uint64_t there =
        cai::detail::with_driver([&] { return cai::detail::reachable_bytes(pointer, first, wanted); });
    if (there < wanted) {
      throw caiexcp::InvalidShapeError("'shape' asks for " + std::to_string(wanted) + " bytes, and only " +
                                       std::to_string(there) + " are allocated from the array's address on");
    }
  }

  void read_stream(const dict &interface) {
    const object named = interface.contains("stream") ? object(interface["stream"]) : object(none());
    if (named.is_none()) return;
    unsigned long long number = 0;
    if (!uncopy::python::address_of(named.ptr(), number) || number == 0) {
      throw caiexcp::IncompleteInterfaceError("stream is " + std::string(repr(named)) +
                                              ": it has to be None, 1, 2 or the handle of a stream");
    }
    value.stream_ = uncopy::stream(static_cast<std::uint64_t>(number));
    if (*value.stream_ == cai::work_stream()) return;
    device_id_ = value.device_.id;
    cai::detail::with_driver([&] { uncopy::driver::order(device_id_, *value.stream_, cai::work_stream()); });
    ordered_ = value.stream_;
  }

  std::optional<uncopy::stream> ordered_;
  int device_id_ = 0;
};

}  // namespace detail
}  // namespace pybind11
