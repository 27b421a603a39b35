// What kind of numbers a chunk holds, as far as its codec cares: how wide they are and where their
// exponent lies. A hint only: a wrong one costs compression, never a byte.
// Not here: the format's own dtypes with their bits (format/header_reader.h).
// Threads: values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace grove {

enum class ValueType : std::uint8_t {
  unknown,  // opaque files, and chunks of several dtypes: the codec looks for itself
  b8,       // numbers of one byte or less, of any kind
  i16,
  i32,
  i64,
  f16,
  bf16,
  f32,
  f64,
};

// The kind of a .safetensors dtype ("BF16"); `unknown` for a name this version does not know.
ValueType value_type_of(std::string_view dtype);

}  // namespace grove
