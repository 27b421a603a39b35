#include "coordinator/job_lines.h"

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include "base/limits.h"
#include "format/test_key.h"

namespace grove {
namespace {

using namespace std::chrono_literals;

CheckpointKey const step_100 = key_of("run1/step_100/model.safetensors");
constexpr std::string_view refused = "pi4-3 (192.168.1.3:5003): connection refused";

TEST(JobLines, SayWhatWasSentAndWhatThatSaved) {
  constexpr auto mib = limits::mib;
  EXPECT_EQ(
      lines::sent_bytes({.sent_bytes = 3 * mib,
                         .present_bytes = mib / 2,
                         .encoding_saved_bytes = 2 * mib,
                         .deltas_saved_bytes = 4 * mib},
                        10 * mib),
      "  sent 3.0 MB for 10.0 MB: 0.5 MB were there already, compression saved 2.0 MB, deltas "
      "saved 4.0 MB");
  EXPECT_EQ(
      lines::sent_bytes({.sent_bytes = 10 * mib, .encoding_saved_bytes = mib / 100}, 10 * mib),
      "  sent 10.0 MB for 10.0 MB");
}

TEST(JobLines, SayWhatAStoreLoaded) {
  EXPECT_EQ(lines::loaded_tensors(290, 988'097'824, step_100, 4),
            "Loaded 290 tensors (942.3 MB) from run1/step_100 — chunking into 4 shards");
  EXPECT_EQ(lines::loaded_file(988'097'824, key_of("run1/step_100/model.pth"), 4),
            "Loaded 1 file (942.3 MB) from run1/step_100 — chunking into 4 shards");
}

TEST(JobLines, NameAFileInTheRootItselfByItsName) {
  auto const key = key_of("model.safetensors");
  EXPECT_EQ(lines::loaded_tensors(1, 0, key, 2),
            "Loaded 1 tensors (0.0 MB) from model.safetensors — chunking into 2 shards");
  EXPECT_EQ(lines::store_done(4, 4, 2, key), "Done: 4/4 sends (2x replicated) → model.safetensors");
}

TEST(JobLines, SayWhatBecameOfACopy) {
  EXPECT_EQ(lines::sent(Rank{1}, "pi4-1", 0), "  ✓ rank 1 (pi4-1) [round 0]");
  EXPECT_EQ(lines::retry(Rank{3}, 2, 2s, refused),
            "  ↻ rank 3 failed — queuing retry: 2 of 6 in 2 s: "
            "pi4-3 (192.168.1.3:5003): connection refused");
  EXPECT_EQ(lines::gave_up(Rank{3}, refused, 6),
            "  ✗ rank 3 permanently failed: pi4-3 (192.168.1.3:5003): connection refused "
            "after 6 retries; check that its worker runs");
}

TEST(JobLines, DoNotSpeakOfRetriesWhereThereWereNone) {
  EXPECT_EQ(lines::gave_up(Rank{3}, "pi4-3 (192.168.1.3:5003): disk full", 0),
            "  ✗ rank 3 permanently failed: pi4-3 (192.168.1.3:5003): disk full");
}

TEST(JobLines, SayHowAStoreEnded) {
  EXPECT_EQ(lines::store_done(8, 8, 2, step_100),
            "Done: 8/8 sends (2x replicated) → run1/step_100");
  EXPECT_EQ(lines::error(lines::sends_failed(3, 8)), "ERROR: 3/8 sends failed");
}

TEST(JobLines, SayWhereAGatherHasItsShardsFrom) {
  EXPECT_EQ(lines::trying_replica(Rank{3}, ShardIndex{1}, Rank{2}),
            "  trying replica rank 3 for shard 1 (primary rank 2 failed)");
  EXPECT_EQ(lines::shard_saved(ShardIndex{1}, "/shards/worker_3/run1/step_100/shard.safetensors"),
            "  ✓ shard 1 — saved → /shards/worker_3/run1/step_100/shard.safetensors");
  EXPECT_EQ(lines::shard_served(ShardIndex{1}, Rank{2}, "pi4-2"),
            "  ✓ shard 1 — from rank 2 (pi4-2)");
  EXPECT_EQ(lines::shard_failed(ShardIndex{1}, refused),
            "  ✗ shard 1 — cannot be had: pi4-3 (192.168.1.3:5003): connection refused");
}

TEST(JobLines, SayHowAGatherEnded) {
  EXPECT_EQ(lines::merging(4, "/ckpt/run1/step_100/merged.safetensors"),
            "Merging 4 shards → /ckpt/run1/step_100/merged.safetensors");
  EXPECT_EQ(lines::gather_done("/ckpt/run1/step_100/merged.safetensors"),
            "Done: saved → /ckpt/run1/step_100/merged.safetensors");
  EXPECT_EQ(lines::error(lines::shards_failed(1, 4)), "ERROR: 1/4 shards failed — skipping merge");
}

struct Megabytes {
  std::uint64_t bytes;
  std::string_view text;
};

TEST(JobLines, CountMegabytesOf1024SquaredWithOneDecimal) {
  std::array const cases{
      Megabytes{0, "0.0"},
      Megabytes{1, "0.0"},
      Megabytes{52'428, "0.0"},
      Megabytes{52'429, "0.1"},
      Megabytes{1'048'576, "1.0"},
      Megabytes{988'097'824, "942.3"},
      Megabytes{1'073'741'824, "1024.0"},
  };
  for (auto const& [bytes, text] : cases) EXPECT_EQ(lines::megabytes(bytes), text) << bytes;
}

TEST(JobLines, SayHowFarAJobIs) {
  EXPECT_EQ(lines::progress(120 * limits::mib, 988'097'824, 24.1 * limits::mib),
            "  … 120.0 of 942.3 MB, 24.1 MB/s, 35 s left");
  EXPECT_EQ(lines::still_waiting(), "  … waiting");
}

TEST(JobLines, PromiseNoEndWhereNothingMoves) {
  EXPECT_EQ(lines::progress(0, 10 * limits::mib, 0), "  … 0.0 of 10.0 MB");
  EXPECT_EQ(lines::progress(0, 10 * limits::mib, 0.99), "  … 0.0 of 10.0 MB");
  EXPECT_EQ(lines::progress(0, 10 * limits::mib, 1),
            "  … 0.0 of 10.0 MB, 0.0 MB/s, 10485760 s left");
}

TEST(JobLines, NeverCountMoreThanThereIs) {
  EXPECT_EQ(lines::progress(11 * limits::mib, 10 * limits::mib, 1e6), "  … 10.0 of 10.0 MB");
  EXPECT_EQ(lines::progress(0, 0, 1e6), "  … 0.0 of 0.0 MB");
}

TEST(JobLines, SayHowFastADrillRestored) {
  auto const key = CheckpointKey::parse("run1/step_100/model.safetensors").value();
  EXPECT_EQ(lines::drill_done(key, 988'097'824, std::chrono::duration<double>(41.3)),
            "Done: restored run1/step_100 (942.3 MB) in 41.3 s, 22.8 MB/s: the exact bytes");
  EXPECT_EQ(lines::drill_done(key, 0, std::chrono::duration<double>(0)),
            "Done: restored run1/step_100 (0.0 MB) in 0.0 s, 0.0 MB/s: the exact bytes");
}

TEST(JobLines, OfOurOwnAreIndentedAndTakenForNoEnd) {
  std::vector<std::string> const ours{
      lines::still_waiting(),
      lines::progress(1, 2, 3),
      lines::drill_begins(CheckpointKey::parse("run1/model.bin").value(), "/scratch/restored"),
      lines::shard_served(ShardIndex{0}, Rank{1}, "pi4-1"),
      lines::shard_failed(ShardIndex{0}, refused),
  };
  for (auto const& line : ours) {
    EXPECT_TRUE(line.starts_with("  ")) << line;
    EXPECT_EQ(line.find("ERROR"), std::string::npos) << line;
    EXPECT_EQ(line.find("Done"), std::string::npos) << line;
  }
}

}  // namespace
}  // namespace grove
