#include "format/value_type.h"

#include <algorithm>
#include <array>

namespace grove {
namespace {

struct NamedType {
  std::string_view dtype;
  ValueType type;
};

// Packed numbers of 4 and 6 bits are looked at byte by byte; a complex number is two floats.
constexpr std::array<NamedType, 22> named_types{{
    {"BOOL", ValueType::b8},        {"F4", ValueType::b8},          {"F6_E2M3", ValueType::b8},
    {"F6_E3M2", ValueType::b8},     {"U8", ValueType::b8},          {"I8", ValueType::b8},
    {"F8_E5M2", ValueType::b8},     {"F8_E4M3", ValueType::b8},     {"F8_E8M0", ValueType::b8},
    {"F8_E4M3FNUZ", ValueType::b8}, {"F8_E5M2FNUZ", ValueType::b8}, {"I16", ValueType::i16},
    {"U16", ValueType::i16},        {"F16", ValueType::f16},        {"BF16", ValueType::bf16},
    {"I32", ValueType::i32},        {"U32", ValueType::i32},        {"F32", ValueType::f32},
    {"C64", ValueType::f32},        {"F64", ValueType::f64},        {"I64", ValueType::i64},
    {"U64", ValueType::i64},
}};

}  // namespace

ValueType value_type_of(std::string_view dtype) {
  auto const* const found = std::ranges::find(named_types, dtype, &NamedType::dtype);
  return found == named_types.end() ? ValueType::unknown : found->type;
}

}  // namespace grove
