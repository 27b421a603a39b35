#include "format/canonical_json.h"

#include <string>
#include <string_view>

#include <gtest/gtest.h>

namespace grove {
namespace {

CanonicalReader reader_of(std::string_view text) {
  return CanonicalReader(std::as_bytes(std::span(text)), "document");
}

TEST(CanonicalString, IsReadBackAsItWas) {
  for (std::string_view const text : {"", "a", "\"", "\\", "\\\"", "模型🙂", "a/b"}) {
    std::string const json = canonical_string(text);
    auto reader = reader_of(json);
    EXPECT_EQ(reader.string().value(), text);
    EXPECT_TRUE(reader.end().has_value());
  }
}

TEST(CanonicalString, RefusesOtherSpellings) {
  for (std::string_view const json : {"", "a", "\"", "\"a", "\"\\", "\"\\\"", "\"\\n\"", "\"\\/\"",
                                      "\"\\u0061\"", "\"\n\"", "\"\xff\"", "\"\x7f\""}) {
    EXPECT_TRUE(reader_of(json).string().has_error()) << json;
  }
}

TEST(CanonicalReader, SaysWhatItExpectedAndWhere) {
  auto reader = reader_of("{\"a\":x");
  EXPECT_TRUE(reader.expect("{\"a\":").has_value());
  EXPECT_EQ(reader.unsigned_integer(9).error(),
            (Error{ErrorKind::invalid,
                   "document: expected an integer within 0 and 9 at byte 5, found \"x\""}));
  EXPECT_EQ(reader_of("").digest().error().message,
            "document: expected \" at byte 0, found the end");
}

TEST(CanonicalReader, BoundsIntegers) {
  EXPECT_EQ(reader_of("9").unsigned_integer(9).value(), 9u);
  EXPECT_TRUE(reader_of("10").unsigned_integer(9).has_error());
  EXPECT_EQ(reader_of("-9223372036854775808").integer().value(), INT64_MIN);
  EXPECT_TRUE(reader_of("-9223372036854775809").integer().has_error());
}

TEST(CanonicalReader, ReadsDigests) {
  std::string const hex = sha256("x").hex();
  EXPECT_EQ(reader_of("\"" + hex + "\"").digest().value(), sha256("x"));
  EXPECT_TRUE(reader_of("\"" + hex + "0\"").digest().has_error());
  EXPECT_TRUE(reader_of("\"" + hex.substr(1) + "\"").digest().has_error());
}

}  // namespace
}  // namespace grove
