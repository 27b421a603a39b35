#include "store/scrubber.h"

#include <chrono>
#include <filesystem>
#include <thread>

#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/wall_clock.h"
#include "store/ref_files.h"
#include "store/test_store.h"

namespace grove {
namespace {

bool go_on(ScrubReport const&) {
  return true;
}

InventoryEntry entry_of(TestStore& store, Ref const& ref) {
  auto const page = store.refs().inventory({}, "", 100).value();
  for (auto const& entry : page.entries) {
    if (entry.ref == ref) return entry;
  }
  ADD_FAILURE() << "no such ref";
  return {ref, 0, 0, std::nullopt};
}

// As if it had last been put or read then.
void prove_at(TestStore& store, std::string_view text, std::int64_t ms) {
  namespace fs = std::filesystem;
  auto const time = std::chrono::sys_time<std::chrono::milliseconds>(std::chrono::milliseconds(ms));
  fs::last_write_time(store.chunk_path(sha256(text)), std::chrono::file_clock::from_sys(time));
}

TEST(Scrub, ReadsEachChunkOnceAndMarksTheRefsVerified) {
  TestStore store;
  auto const first = store.put_shard(step_100, 7, 0, {"a", "shared"});
  auto const second = store.put_shard(step_100, 8, 0, {"b", "shared"});
  auto const report = scrub(store.chunks(), store.refs(), {}, go_on).value();
  EXPECT_EQ(report.chunks_read, 3U);
  EXPECT_EQ(report.bytes_read, 3 * 32U + 1 + 1 + 6);
  EXPECT_TRUE(report.damaged.empty());
  EXPECT_EQ(report.refs_verified, 2U);
  EXPECT_TRUE(entry_of(store, first).verified_ms);
  EXPECT_TRUE(entry_of(store, second).verified_ms);
}

TEST(Scrub, FindsAFlippedBitAndTellsTheDamagedRefFromTheOthers) {
  TestStore store;
  auto const damaged = store.put_shard(step_100, 7, 0, {"a", "b", "c"});
  auto const sound = store.put_shard(step_100, 7, 1, {"c", "d"});
  ASSERT_TRUE(scrub(store.chunks(), store.refs(), {}, go_on));
  EXPECT_TRUE(entry_of(store, damaged).verified_ms);

  flip_byte(store.chunk_path(sha256("b")), 32);
  auto const report = scrub(store.chunks(), store.refs(), {}, go_on).value();
  EXPECT_EQ(report.damaged, std::vector{sha256("b")});
  EXPECT_EQ(report.refs_verified, 1U);
  EXPECT_FALSE(entry_of(store, damaged).verified_ms);
  EXPECT_EQ(entry_of(store, damaged).missing_count, 1U);
  EXPECT_TRUE(entry_of(store, sound).verified_ms);
  EXPECT_FALSE(store.chunks().has(sha256("b")));
  EXPECT_EQ(names_in(store.data().quarantine()).size(), 1U);

  store.put_chunk("b");
  ASSERT_TRUE(store.chunks().sync());
  EXPECT_EQ(scrub(store.chunks(), store.refs(), {}, go_on).value().refs_verified, 2U);
}

TEST(Scrub, SeesAChunkThatHasVanished) {
  TestStore store;
  auto const ref = store.put_shard(step_100, 7, 0, {"a", "b"});
  EXPECT_EQ(entry_of(store, ref).missing_count, 0U);
  ASSERT_TRUE(remove_file(store.chunk_path(sha256("a"))));
  auto const report = scrub(store.chunks(), store.refs(), {}, go_on).value();
  EXPECT_TRUE(report.damaged.empty());
  EXPECT_EQ(report.refs_verified, 0U);
  EXPECT_EQ(entry_of(store, ref).missing_count, 1U);
}

TEST(Scrub, GoesOnBehindAListThatIsDamaged) {
  TestStore store;
  auto const damaged = store.put_shard(step_100, 7, 0, {"a"});
  auto const sound = store.put_shard(step_100, 7, 1, {"b"});
  flip_byte(store.list_path(damaged.target), 30);
  auto const report = scrub(store.chunks(), store.refs(), {}, go_on).value();
  EXPECT_EQ(report.refs_verified, 1U);
  EXPECT_EQ(report.damaged, std::vector{damaged.target});
  EXPECT_TRUE(entry_of(store, sound).verified_ms);
  EXPECT_EQ(entry_of(store, damaged).missing_count, 1U);
  EXPECT_TRUE(scrub(store.chunks(), store.refs(), {}, go_on).value().damaged.empty());
}

TEST(Scrub, FindsARefWhoseFileHasChangedAndHoldsItNoLonger) {
  TestStore store;
  auto const damaged = store.put_shard(step_100, 7, 0, {"a"});
  auto const sound = store.put_shard(step_100, 7, 1, {"b"});
  auto const path = ref_path(store.data(), damaged.key, damaged.generation, damaged.name);
  auto const bytes = read_whole(path, 4096).value();
  auto const text = text_of(bytes);
  flip_byte(path, static_cast<std::streamoff>(text.find(damaged.target.hex().substr(0, 8)) + 9));
  auto const before = store.refs().inventory_digest();
  auto const report = scrub(store.chunks(), store.refs(), {}, go_on).value();
  EXPECT_EQ(report.damaged, std::vector{damaged.target});
  EXPECT_EQ(store.refs().all_refs(), std::vector{sound});
  EXPECT_NE(store.refs().inventory_digest(), before);
  EXPECT_EQ(names_in(store.data().quarantine()).size(), 1U);
  // It may be put again, from another worker.
  EXPECT_TRUE(store.refs().put_ref(damaged).value().missing.empty());
  EXPECT_EQ(scrub(store.chunks(), store.refs(), {}, go_on).value().refs_verified, 2U);
}

TEST(Scrub, LooksAtARefThatLeadsToNoChunkEachTime) {
  TestStore store;
  auto const empty = store.put_shard(step_100, 7, 0, {});
  ScrubScope const scope{.unverified_since_ms = 1000};
  EXPECT_EQ(scrub(store.chunks(), store.refs(), scope, go_on).value().refs_verified, 1U);
  auto const path = ref_path(store.data(), empty.key, empty.generation, empty.name);
  auto const bytes = read_whole(path, 4096).value();
  auto const text = text_of(bytes);
  flip_byte(path, static_cast<std::streamoff>(text.find(empty.target.hex().substr(0, 8)) + 9));
  EXPECT_EQ(scrub(store.chunks(), store.refs(), scope, go_on).value().damaged,
            std::vector{empty.target});
}

TEST(Scrub, EndsEarlyWhenToldAndKeepsWhatItHasProven) {
  TestStore store;
  auto const first = store.put_shard(step_100, 7, 0, {"a", "b"});
  auto const second = store.put_shard(step_100, 7, 1, {"c", "d"});
  auto const three_chunks = [](ScrubReport const& so_far) { return so_far.chunks_read < 3; };
  auto const report = scrub(store.chunks(), store.refs(), {}, three_chunks).value();
  EXPECT_EQ(report.chunks_read, 3U);
  EXPECT_EQ(report.refs_verified, 1U);
  EXPECT_TRUE(store.refs().reread_ms(first));
  EXPECT_FALSE(store.refs().reread_ms(second));
}

TEST(Scrub, OfWhatWasNotVerifiedSinceLeavesTheRestAlone) {
  TestStore store;
  auto const proven = store.put_shard(step_100, 7, 0, {"a", "b"});
  auto const stale = store.put_shard(step_100, 7, 1, {"c"});
  auto const oldest = store.put_shard(step_100, 7, 2, {"d"});
  for (auto const* text : {"a", "b"}) prove_at(store, text, 1000);
  prove_at(store, "c", 999);
  prove_at(store, "d", 500);
  ScrubScope const scope{.unverified_since_ms = 1000};
  auto const report = scrub(store.chunks(), store.refs(), scope, go_on).value();
  EXPECT_EQ(report.chunks_read, 2U);
  EXPECT_EQ(report.refs_verified, 2U);
  EXPECT_EQ(report.oldest_ms, 500);
  EXPECT_EQ(entry_of(store, proven).verified_ms, 1000);
  EXPECT_EQ(store.refs().reread_ms(proven), std::nullopt);
  EXPECT_GT(entry_of(store, stale).verified_ms, 1000);
  EXPECT_TRUE(store.refs().reread_ms(oldest));
  // What was read is known to have been after a restart, too.
  store.open();
  EXPECT_EQ(scrub(store.chunks(), store.refs(), scope, go_on).value().chunks_read, 0U);
  EXPECT_GT(entry_of(store, oldest).verified_ms, 1000);
}

TEST(Scrub, CallsNothingReReadThatItHasLeftAlone) {
  TestStore store;
  auto const half = store.put_shard(step_100, 7, 0, {"a", "b"});
  auto const now_ms = wall_clock_ms();
  prove_at(store, "a", 500);
  prove_at(store, "b", now_ms - 5000);
  ScrubScope const scope{.unverified_since_ms = now_ms - 9000};
  EXPECT_EQ(scrub(store.chunks(), store.refs(), scope, go_on).value().chunks_read, 1U);
  EXPECT_EQ(entry_of(store, half).verified_ms, now_ms - 5000);
  EXPECT_EQ(store.refs().reread_ms(half), std::nullopt);
  ASSERT_TRUE(reread(store.chunks(), store.refs(), half, go_on).value().value());
  EXPECT_GE(store.refs().reread_ms(half), now_ms);
}

TEST(Scrub, CallsAChunkThatWasPutMeanwhileNotReRead) {
  TestStore store;
  auto const ref = store.put_shard(step_100, 7, 0, {"a", "b"});
  auto const put_meanwhile = [&](ScrubReport const& so_far) {
    if (so_far.chunks_read == 1) prove_at(store, "b", wall_clock_ms());
    return true;
  };
  EXPECT_EQ(scrub(store.chunks(), store.refs(), {}, put_meanwhile).value().chunks_read, 2U);
  prove_at(store, "a", 500);
  auto const put_at_first = [&](ScrubReport const&) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    prove_at(store, "b", wall_clock_ms());
    return true;
  };
  store.open();
  EXPECT_EQ(scrub(store.chunks(), store.refs(), {}, put_at_first).value().chunks_read, 1U);
  EXPECT_EQ(store.refs().reread_ms(ref), std::nullopt);
}

TEST(Scrub, TellsWhatWasMissingBeforeIt) {
  TestStore store;
  store.put_shard(step_100, 7, 0, {"a", "b", "c"});
  store.put_shard(step_100, 7, 1, {"d"});
  ASSERT_TRUE(remove_file(store.chunk_path(sha256("a"))));
  flip_byte(store.chunk_path(sha256("b")), 32);
  auto report = scrub(store.chunks(), store.refs(), {}, go_on).value();
  EXPECT_EQ(report.damaged.size(), 1U);
  for (int pass = 0; pass < 2; ++pass) {
    EXPECT_EQ(report.refs_verified, 1U);
    EXPECT_EQ(report.refs_not_whole, 1U);
    EXPECT_EQ(report.missing_count, 2U);
    report = scrub(store.chunks(), store.refs(), {}, go_on).value();
    EXPECT_TRUE(report.damaged.empty());
  }
}

TEST(Scrub, LooksNoFurtherOnceNobodyWantsIt) {
  TestStore store;
  store.put_shard(step_100, 7, 0, {"a"});
  int asked = 0;
  auto const never = [&] { return ++asked > 1; };
  auto const report = scrub(store.chunks(), store.refs(), {}, go_on, never).value();
  EXPECT_EQ(asked, 1);
  EXPECT_FALSE(report.is_whole);
  EXPECT_EQ(report.chunks_read, 0U);
}

TEST(Scrub, TellsHowOldTheOldestIsWhenItHasEnded) {
  TestStore store;
  store.put_shard(step_100, 7, 0, {"a"});
  store.put_shard(step_100, 7, 1, {"b"});
  prove_at(store, "a", 500);
  prove_at(store, "b", 2000);
  ScrubScope const scope{.unverified_since_ms = 1000};
  auto const report = scrub(store.chunks(), store.refs(), scope, go_on).value();
  EXPECT_EQ(report.oldest_ms, 500);
  EXPECT_EQ(report.oldest_left_ms, 2000);
}

TEST(Scrub, ReadsTheOldestFirst) {
  TestStore store;
  store.put_shard(step_100, 7, 0, {"a"});
  store.put_shard(step_100, 7, 1, {"b"});
  prove_at(store, "a", 2000);
  prove_at(store, "b", 1000);
  auto const one_chunk = [](ScrubReport const& so_far) { return so_far.chunks_read < 1; };
  ASSERT_TRUE(scrub(store.chunks(), store.refs(), {}, one_chunk));
  EXPECT_EQ(store.chunks().proven_ns(sha256("a")), 2000 * 1'000'000);
  EXPECT_GT(store.chunks().proven_ns(sha256("b")), 2000 * 1'000'000);
}

TEST(Scrub, TrustsNoProofOfTheTimeToCome) {
  TestStore store;
  store.put_shard(step_100, 7, 0, {"a"});
  prove_at(store, "a", wall_clock_ms() + 365ll * 86'400'000);
  ScrubScope const scope{.unverified_since_ms = 1000};
  EXPECT_EQ(scrub(store.chunks(), store.refs(), scope, go_on).value().chunks_read, 1U);
  EXPECT_EQ(scrub(store.chunks(), store.refs(), scope, go_on).value().chunks_read, 0U);
}

}  // namespace
}  // namespace grove
