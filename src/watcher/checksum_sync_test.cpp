#include "watcher/checksum_sync.h"

#include <gtest/gtest.h>

namespace grove {
namespace {

using Worth = ChecksumSync::Worth;
using Ranks = std::set<std::uint32_t>;

TEST(ChecksumSync, AsksAgainOnlyThoseThatDidNotAnswerWhateverDamageOthersHave) {
  ChecksumSync sync({1, 2, 3});
  EXPECT_EQ(sync.take("  1 of 3 workers have re-read their copies"), Worth::nothing);
  EXPECT_EQ(sync.take("  ✓ rank 1 (pi-1): 4 copies re-read, 0 MB, 0 damaged chunks"), Worth::info);
  EXPECT_FALSE(sync.has_found_damage());
  EXPECT_EQ(sync.take("  ✗ rank 2 (pi-2): 4 copies re-read, 0 MB, 1 damaged chunks"),
            Worth::warning);
  EXPECT_TRUE(sync.has_found_damage());
  EXPECT_EQ(sync.take("  ✗ rank 3 was not verified: pi-3: connection refused"), Worth::warning);
  EXPECT_EQ(sync.take("ERROR: 1 damaged chunks; …"), Worth::warning);
  EXPECT_EQ(sync.left(), Ranks{3});
  for (int pass = 0; pass < 2; ++pass) {
    EXPECT_EQ(sync.take("  ✗ rank 3 was not verified: pi-3: no answer within 2 s"), Worth::nothing);
    EXPECT_EQ(sync.take("ERROR: 1/1 workers were not verified"),
              pass == 0 ? Worth::warning : Worth::nothing);
  }
  EXPECT_EQ(sync.take("  ✓ rank 3 (pi-3): 4 copies re-read, 0 MB, 0 damaged chunks"), Worth::info);
  EXPECT_EQ(sync.take("Done: 4 copies re-read on 1 workers, none damaged"), Worth::info);
  EXPECT_TRUE(sync.left().empty());
}

TEST(ChecksumSync, DoesNotWaitForAWorkerThatLeftTheConfig) {
  ChecksumSync sync({1, 2});
  sync.keep_only({2, 5});
  EXPECT_EQ(sync.left(), Ranks{2});
}

TEST(ChecksumSync, PassesOverWhatItDoesNotKnow) {
  ChecksumSync sync({1});
  for (auto const* line : {"", "  ", "✓", "✓ ", "✓ rank", "✗ rank x", "✓ rank -1 (a)", "Do"}) {
    EXPECT_EQ(sync.take(line), Worth::nothing) << line;
  }
  EXPECT_EQ(sync.left(), Ranks{1});
}

}  // namespace
}  // namespace grove
