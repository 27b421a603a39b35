#include "format/text.h"

#include <string>

#include <gtest/gtest.h>

namespace grove {
namespace {

using namespace std::string_literals;

TEST(Text, AcceptsWellFormedUtf8) {
  EXPECT_TRUE(is_plain_text(""));
  EXPECT_TRUE(is_plain_text("run 1/schöner Schritt/模型/🙂"));
  EXPECT_TRUE(is_plain_text("\xed\x9f\xbf"));      // U+D7FF, before the surrogates
  EXPECT_TRUE(is_plain_text("\xee\x80\x80"));      // U+E000, after them
  EXPECT_TRUE(is_plain_text("\xf4\x8f\xbf\xbf"));  // U+10FFFF, the last
  EXPECT_TRUE(is_plain_text("\xc2\xa0"));          // U+00A0, after the C1 controls
}

TEST(Text, RefusesWhatIsNotUtf8) {
  EXPECT_FALSE(is_plain_text("\x80"));
  EXPECT_FALSE(is_plain_text("\xff"));
  EXPECT_FALSE(is_plain_text("\xc0\xaf"));          // "/" written over-long
  EXPECT_FALSE(is_plain_text("\xe0\x80\xaf"));      // likewise
  EXPECT_FALSE(is_plain_text("\xf0\x80\x80\xaf"));  // likewise
  EXPECT_FALSE(is_plain_text("\xed\xa0\x80"));      // U+D800, a surrogate
  EXPECT_FALSE(is_plain_text("\xed\xbf\xbf"));      // U+DFFF, the last one
  EXPECT_FALSE(is_plain_text("\xf4\x90\x80\x80"));  // U+110000
  EXPECT_FALSE(is_plain_text("\xe6\xa8"));          // cut off
  EXPECT_FALSE(is_plain_text("\xe6\xa8z"));
}

TEST(Text, RefusesControlCharacters) {
  EXPECT_FALSE(is_plain_text("a\0b"s));
  EXPECT_FALSE(is_plain_text("a\nb"));
  EXPECT_FALSE(is_plain_text("a\x1b[2J"));
  EXPECT_FALSE(is_plain_text("a\x7f"));
  EXPECT_FALSE(is_plain_text("\xc2\x80"));  // U+0080, the first of C1
  EXPECT_FALSE(is_plain_text("\xc2\x9f"));  // U+009F, the last
}

TEST(Text, IsQuotedSoThatItCannotBreakALine) {
  EXPECT_EQ(shown("a.b"), R"("a.b")");
  EXPECT_EQ(shown("模型"), R"("模型")");
  EXPECT_EQ(shown("a\"b\\c"), R"("a\"b\\c")");
  EXPECT_EQ(shown("a\nb\x1b[2J\x7f"), R"("a\x0ab\x1b[2J\x7f")");
  EXPECT_EQ(shown("\xff\xc2\x9b"), R"("\xff\xc2\x9b")");
}

TEST(Text, IsCutWhenLongAndNeverInsideACharacter) {
  EXPECT_EQ(shown(std::string(100, 'x')), '"' + std::string(100, 'x') + '"');
  EXPECT_EQ(shown(std::string(101, 'x')), '"' + std::string(100, 'x') + "…\"");
  EXPECT_EQ(shown(std::string(99, 'x') + "ö"), '"' + std::string(99, 'x') + "…\"");
}

}  // namespace
}  // namespace grove
