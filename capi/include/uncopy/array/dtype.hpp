// SPDX-License-Identifier: MIT OR Apache-2.0
// What one item of an array is: DLPack's type code, bits and lanes; its name, typestr and C++ type.
//
// Codes are numbers, not an enum: newer headers hand out others, and such an item stays a value that can be shown.
// Byte order is the machine's own, little-endian: typestrs and formats of another order are refused by their readers.
#pragma once

#include <complex>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

namespace uncopy {

// The layout of DLPack's DLDataType.
struct dtype {
  std::uint8_t code = 0;
  std::uint8_t bits = 0;
  std::uint16_t lanes = 1;

  friend constexpr bool operator==(dtype a, dtype b) noexcept {
    return a.code == b.code && a.bits == b.bits && a.lanes == b.lanes;
  }
  friend constexpr bool operator!=(dtype a, dtype b) noexcept { return !(a == b); }

  // Bytes of one item; 0 for items that are not whole bytes.
  constexpr std::size_t item_bytes() const noexcept {
    const std::size_t all = std::size_t{bits} * lanes;
    return all % 8 == 0 ? all / 8 : 0;
  }
};

namespace dtypes {
inline constexpr dtype boolean{6, 8, 1};
inline constexpr dtype int8{0, 8, 1}, int16{0, 16, 1}, int32{0, 32, 1}, int64{0, 64, 1};
inline constexpr dtype uint8{1, 8, 1}, uint16{1, 16, 1}, uint32{1, 32, 1}, uint64{1, 64, 1};
inline constexpr dtype float16{2, 16, 1}, float32{2, 32, 1}, float64{2, 64, 1}, bfloat16{4, 16, 1};
inline constexpr dtype complex32{5, 32, 1}, complex64{5, 64, 1}, complex128{5, 128, 1};
inline constexpr dtype float8_e4m3fn{10, 8, 1}, float8_e5m2{12, 8, 1}, float8_e8m0fnu{14, 8, 1};
}  // namespace dtypes

namespace detail {

struct named_dtype {
  dtype type;
  std::string_view name;
  std::string_view typestr;  // without the byte order; empty where NumPy has none
};

inline constexpr named_dtype named_dtypes[] = {
    {{6, 8, 1}, "bool", "b1"},
    {{0, 1, 1}, "int1", {}},
    {{0, 2, 1}, "int2", {}},
    {{0, 4, 1}, "int4", {}},
    {{0, 8, 1}, "int8", "i1"},
    {{0, 16, 1}, "int16", "i2"},
    {{0, 32, 1}, "int32", "i4"},
    {{0, 64, 1}, "int64", "i8"},
    {{1, 1, 1}, "uint1", {}},
    {{1, 2, 1}, "uint2", {}},
    {{1, 4, 1}, "uint4", {}},
    {{1, 8, 1}, "uint8", "u1"},
    {{1, 16, 1}, "uint16", "u2"},
    {{1, 32, 1}, "uint32", "u4"},
    {{1, 64, 1}, "uint64", "u8"},
    {{2, 16, 1}, "float16", "f2"},
    {{2, 32, 1}, "float32", "f4"},
    {{2, 64, 1}, "float64", "f8"},
    {{4, 16, 1}, "bfloat16", {}},
    {{5, 32, 1}, "complex32", {}},
    {{5, 64, 1}, "complex64", "c8"},
    {{5, 128, 1}, "complex128", "c16"},
    {{7, 8, 1}, "float8_e3m4", {}},
    {{8, 8, 1}, "float8_e4m3", {}},
    {{9, 8, 1}, "float8_e4m3b11fnuz", {}},
    {{10, 8, 1}, "float8_e4m3fn", {}},
    {{11, 8, 1}, "float8_e4m3fnuz", {}},
    {{12, 8, 1}, "float8_e5m2", {}},
    {{13, 8, 1}, "float8_e5m2fnuz", {}},
    {{14, 8, 1}, "float8_e8m0fnu", {}},
    {{15, 6, 1}, "float6_e2m3fn", {}},
    {{16, 6, 1}, "float6_e3m2fn", {}},
    {{17, 4, 1}, "float4_e2m1fn", {}},
    {{3, 32, 1}, "handle32", {}},
    {{3, 64, 1}, "handle64", {}},
};

constexpr const named_dtype *find_named(dtype type) noexcept {
  for (const named_dtype &known : named_dtypes) {
    if (known.type == type) return &known;
  }
  return nullptr;
}

constexpr std::string_view plain_name(dtype type) noexcept {
  const named_dtype *known = find_named(type);
  return known ? known->name : std::string_view("?");
}

}  // namespace detail

// "float32", "float32x4" for lanes, and "dtype(18, 32, 1)" (code, bits, lanes) for what has no name.
inline std::string name_of(dtype type) {
  if (const auto *known = detail::find_named({type.code, type.bits, 1})) {
    std::string name(known->name);
    return type.lanes == 1 ? name : name + "x" + std::to_string(type.lanes);
  }
  return "dtype(" + std::to_string(type.code) + ", " + std::to_string(type.bits) + ", " + std::to_string(type.lanes) +
         ")";
}

inline std::optional<dtype> dtype_from_name(std::string_view name) noexcept {
  for (const auto &known : detail::named_dtypes) {
    if (known.name == name) return known.type;
  }
  return std::nullopt;
}

// "<f4", "|u1"; empty for dtypes that have no typestr.
inline std::string typestr_from_dtype(dtype type) {
  const auto *known = detail::find_named(type);
  if (!known || known->typestr.empty()) return {};
  return std::string(type.item_bytes() == 1 ? "|" : "<") + std::string(known->typestr);
}

// Reads a typestr of this machine's byte order; nothing for others, and for what is no number.
inline std::optional<dtype> dtype_from_typestr(std::string_view text) noexcept {
  if (text.size() < 3) return std::nullopt;
  const char order = text[0];
  for (const auto &known : detail::named_dtypes) {
    if (known.typestr.empty() || known.typestr != text.substr(1)) continue;
    const bool native = order == '<' || order == '=';
    const bool fits = known.type.item_bytes() == 1 ? native || order == '|' || order == '>' : native;
    return fits ? std::optional<dtype>(known.type) : std::nullopt;
  }
  return std::nullopt;
}

// Bit patterns of the floats that C++17 has no type for: to be passed on or reinterpreted, never computed with.
struct float16 {
  std::uint16_t bits;
};
struct bfloat16 {
  std::uint16_t bits;
};
struct float8_e4m3fn {
  std::uint8_t bits;
};
struct float8_e5m2 {
  std::uint8_t bits;
};

// The dtype of a C++ type. Specialise it for a type of your own that has the same bits, for example `__half`:
//
//     template <> struct uncopy::element<__half> : uncopy::element<uncopy::float16> {};
template <class T, class = void>
struct element;

template <class T>
struct element<T, std::enable_if_t<std::is_integral_v<T> && !std::is_same_v<T, bool> && !std::is_same_v<T, wchar_t> &&
                                   !std::is_same_v<T, char16_t> && !std::is_same_v<T, char32_t>>> {
  static constexpr dtype type{std::uint8_t(std::is_signed_v<T> ? 0 : 1), std::uint8_t(8 * sizeof(T)), 1};
};
template <class T>
struct element<T, std::enable_if_t<std::is_floating_point_v<T> && (sizeof(T) <= 8)>> {
  static constexpr dtype type{2, std::uint8_t(8 * sizeof(T)), 1};
};
template <class T>
struct element<std::complex<T>, std::enable_if_t<std::is_floating_point_v<T> && (sizeof(T) <= 8)>> {
  static constexpr dtype type{5, std::uint8_t(16 * sizeof(T)), 1};
};
template <>
struct element<bool> {
  static constexpr dtype type = dtypes::boolean;
};
template <>
struct element<float16> {
  static constexpr dtype type = dtypes::float16;
};
template <>
struct element<bfloat16> {
  static constexpr dtype type = dtypes::bfloat16;
};
template <>
struct element<float8_e4m3fn> {
  static constexpr dtype type = dtypes::float8_e4m3fn;
};
template <>
struct element<float8_e5m2> {
  static constexpr dtype type = dtypes::float8_e5m2;
};

template <class T>
inline constexpr dtype dtype_of = element<std::remove_cv_t<T>>::type;

}  // namespace uncopy
