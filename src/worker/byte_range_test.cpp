#include "worker/byte_range.h"

#include <gtest/gtest.h>

namespace grove {
namespace {

ByteRange range_of(std::string_view header, std::uint64_t size) {
  auto const answer = parse_range(header, size);
  auto const* range = std::get_if<ByteRange>(&answer);
  EXPECT_NE(range, nullptr) << header;
  return range == nullptr ? ByteRange{} : *range;
}

TEST(ByteRange, UnderstandsTheThreeForms) {
  EXPECT_EQ(range_of("bytes=0-0", 10), (ByteRange{0, 1}));
  EXPECT_EQ(range_of("bytes=2-5", 10), (ByteRange{2, 6}));
  EXPECT_EQ(range_of("bytes=9-", 10), (ByteRange{9, 10}));
  EXPECT_EQ(range_of("bytes=-3", 10), (ByteRange{7, 10}));
}

TEST(ByteRange, IsCutToTheContent) {
  EXPECT_EQ(range_of("bytes=5-10", 10), (ByteRange{5, 10}));
  EXPECT_EQ(range_of("bytes=5-99999999999999999999999", 10), (ByteRange{5, 10}));
  EXPECT_EQ(range_of("bytes=-11", 10), (ByteRange{0, 10}));
}

TEST(ByteRange, BehindTheContentCannotBeSatisfied) {
  for (auto const* header :
       {"bytes=10-", "bytes=10-12", "bytes=-0", "bytes=99999999999999999999999-"}) {
    EXPECT_TRUE(std::holds_alternative<UnsatisfiableRange>(parse_range(header, 10))) << header;
  }
  EXPECT_TRUE(std::holds_alternative<UnsatisfiableRange>(parse_range("bytes=0-", 0)));
  EXPECT_TRUE(std::holds_alternative<UnsatisfiableRange>(parse_range("bytes=-5", 0)));
}

TEST(ByteRange, IgnoresWhatItNeedNotUnderstand) {
  for (auto const* header : {"", "lines=0-1", "bytes=", "bytes=-", "bytes=5-2", "bytes=0-1,4-5",
                             "bytes=a-b", "bytes= 0-1", "bytes=+1-2", "bytes=1", "bytes=x-5"}) {
    EXPECT_TRUE(std::holds_alternative<WholeContent>(parse_range(header, 10))) << header;
  }
}

TEST(ByteRange, IsNamedInTheAnswer) {
  EXPECT_EQ(content_range(ByteRange{0, 100}, 1234), "bytes 0-99/1234");
  EXPECT_EQ(content_range(UnsatisfiableRange{}, 1234), "bytes */1234");
}

}  // namespace
}  // namespace grove
