#include "format/value_type.h"

#include <gtest/gtest.h>

namespace grove {
namespace {

TEST(ValueType, IsWhatTheDtypeSays) {
  EXPECT_EQ(value_type_of("BF16"), ValueType::bf16);
  EXPECT_EQ(value_type_of("F16"), ValueType::f16);
  EXPECT_EQ(value_type_of("U16"), ValueType::i16);
  EXPECT_EQ(value_type_of("F32"), ValueType::f32);
  EXPECT_EQ(value_type_of("C64"), ValueType::f32);
  EXPECT_EQ(value_type_of("I32"), ValueType::i32);
  EXPECT_EQ(value_type_of("F64"), ValueType::f64);
  EXPECT_EQ(value_type_of("U64"), ValueType::i64);
  EXPECT_EQ(value_type_of("F8_E4M3"), ValueType::b8);
  EXPECT_EQ(value_type_of("BOOL"), ValueType::b8);
}

TEST(ValueType, IsUnknownForANameItDoesNotKnow) {
  EXPECT_EQ(value_type_of(""), ValueType::unknown);
  EXPECT_EQ(value_type_of("bf16"), ValueType::unknown);
  EXPECT_EQ(value_type_of("F128"), ValueType::unknown);
}

}  // namespace
}  // namespace grove
