#include "base/error.h"

#include <string>
#include <type_traits>

#include <gtest/gtest.h>

namespace grove {
namespace {

Result<int> half(int number) {
  if (number % 2 != 0) return fail(ErrorKind::invalid, "{} is odd", number);
  return number / 2;
}

Result<int> quarter(int number) {
  TRY(auto const once, half(number));
  return half(once);
}

TEST(Error, KeepsItsKindThroughItsName) {
  for (int kind = 0; kind <= static_cast<int>(ErrorKind::internal); ++kind) {
    EXPECT_EQ(parse_error_kind(to_string(static_cast<ErrorKind>(kind))),
              static_cast<ErrorKind>(kind));
  }
  EXPECT_EQ(to_string(ErrorKind::not_found), "not_found");
}

TEST(Error, TakesAnUnknownKindForInternal) {
  EXPECT_EQ(parse_error_kind("teapot"), ErrorKind::internal);
  EXPECT_EQ(parse_error_kind(""), ErrorKind::internal);
}

TEST(Error, IsRetriedOnlyWhenUnavailable) {
  EXPECT_TRUE(is_retryable(ErrorKind::unavailable));
  EXPECT_FALSE(is_retryable(ErrorKind::corrupt));
  EXPECT_FALSE(is_retryable(ErrorKind::exhausted));
}

TEST(Error, TravelsThroughTry) {
  EXPECT_EQ(quarter(12).value(), 3);
  EXPECT_EQ(quarter(6).error(), (Error{ErrorKind::invalid, "3 is odd"}));
}

TEST(Printable, LeavesTextAlone) {
  EXPECT_EQ(printable("run1/step_100 — ✓ ü 𝄞"), "run1/step_100 — ✓ ü 𝄞");
  EXPECT_EQ(printable(""), "");
}

TEST(Printable, KeepsEverythingOnOneLineWithoutControlCharacters) {
  EXPECT_EQ(printable("a\nb\t\x1b[2J\x7f"), "a\\x0ab\\x09\\x1b[2J\\x7f");
  EXPECT_EQ(printable(std::string_view("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m"),
            "\\xc2\\x9b31m");                    // C1's CSI
  EXPECT_EQ(printable("\xc2\xa0"), "\xc2\xa0");  // the first one after C1
}

TEST(Printable, WritesOutWhatIsNotUtf8) {
  EXPECT_EQ(printable("\xff"), "\\xff");
  EXPECT_EQ(printable("\xc0\x80"), "\\xc0\\x80");           // over-long
  EXPECT_EQ(printable("\xe0\x9f\xbf"), "\\xe0\\x9f\\xbf");  // over-long
  EXPECT_EQ(printable("\xe0\xa0\x80"), "\xe0\xa0\x80");
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // a surrogate
  EXPECT_EQ(printable("\xed\x9f\xbf"), "\xed\x9f\xbf");
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80");  // above U+10FFFF
  EXPECT_EQ(printable("\xf4\x8f\xbf\xbf"), "\xf4\x8f\xbf\xbf");
  EXPECT_EQ(printable("\xe2\x9c"), "\\xe2\\x9c");  // cut off
}

TEST(AssertDeathTest, StopsTheProgramAndSaysWhere) {
  EXPECT_DEATH(GROVE_ASSERT(1 == 2), "error_test.cpp:[0-9]+: 1 == 2 does not hold");
  GROVE_ASSERT(1 == 1);
}

}  // namespace
}  // namespace grove
