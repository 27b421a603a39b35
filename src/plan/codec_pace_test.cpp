#include "plan/codec_pace.h"

#include <gtest/gtest.h>

#include "base/limits.h"

namespace grove {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t chunk = limits::chunk_bytes_max;

class CodecPaceTest : public testing::Test {
 protected:
  // One chunk after the other, `bytes_per_second` over the link.
  void send(std::size_t count, double bytes_per_second) {
    for (std::size_t i = 0; i < count; ++i) {
      pace_.send_began(now_);
      now_ += std::chrono::nanoseconds(
          static_cast<std::int64_t>(1e9 * static_cast<double>(chunk) / bytes_per_second));
      pace_.send_ended(chunk, now_);
    }
  }
  void encode(double bytes_per_second) {
    pace_.encoded(chunk, CodecPace::Seconds(static_cast<double>(chunk) / bytes_per_second));
  }
  std::size_t encoded_of(std::size_t count) {
    std::size_t encoded = 0;
    for (std::size_t i = 0; i < count; ++i) encoded += pace_.encodes_next() ? 1 : 0;
    return encoded;
  }

  CodecPace pace_;
  CodecPace::TimePoint now_{1h};
};

TEST_F(CodecPaceTest, EncodesUntilBothSpeedsAreKnown) {
  EXPECT_TRUE(pace_.encodes_next());
  encode(1e6);
  EXPECT_TRUE(pace_.encodes_next());
  send(1, 1e9);
  EXPECT_FALSE(pace_.encodes_next());
}

TEST_F(CodecPaceTest, EncodesWhereTheCodecIsTwiceAsFastAsTheLink) {
  encode(1.0e9);
  send(1, 0.49e9);
  EXPECT_EQ(encoded_of(1000), 1000u);
}

TEST_F(CodecPaceTest, LooksNowAndThenWhereTheCodecIsNotTwiceAsFast) {
  encode(1.0e9);
  send(1, 0.51e9);
  EXPECT_EQ(encoded_of(640), 10u);
}

TEST_F(CodecPaceTest, FollowsALinkThatBecomesSlow) {
  encode(1.0e9);
  send(100, 1e9);
  EXPECT_FALSE(pace_.encodes_next());
  send(20, 12e6);
  EXPECT_TRUE(pace_.encodes_next());
}

TEST_F(CodecPaceTest, FollowsACodecThatBecomesSlow) {
  send(4, 118e6);
  encode(1e9);
  EXPECT_TRUE(pace_.encodes_next());
  for (int i = 0; i < 20; ++i) encode(0.1e9);
  EXPECT_FALSE(pace_.encodes_next());
}

TEST_F(CodecPaceTest, CountsTheTimeOfSendsThatOverlapOnce) {
  encode(1.0e9);
  // Two at a time, each at 300 MB/s: the link takes 600 MB/s, more than half of the codec's speed.
  for (int i = 0; i < 8; ++i) {
    pace_.send_began(now_);
    pace_.send_began(now_);
    now_ += 14ms;  // 4 MiB at 300 MB/s
    pace_.send_ended(chunk, now_);
    pace_.send_ended(chunk, now_);
  }
  EXPECT_FALSE(pace_.encodes_next());
}

TEST_F(CodecPaceTest, CountsNoTimeInWhichNothingWasOnItsWay) {
  encode(1.0e9);
  send(1, 1e9);
  now_ += 1h;
  send(1, 1e9);
  EXPECT_FALSE(pace_.encodes_next());
}

TEST_F(CodecPaceTest, TakesAFailedSendForASlowOne) {
  encode(1.0e9);
  send(4, 0.6e9);
  EXPECT_FALSE(pace_.encodes_next());
  pace_.send_began(now_);
  pace_.send_ended(0, now_ + 4s);
  EXPECT_TRUE(pace_.encodes_next());
}

}  // namespace
}  // namespace grove
