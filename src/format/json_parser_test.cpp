#include "format/json_parser.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/limits.h"

namespace grove {
namespace {

// Writes down what it is told, strings and numbers put together again: `{k(a)n(1)s(x)}`.
class Recorder final : public JsonHandler {
 public:
  bool begin_object() override { return note("{"); }
  bool key(TextPart part, std::uint64_t end) override {
    if (part.is_last) ends.push_back(end);
    return append("k(", part);
  }
  bool end_object() override { return note("}"); }
  bool begin_array() override { return note("["); }
  bool end_array() override { return note("]"); }
  bool string(TextPart part) override { return append("s(", part); }
  bool number(TextPart part) override { return append("n(", part); }
  bool boolean() override { return note("b"); }
  bool null() override { return note("0"); }

  std::string events;
  std::vector<std::uint64_t> ends;
  std::size_t part_bytes_max = 0;
  std::size_t stops_at = std::string::npos;

 private:
  bool note(std::string_view event) {
    events += event;
    return events.size() < stops_at;
  }
  bool append(std::string_view open, TextPart part) {
    part_bytes_max = std::max(part_bytes_max, part.text.size());
    if (!std::exchange(is_open_, !part.is_last)) events += open;
    events += part.text;
    return !part.is_last || note(")");
  }

  bool is_open_ = false;
};

std::string fault_text(JsonParser const& parser) {
  if (!parser.fault()) return "stopped";
  constexpr std::string_view kinds[] = {"syntax", "utf8", "depth", "exponent"};
  return fmt::format("{} at {}", kinds[static_cast<std::size_t>(parser.fault()->kind)],
                     parser.fault()->offset);
}

// The events, or the fault; the text comes in a first piece of `first_bytes` and then as fast as it
// may.
std::string parsed(std::string_view text, std::size_t first_bytes = 0) {
  Recorder recorder;
  JsonParser parser(recorder, limits::json_depth_max);
  for (std::size_t next = 0; next < text.size();) {
    std::size_t const wanted = next < first_bytes ? first_bytes - next : text.size() - next;
    std::size_t const bytes = std::min(wanted, JsonParser::piece_bytes_max);
    // What is behind a piece must not matter.
    std::vector<char> const piece(text.begin() + static_cast<std::ptrdiff_t>(next),
                                  text.begin() + static_cast<std::ptrdiff_t>(next + bytes));
    if (!parser.write({piece.data(), piece.size()})) return fault_text(parser);
    next += bytes;
  }
  return parser.finish() ? recorder.events : fault_text(parser);
}

TEST(JsonParser, TellsOfEachKindOfValue) {
  EXPECT_EQ(parsed(R"( {"a":[1,-0,1.5e3,true,false,null,"x"],"":{}} )"),
            "{k(a)[n(1)n(-0)n(1.5e3)bb0s(x)]k(){}}");
  EXPECT_EQ(parsed("1"), "n(1)");
  EXPECT_EQ(parsed("\"\""), "s()");
}

TEST(JsonParser, UnescapesStrings) {
  EXPECT_EQ(parsed(R"(["\"\\\/\b\f\n\r\t\u0041\u00e9\u20ac\ud83d\ude42"])"),
            "[s(\"\\/\b\f\n\r\tAé€🙂)]");
}

TEST(JsonParser, MayBeCutAnywhere) {
  constexpr std::string_view text =
      R"({"k\u20ac":["é€🙂\n\"\\\ud83d\ude42\u0000",-12.5e-3,0,true,false,null],"b":18446744073709551615})";
  std::string const whole = parsed(text);
  EXPECT_TRUE(whole.ends_with("k(b)n(18446744073709551615)}"));
  for (std::size_t cut = 1; cut < text.size(); ++cut) EXPECT_EQ(parsed(text, cut), whole) << cut;
}

// Boost.JSON's buffer would be too small by up to three bytes for what is resumed here.
TEST(JsonParser, ResumesInsideEscapesAndCharactersBeforeTheLongestPiece) {
  std::string const tail(2 * JsonParser::piece_bytes_max, 'x');
  for (std::string_view const begin :
       {"\"\\n\\u20ac", "\"\\n\\ud83d\\ude42", "\"\\n🙂", "\"\\n€", "\"é"}) {
    std::string const text = std::string(begin) + tail + "\"";
    std::string const whole = parsed(text);
    EXPECT_TRUE(whole.ends_with("x)"));
    for (std::size_t cut = 1; cut <= begin.size(); ++cut)
      EXPECT_EQ(parsed(text, cut), whole) << cut;
  }
}

TEST(JsonParser, HandsLongStringsOnInParts) {
  Recorder recorder;
  JsonParser parser(recorder, limits::json_depth_max);
  EXPECT_TRUE(parser.write("[\""));
  std::string const piece(JsonParser::piece_bytes_max, 'x');
  for (int count = 0; count < 100; ++count) EXPECT_TRUE(parser.write(piece));
  EXPECT_TRUE(parser.write("\"]"));
  EXPECT_TRUE(parser.finish());
  EXPECT_EQ(recorder.events.size(), 5 + 100 * piece.size());
  EXPECT_LE(recorder.part_bytes_max, piece.size());
}

TEST(JsonParser, KnowsWhereAKeyEnds) {
  Recorder recorder;
  JsonParser parser(recorder, limits::json_depth_max);
  EXPECT_TRUE(parser.write(R"({"a":1,"bc)"));
  EXPECT_TRUE(parser.write(R"(d":2,"e\n":3 })"));
  EXPECT_EQ(recorder.ends, (std::vector<std::uint64_t>{4, 12, 24}));  // the last is a bound
}

TEST(JsonParser, SaysWhichByteCannotStandThere) {
  EXPECT_EQ(parsed(""), "syntax at 0");
  EXPECT_EQ(parsed("{"), "syntax at 1");
  EXPECT_EQ(parsed("[1"), "syntax at 2");
  EXPECT_EQ(parsed("\"abc"), "syntax at 4");
  EXPECT_EQ(parsed("{}x"), "syntax at 2");
  EXPECT_EQ(parsed("{} {}"), "syntax at 3");
  EXPECT_EQ(parsed("[1,]"), "syntax at 3");
  EXPECT_EQ(parsed("{\"a\":1,}"), "syntax at 7");
  EXPECT_EQ(parsed("[01]"), "syntax at 2");
  EXPECT_EQ(parsed("[1.]"), "syntax at 3");
  EXPECT_EQ(parsed("/**/1"), "syntax at 0");
  EXPECT_EQ(parsed("[NaN]"), "syntax at 1");
  EXPECT_EQ(parsed("\"a\nb\""), "syntax at 2");
  EXPECT_EQ(parsed("\"\\x\""), "syntax at 2");
  EXPECT_EQ(parsed(std::string_view("1\0", 2)), "syntax at 1");
}

TEST(JsonParser, FindsJunkBehindTheValueInALaterPieceToo) {
  EXPECT_EQ(parsed("{} ", 2), "{}");
  EXPECT_EQ(parsed("{}x", 2), "syntax at 2");
}

TEST(JsonParser, RefusesHalfASurrogatePair) {
  EXPECT_EQ(parsed(R"("\ud83d\ude42")"), "s(🙂)");
  for (std::string_view const text : {R"("\ud800")", R"("\ude42")", R"("\ud83dx")", R"("\ud83d\n")",
                                      R"("\ud83d\ud83d")", R"("\ud83d\u0041xxxxxxxxxxxx")"}) {
    EXPECT_EQ(parsed(text).substr(0, 6), "syntax") << text;
  }
}

TEST(JsonParser, RefusesWhatIsNotUtf8) {
  EXPECT_EQ(parsed("\"\u00e9\U0010ffff\""), "s(\u00e9\U0010ffff)");
  for (std::string_view const text :
       {"\"\xff\"", "\"\xc0\xaf\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\x80\"",
        "\"\xe2\x82\"", "\"\xc3\""}) {
    EXPECT_EQ(parsed(text), "utf8 at 1") << text;
  }
  EXPECT_EQ(parsed("\"\\n\xff\""), "utf8 at 3");
  EXPECT_EQ(parsed("[é]"), "syntax at 1");
}

TEST(JsonParser, IsNestedToTheLimitAndNoDeeper) {
  std::string const open(limits::json_depth_max, '[');
  std::string const close(limits::json_depth_max, ']');
  EXPECT_EQ(parsed(open + close), open + close);
  EXPECT_EQ(parsed(open + "{}" + close), fmt::format("depth at {}", open.size()));
}

TEST(JsonParser, TakesNumbersOfAnySizeWithExponentsOf32Bits) {
  std::string const digits(10'000, '9');
  EXPECT_EQ(parsed(digits), "n(" + digits + ")");
  EXPECT_EQ(parsed("0." + digits + "e5"), "n(0." + digits + "e5)");
  EXPECT_EQ(parsed("1e2147483647"), "n(1e2147483647)");
  EXPECT_EQ(parsed("1e2147483648"), "exponent at 11");
  EXPECT_EQ(parsed("1e-2147483647"), "n(1e-2147483647)");
  EXPECT_EQ(parsed("1e-2147483648"), "exponent at 12");
}

TEST(JsonParser, StopsWhereItsHandlerWantsTo) {
  Recorder recorder;
  recorder.stops_at = 3;
  JsonParser parser(recorder, limits::json_depth_max);
  EXPECT_FALSE(parser.write("[[[[]]]]"));
  EXPECT_FALSE(parser.fault());
  EXPECT_EQ(recorder.events, "[[[");
}

}  // namespace
}  // namespace grove
