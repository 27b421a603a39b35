#include "net/url.h"

#include <gtest/gtest.h>

namespace grove {
namespace {

TEST(PercentEncode, LeavesOnlyUnreservedCharacters) {
  EXPECT_EQ(percent_encode("run1/step_100/a b+c~é"), "run1%2Fstep_100%2Fa%20b%2Bc~%C3%A9");
}

TEST(PercentDecode, UndoesTheEncoding) {
  std::string every;
  for (int c = 0; c < 256; ++c) every += static_cast<char>(c);
  EXPECT_EQ(percent_decode(percent_encode(every)).value(), every);
}

TEST(PercentDecode, RefusesBrokenEscapes) {
  for (auto const* text : {"%", "%1", "%zz", "a%2", "%%41"}) {
    EXPECT_EQ(percent_decode(text).error().kind, ErrorKind::invalid) << text;
  }
}

TEST(ParseTarget, SplitsPathAndParameters) {
  auto const target = parse_target("/a%20b?x=1&y=a%26b&&empty&z=p+q%2B").value();
  EXPECT_EQ(target.path, "/a%20b");
  EXPECT_EQ(target.param("x"), "1");
  EXPECT_EQ(target.param("y"), "a&b");
  EXPECT_EQ(target.param("empty"), "");
  EXPECT_EQ(target.param("z"), "p q+");
  EXPECT_EQ(target.param("none"), std::nullopt);
}

TEST(ParseTarget, TakesCharactersThatShouldHaveBeenEncoded) {
  auto const target = parse_target("/x?p=/a/[1]|\"{}").value();
  EXPECT_EQ(target.param("p"), "/a/[1]|\"{}");
}

TEST(ParseTarget, RefusesWhatIsNoPath) {
  for (auto const* text : {"", "*", "x", "http://a/b", "/a#b", "/%", "/a?b=%f", "/a?%=1"}) {
    EXPECT_EQ(parse_target(text).error().kind, ErrorKind::invalid) << text;
  }
}

TEST(ParseHost, DropsPortBracketsAndCase) {
  EXPECT_EQ(parse_host("Pi4-1:8000").value(), "pi4-1");
  EXPECT_EQ(parse_host("pi4-1.").value(), "pi4-1");
  EXPECT_EQ(parse_host("[FE80::1]:80").value(), "fe80::1");
  EXPECT_EQ(parse_host("[::1]").value(), "::1");
}

TEST(ParseHost, RefusesWhatIsNoHost) {
  for (auto const* text : {"", ":80", "a:b", "a:1:2", "[::1", "[]", "[::1]x", "a:999999", "."}) {
    EXPECT_FALSE(parse_host(text)) << text;
  }
}

TEST(JoinHostPort, PutsBracketsRoundIpv6) {
  EXPECT_EQ(join_host_port("192.168.1.3", 5003), "192.168.1.3:5003");
  EXPECT_EQ(join_host_port("::1", 5003), "[::1]:5003");
}

}  // namespace
}  // namespace grove
