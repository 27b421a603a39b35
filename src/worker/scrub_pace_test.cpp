#include "worker/scrub_pace.h"

#include <gtest/gtest.h>

#include "base/limits.h"

namespace grove {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

std::function<bool()> const always = [] { return true; };

TEST(ScrubPace, ReadsNoFasterThanItsLimitAndNoSlowerForSmallChunks) {
  TransferActivity const transfers;
  ScrubPace pace(transfers, always);
  ScrubReport report;
  auto const began = Clock::now();
  for (int chunk = 0; chunk < 100; ++chunk) {
    EXPECT_TRUE(pace.wait_for_turn(report));
    report.bytes_read += 1;
  }
  EXPECT_LT(Clock::now() - began, 50ms);
  report.bytes_read += limits::scrub_bytes_per_second / 10;
  EXPECT_TRUE(pace.wait_for_turn(report));
  EXPECT_GE(Clock::now() - began, 100ms);
}

TEST(ScrubPace, WaitsWhileChunksMove) {
  TransferActivity transfers;
  ScrubPace pace(transfers, always);
  transfers.note();
  auto const began = Clock::now();
  EXPECT_TRUE(pace.wait_for_turn({}));
  EXPECT_GE(Clock::now() - began, limits::scrub_quiet);
  EXPECT_LT(Clock::now() - began, limits::scrub_busy_pause);
}

TEST(ScrubPace, WaitsForNoTransferNearItsDeadline) {
  TransferActivity transfers;
  ScrubPace pace(transfers, always);
  transfers.note();
  auto const began = Clock::now();
  EXPECT_TRUE(pace.wait_for_turn({}, ScrubPace::Haste::near_deadline));
  EXPECT_LT(Clock::now() - began, limits::scrub_quiet);
}

TEST(ScrubPace, EndsAtOnceWhenNobodyWantsTheScrub) {
  TransferActivity const transfers;
  std::function<bool()> const never = [] { return false; };
  ScrubPace pace(transfers, never);
  ScrubReport report;
  report.bytes_read = 1000 * limits::scrub_bytes_per_second;
  EXPECT_FALSE(pace.wait_for_turn(report));
}

}  // namespace
}  // namespace grove
