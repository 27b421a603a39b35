#include "format/canonical_json.h"

#include <string>
#include <string_view>

#include <gtest/gtest.h>

#include "base/bytes.h"

namespace grove {
namespace {

CanonicalReader reading(std::string_view text) {
  return CanonicalReader(bytes_of(text), "document");
}

TEST(CanonicalString, IsReadBackAsItWas) {
  for (std::string_view const text : {"", "a", "\"", "\\", "\\\"", "模型🙂", "a/b"}) {
    std::string const json = canonical_string(text);
    auto reader = reading(json);
    EXPECT_EQ(reader.string().value(), text);
    EXPECT_TRUE(reader.end().has_value());
  }
}

TEST(CanonicalString, RefusesOtherSpellings) {
  for (std::string_view const json : {"", "a", "\"", "\"a", "\"\\", "\"\\\"", "\"\\n\"", "\"\\/\"",
                                      "\"\\u0061\"", "\"\n\"", "\"\xff\"", "\"\x7f\""}) {
    EXPECT_TRUE(reading(json).string().has_error()) << json;
  }
}

TEST(CanonicalReader, SaysWhatItExpectedAndWhere) {
  auto reader = reading("{\"a\":x");
  EXPECT_TRUE(reader.expect("{\"a\":").has_value());
  EXPECT_EQ(reader.unsigned_integer(9).error(),
            (Error{ErrorKind::invalid,
                   "document: expected an integer within 0 and 9 at byte 5, found \"x\""}));
  EXPECT_EQ(reading("").digest().error().message, "document: expected \" at byte 0, found the end");
}

TEST(CanonicalReader, BoundsIntegers) {
  EXPECT_EQ(reading("9").unsigned_integer(9).value(), 9u);
  EXPECT_TRUE(reading("10").unsigned_integer(9).has_error());
  EXPECT_EQ(reading("-9223372036854775808").integer().value(), INT64_MIN);
  EXPECT_TRUE(reading("-9223372036854775809").integer().has_error());
}

TEST(CanonicalReader, ReadsDigests) {
  std::string const hex = sha256("x").hex();
  EXPECT_EQ(reading("\"" + hex + "\"").digest().value(), sha256("x"));
  EXPECT_TRUE(reading("\"" + hex + "0\"").digest().has_error());
  EXPECT_TRUE(reading("\"" + hex.substr(1) + "\"").digest().has_error());
}

}  // namespace
}  // namespace grove
