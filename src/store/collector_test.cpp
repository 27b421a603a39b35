#include "store/collector.h"

#include <atomic>
#include <thread>

#include <gtest/gtest.h>

#include "store/test_store.h"

namespace grove {
namespace {

using namespace std::chrono_literals;

constexpr auto grace = 1h;

class Sweep : public testing::Test {
 protected:
  Sweep() { put_durably("loose"); }

  void put_durably(std::string_view text) {
    store_.put_chunk(text);
    GROVE_ASSERT(store_.chunks().sync().has_value());
  }
  bool has(std::string_view text) { return store_.chunks().has(sha256(text)); }

  Collector collector(std::chrono::seconds grace_period = 0s,
                      Leases::Clock::time_point started = Leases::Clock::now()) {
    return {store_.data(), store_.chunks(), store_.refs(), leases_, grace_period, started};
  }
  SweepReport sweep() { return collector().sweep().value(); }
  // A worker that has run for longer than the grace period.
  SweepReport sweep_with_grace() {
    return collector(grace, Leases::Clock::now() - 2 * grace).sweep().value();
  }

  TestStore store_;
  Leases leases_{10min};
};

TEST_F(Sweep, RemovesWhatNoRefReachesAndKeepsTheRest) {
  store_.put_shard(step_100, 7, 0, {"a", "b"});
  auto const loose_list = store_.put_list({"loose"});
  auto const loose_manifest =
      store_.put_manifest(TestStore::manifest(step_100, 8, loose_list, loose_list, 5));
  auto const report = sweep();
  EXPECT_EQ(report.chunks_removed, 1U);
  EXPECT_EQ(report.bytes_removed, 32U + 5U);
  EXPECT_EQ(report.objects_removed, 2U);
  EXPECT_FALSE(has("loose"));
  EXPECT_EQ(kind_of(store_.refs().list_bytes(loose_list)), ErrorKind::not_found);
  EXPECT_EQ(kind_of(store_.refs().manifest_bytes(loose_manifest)), ErrorKind::not_found);
  EXPECT_TRUE(has("a"));
  EXPECT_TRUE(has("b"));
  EXPECT_EQ(store_.refs().inventory({}, "", 9).value().entries.at(0).missing_count, 0U);
  EXPECT_EQ(sweep().chunks_removed, 0U);
}

TEST_F(Sweep, FollowsAManifestToItsHeadersChunks) {
  store_.put_chunk("header");
  auto const content =
      TestStore::manifest(step_100, 7, sha256("list elsewhere"), store_.put_list({"header"}), 1);
  Ref const ref{key_of(step_100), Generation{7}, RefName{}, store_.put_manifest(content)};
  ASSERT_TRUE(store_.refs().put_ref(ref).value().missing.empty());
  EXPECT_EQ(sweep().objects_removed, 0U);
  EXPECT_TRUE(has("header"));
  EXPECT_TRUE(store_.refs().reach(ref));
}

TEST_F(Sweep, TakesWhatARemovedRefLeavesBehindOnlyWithItsTrash) {
  auto const ref = store_.put_shard(step_100, 7, 0, {"own", "shared"});
  store_.put_shard(step_100, 8, 0, {"shared"});
  auto const manifest = store_.put_commit("run1/step_200/model.safetensors", 7);
  ASSERT_TRUE(store_.refs().remove_ref(ref, RefRemoval::is_proven));
  ASSERT_TRUE(store_.refs().remove_ref(manifest, RefRemoval::is_proven));
  for (auto const* text : {"own", "shared"}) {
    make_older(store_.chunk_path(sha256(text)), 2 * grace);
  }
  make_older(store_.list_path(ref.target), 2 * grace);
  make_older(store_.data().manifests() / manifest.target.hex(), 2 * grace);
  EXPECT_EQ(sweep_with_grace().chunks_removed, 0U);
  EXPECT_TRUE(has("own")) << "the chunks are old, the deletion is not";
  EXPECT_TRUE(store_.refs().list_bytes(ref.target));
  EXPECT_TRUE(store_.refs().manifest_bytes(manifest.target));
  sweep();
  EXPECT_FALSE(has("own"));
  EXPECT_TRUE(has("shared"));
  EXPECT_FALSE(store_.refs().list_bytes(ref.target));
  EXPECT_FALSE(store_.refs().manifest_bytes(manifest.target));
}

TEST_F(Sweep, IsNotHeldUpByTrashThatCannotBeRead) {
  auto const ref = store_.put_shard(step_100, 7, 0, {"own"});
  ASSERT_TRUE(store_.refs().remove_ref(ref, RefRemoval::is_proven));
  auto const names = names_in(store_.data().trash());
  ASSERT_EQ(names.size(), 1U);
  flip_byte(store_.data().trash() / names.front(), 0);
  make_older(store_.chunk_path(sha256("own")), 2 * grace);
  EXPECT_EQ(sweep_with_grace().chunks_removed, 1U);
}

TEST_F(Sweep, GivesBackTheRoomOfAFailedJobsRefsAtOnceAndNoOthers) {
  auto const old = store_.put_shard(step_100, 6, 0, {"old", "of both"});
  auto const own = store_.put_shard(step_100, 7, 0, {"own", "of both"});
  std::vector const pinned{sha256("own"), sha256("of both"), own.target};
  leases_.pin("failed", pinned, Leases::Clock::now());
  leases_.note("failed", own, Leases::Clock::now());
  ASSERT_TRUE(store_.refs().remove_ref(old, RefRemoval::is_unfinished));
  ASSERT_TRUE(store_.refs().remove_ref(own, RefRemoval::is_unfinished));
  EXPECT_EQ(collector(grace).release("failed").value().chunks_removed, 1U);
  EXPECT_FALSE(has("own"));
  EXPECT_TRUE(has("old"));
  EXPECT_TRUE(has("of both")) << "of a ref that has its day in the trash";
  EXPECT_EQ(names_in(store_.data().trash()).size(), 1U);
}

TEST_F(Sweep, ReleasesWhatAJobThatFailedHadBroughtIn) {
  store_.put_shard(step_100, 7, 0, {"kept"});
  put_durably("of both");
  put_durably("nobody's");
  store_.put_chunk("not synced yet");
  auto const list = store_.put_list({"loose"});
  std::vector const mine{sha256("loose"), sha256("kept"), sha256("of both"),
                         sha256("not synced yet"), list};
  std::vector const others{sha256("of both")};
  leases_.pin("failed", mine, Leases::Clock::now());
  leases_.pin("other", others, Leases::Clock::now());
  auto const report = collector(grace).release("failed").value();
  EXPECT_EQ(report.chunks_removed, 2U);
  EXPECT_EQ(report.objects_removed, 1U);
  EXPECT_FALSE(has("loose"));
  EXPECT_FALSE(has("not synced yet"));
  EXPECT_EQ(kind_of(store_.refs().list_bytes(list)), ErrorKind::not_found);
  EXPECT_TRUE(has("kept"));
  EXPECT_TRUE(has("of both"));
  EXPECT_TRUE(has("nobody's")) << "only what the job had pinned";
  EXPECT_EQ(collector(grace).release("failed").value().chunks_removed, 0U);
}

TEST_F(Sweep, KeepsWhatAJobHasPinnedUntilItsLeaseEnds) {
  std::vector const pinned{sha256("loose")};
  leases_.pin("job", pinned, Leases::Clock::now());
  EXPECT_EQ(sweep().chunks_removed, 0U);
  EXPECT_TRUE(has("loose"));

  Leases ended{10min};
  ended.pin("job", pinned, Leases::Clock::now() - 10min);
  Collector collector(store_.data(), store_.chunks(), store_.refs(), ended, 0s);
  EXPECT_EQ(collector.sweep().value().chunks_removed, 1U);
}

TEST_F(Sweep, LeavesChunksThatWaitForASync) {
  store_.put_chunk("pending");
  sweep();
  EXPECT_TRUE(has("pending"));
  EXPECT_TRUE(store_.chunks().sync());
}

TEST_F(Sweep, KeepsWhatIsYoung) {
  auto const list = store_.put_list({"loose"});
  EXPECT_EQ(sweep_with_grace().chunks_removed, 0U);
  make_older(store_.list_path(list), grace + 1min);
  make_older(store_.chunk_path(sha256("loose")), grace - 1min);
  EXPECT_EQ(sweep_with_grace().chunks_removed, 0U);
  make_older(store_.chunk_path(sha256("loose")), 2min);
  auto const report = sweep_with_grace();
  EXPECT_EQ(report.chunks_removed, 1U);
  EXPECT_EQ(store_.refs().list_bytes(list).has_value(), false);
}

TEST_F(Sweep, RemovesNothingForAWholeGracePeriodAfterTheStart) {
  make_older(store_.chunk_path(sha256("loose")), 10 * grace);
  auto const now = Leases::Clock::now();
  EXPECT_EQ(collector(grace, now - grace + 1min).sweep().value().chunks_removed, 0U);
  EXPECT_EQ(collector(grace, now - grace).sweep().value().chunks_removed, 1U);
}

TEST_F(Sweep, DropsAnUnfinishedGenerationOnceANewerOneIsComplete) {
  auto const unfinished = store_.put_shard(step_100, 7, 0, {"a"});
  auto const newer = store_.put_shard(step_100, 8, 0, {"b"});
  store_.put_shard("another", 1, 0, {"c"});
  EXPECT_EQ(sweep().refs_dropped, 0U) << "no generation is complete: both may be resumed";

  store_.put_commit(step_100, 8);
  auto const unfinished_too = store_.put_shard(step_100, 9, 0, {"d"});
  EXPECT_EQ(sweep().refs_dropped, 1U);
  EXPECT_TRUE(has("a")) << "its ref lies in the trash";
  sweep();
  EXPECT_FALSE(store_.refs().find(unfinished.key, unfinished.generation, unfinished.name));
  EXPECT_FALSE(has("a"));
  EXPECT_TRUE(store_.refs().find(newer.key, newer.generation, newer.name));
  EXPECT_TRUE(store_.refs().find(key_of(step_100), unfinished_too.generation, shard_name(0)));
  EXPECT_TRUE(has("b") && has("c") && has("d"));
}

TEST_F(Sweep, KeepsCompleteGenerationsHoweverOld) {
  store_.put_shard(step_100, 7, 0, {"a"});
  store_.put_commit(step_100, 7);
  store_.put_commit(step_100, 8);
  EXPECT_EQ(sweep().refs_dropped, 0U);
  EXPECT_TRUE(has("a"));
}

TEST_F(Sweep, TakesWhatIsDatedFarAheadSinceTheClockHasGoneBack) {
  store_.put_chunk("a");
  store_.put_chunk("b");
  ASSERT_TRUE(store_.chunks().sync());
  make_older(store_.chunk_path(sha256("a")), -24h * 365);
  make_older(store_.chunk_path(sha256("b")), -grace / 2);
  sweep_with_grace();
  EXPECT_FALSE(has("a"));
  EXPECT_TRUE(has("b"));
}

TEST_F(Sweep, KeepsAYoungUnfinishedGeneration) {
  auto const unfinished = store_.put_shard(step_100, 7, 0, {"a"});
  store_.put_commit(step_100, 8);
  EXPECT_EQ(sweep_with_grace().refs_dropped, 0U);
  auto const path = store_.data().refs() / unfinished.key.digest().hex() / "7" / "0.json";
  make_older(path, grace + 1min);
  EXPECT_EQ(sweep_with_grace().refs_dropped, 1U);
}

TEST_F(Sweep, EmptiesTheTrashAfterTheGracePeriodCountedFromTheRemoval) {
  auto const ref = store_.put_shard(step_100, 7, 0, {"a"});
  auto const path = store_.data().refs() / ref.key.digest().hex() / "7" / "0.json";
  make_older(path, 10 * grace);
  ASSERT_TRUE(store_.refs().remove_ref(ref, RefRemoval::is_proven));
  sweep_with_grace();
  EXPECT_EQ(names_in(store_.data().trash()).size(), 1U);
  sweep();
  EXPECT_TRUE(names_in(store_.data().trash()).empty());
}

TEST_F(Sweep, RemovesNothingWhileItCannotKnowWhatARefReaches) {
  auto const ref = store_.put_shard(step_100, 7, 0, {"a"});
  flip_byte(store_.list_path(ref.target), 30);
  EXPECT_EQ(kind_of(collector().sweep()), ErrorKind::corrupt);
  EXPECT_EQ(kind_of(collector().sweep()), ErrorKind::not_found) << "it is in quarantine now";
  EXPECT_TRUE(has("a") && has("loose"));
  store_.put_list({"a"});
  EXPECT_EQ(sweep().chunks_removed, 1U);
  EXPECT_TRUE(has("a"));
}

// The worst case on purpose: no pins, no grace. Whatever put_ref has accepted is whole.
TEST_F(Sweep, NeverTakesWhatAStoreBesideItHasCommitted) {
  constexpr std::uint32_t shards_count = 80;
  std::atomic<bool> is_storing{true};
  std::atomic<int> sweeps_count{0};
  auto sweeper = collector();
  std::jthread sweeping([&] {
    while (is_storing) {
      if (sweeper.sweep()) ++sweeps_count;
    }
  });
  for (std::uint32_t index = 0; index < shards_count; ++index) {
    std::vector<std::string> texts;
    for (int i = 0; i < 8; ++i) texts.push_back(fmt::format("{} of {}", i, index));
    for (bool is_committed = false; !is_committed;) {
      for (auto const& text : texts) store_.put_chunk(text);
      Ref const ref{key_of(step_100), Generation{7}, shard_name(index), store_.put_list(texts)};
      auto const outcome = store_.refs().put_ref(ref);
      is_committed = outcome && outcome.value().missing.empty();
    }
    // Removed now and then, so that a sweep meets refs that are gone as well.
    if (index % 10 == 9) {
      auto const removed = store_.refs().find(key_of(step_100), Generation{7}, shard_name(index));
      ASSERT_TRUE(store_.refs().remove_ref(*removed, RefRemoval::is_unfinished));
    }
  }
  is_storing = false;
  sweeping.join();
  EXPECT_GT(sweeps_count, 0);
  auto const page = store_.refs().inventory({}, "", 1000).value();
  for (auto const& entry : page.entries) {
    EXPECT_EQ(entry.missing_count, 0U) << entry.ref.name.text();
    auto const reached = store_.refs().reach(entry.ref).value();
    for (auto const& chunk : reached.chunks) {
      EXPECT_TRUE(store_.chunks().verify(chunk.digest));
    }
  }
}

}  // namespace
}  // namespace grove
