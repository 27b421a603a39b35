#include "worker/inventory_call.h"

#include <string>

#include "worker/test_workers.h"

namespace grove {
namespace {

TEST(WorkerInventory, TurnsPages) {
  TestWorkers workers(1);
  workers.run([&]() -> Awaitable<void> {
    auto worker = workers.client(rank_1);
    for (std::uint64_t number = 1; number <= 5; ++number) {
      co_await put_shard(worker, "run1/model.pt", Generation{number}, texts("a"));
    }
    std::string after;
    std::size_t pages_count = 0;
    std::size_t refs_count = 0;
    do {
      auto const reply = co_await workers.ask(rank_1, http::verb::get,
                                              "/refs?limit=2&after=" + percent_encode(after));
      auto const page = parse_inventory(reply.text()).value();
      EXPECT_LE(page.refs.size(), 2u);
      refs_count += page.refs.size();
      ++pages_count;
      after = page.next;
    } while (!after.empty() && pages_count < 10);
    EXPECT_EQ(refs_count, 5u);
    EXPECT_EQ(pages_count, 3u);
    for (auto const* limit : {"0", "1001", "x", "", "-1"}) {
      auto const refused =
          co_await workers.ask(rank_1, http::verb::get, fmt::format("/refs?limit={}", limit));
      EXPECT_EQ(refused.status, 400u) << limit;
    }
    auto const most = co_await workers.ask(rank_1, http::verb::get, "/refs?limit=1000");
    EXPECT_EQ(most.status, 200u);
  });
}

TEST(WorkerInventory, TellsOfDamageOnTheDiskOnlyOnceItHasReadIt) {
  TestWorkers workers(1);
  workers.run([&]() -> Awaitable<void> {
    auto worker = workers.client(rank_1);
    auto const key = key_of("run1/model.pt");
    co_await put_shard(worker, key.identity(), Generation{1}, texts("a", "b"));
    workers.damage_chunk(rank_1, sha256("a"));
    auto const believed = co_await worker.inventory(key);
    EXPECT_EQ(believed.value().refs.front().missing_count, 0u);
    EXPECT_FALSE(believed.value().refs.front().verified_ms.has_value());
    auto const read = co_await worker.proven_inventory(key, Reread::unless_recent);
    EXPECT_EQ(read.value().refs.front().missing_count, 1u);
    EXPECT_FALSE(read.value().refs.front().verified_ms.has_value());
    co_await put_chunks(worker, texts("a"));
    auto const synced = co_await worker.sync();  // only then it counts
    EXPECT_TRUE(synced.has_value());
    auto const mended = co_await worker.proven_inventory(key, Reread::unless_recent);
    EXPECT_EQ(mended.value().refs.front().missing_count, 0u);
    EXPECT_TRUE(mended.value().refs.front().verified_ms.has_value());
  });
}

TEST(WorkerInventory, TellsOfTheManifestsUnderAPrefix) {
  TestWorkers workers(1);
  workers.run([&]() -> Awaitable<void> {
    auto worker = workers.client(rank_1);
    auto const first = co_await put_shard(worker, "run 1/9.pt", Generation{1}, texts("a"));
    auto const second = co_await put_shard(worker, "run 1/10.pt", Generation{1}, texts("b"));
    auto const other = co_await put_shard(worker, "run 2/9.pt", Generation{1}, texts("c"));
    co_await put_shard(worker, "run 1/11.pt", Generation{1}, texts("d"));
    auto const first_manifest = co_await put_commit(worker, first, 1);
    auto const second_manifest = co_await put_commit(worker, second, 1);
    co_await put_commit(worker, other, 1);
    Tombstone const forgotten{key_of("run 1/8.pt"), Generation{1}};
    Tombstone const elsewhere{key_of("run 2/8.pt"), Generation{1}};
    for (Tombstone const& tombstone : {forgotten, elsewhere}) {
      auto const put = co_await workers.ask(
          rank_1, http::verb::put, "/tombstones/" + percent_encode(tombstone.key.identity()),
          serialize_tombstone_body(tombstone));
      EXPECT_TRUE(put.is_success());
    }
    auto const reply =
        co_await workers.ask(rank_1, http::verb::get, "/refs?prefix=run%201/&name=manifest");
    auto const page = parse_inventory(reply.text()).value();
    EXPECT_EQ(page.refs.size(), 2u);
    EXPECT_EQ(page.refs.at(0).ref, second_manifest);
    EXPECT_EQ(page.refs.at(1).ref, first_manifest);
    EXPECT_TRUE(page.tombstones.empty());
    auto const all = co_await workers.ask(rank_1, http::verb::get, "/refs?prefix=run%201/");
    EXPECT_EQ(parse_inventory(all.text()).value().tombstones, std::vector<Tombstone>{forgotten});
    auto const page_by_page = co_await worker.manifests_under("run 1/");
    EXPECT_EQ(page_by_page.value().refs.size(), 2u);
    auto const none = co_await worker.manifests_under("run 3/");
    EXPECT_TRUE(none.value().refs.empty());
    auto const refused = co_await workers.ask(rank_1, http::verb::get, "/refs?name=-1");
    EXPECT_EQ(refused.status, 400u);
  });
}

TEST(WorkerInventory, RefusesAVerifyThatIsNeitherTrueNorFalse) {
  TestWorkers workers(1);
  workers.run([&]() -> Awaitable<void> {
    auto reply = co_await workers.ask(rank_1, http::verb::get, "/refs?verify=yes");
    EXPECT_EQ(reply.status, 400u);
    reply = co_await workers.ask(rank_1, http::verb::get, "/refs?verify=false");
    EXPECT_EQ(reply.status, 200u);
  });
}

TEST(WorkerInventory, PagesTombstonesAndPinsAsItDoesRefs) {
  TestWorkers workers(1);
  workers.run([&]() -> Awaitable<void> {
    auto worker = workers.client(rank_1);
    for (int i = 0; i < 3; ++i) {
      auto const key = key_of(fmt::format("run 1/{}.pt", i));
      co_await put_shard(worker, key.identity(), Generation{2}, texts("a"));
      Tombstone const forgotten{key, Generation{1}};
      auto told = co_await worker.put_tombstone(forgotten, "coordinator-1");
      EXPECT_TRUE(told.has_value());
      Pin const pin{.key = key, .is_pinned = true, .changed_ms = 1};
      told = co_await worker.put_pin(pin);
      EXPECT_TRUE(told.has_value());
    }
    for (std::size_t const limit : {1, 2, 3, 4, 9, 10}) {
      InventoryPage all;
      std::string after;
      do {
        auto const target = fmt::format("/refs?limit={}&after={}", limit, percent_encode(after));
        auto const reply = co_await workers.ask(rank_1, http::verb::get, target);
        auto const page = parse_inventory(reply.text()).value();
        EXPECT_LE(page.refs.size() + page.tombstones.size() + page.pins.size(), limit);
        all.refs.insert(all.refs.end(), page.refs.begin(), page.refs.end());
        all.tombstones.insert(all.tombstones.end(), page.tombstones.begin(), page.tombstones.end());
        all.pins.insert(all.pins.end(), page.pins.begin(), page.pins.end());
        after = page.next;
      } while (!after.empty());
      EXPECT_EQ(all.refs.size(), 3U) << limit;
      EXPECT_EQ(all.tombstones.size(), 3U) << limit;
      EXPECT_EQ(all.pins.size(), 3U) << limit;
    }
    auto const one = co_await worker.inventory(key_of("run 1/1.pt"));
    EXPECT_EQ(one.value().refs.size(), 1U);
    EXPECT_EQ(one.value().tombstones.size(), 1U);
    EXPECT_EQ(one.value().pins.size(), 1U);
    auto const refused = co_await workers.ask(rank_1, http::verb::get, "/refs?after=pin/../x");
    EXPECT_EQ(refused.status, 400U);
  });
}

}  // namespace
}  // namespace grove
