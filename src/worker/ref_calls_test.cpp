#include <fstream>
#include <string>

#include "base/bytes.h"
#include "worker/test_workers.h"

namespace grove {
namespace {

constexpr std::string_view step_100_pt = "run1/step_100/model.pt";
constexpr Generation generation{7};

TEST(WorkerRefs, ACommittedCheckpointIsInTheInventoryAndSurvivesARestart) {
  TestWorkers workers(1);
  workers.run([&]() -> Awaitable<void> {
    auto worker = workers.client(rank_1);
    auto const shard =
        co_await put_shard(worker, std::string(step_100_pt), generation, texts("a", "b"));
    auto const commit = co_await put_commit(worker, shard, 2);
    auto const before = co_await worker.inventory({});
    EXPECT_EQ(before.value().refs.size(), 2u);
    co_await workers.stop(rank_1);
    workers.start(rank_1);
    auto restarted = workers.client(rank_1);
    auto const after = co_await restarted.inventory(key_of(step_100_pt));
    std::vector<Ref> refs;
    for (auto const& report : after.value().refs) {
      EXPECT_EQ(report.missing_count, 0u);
      refs.push_back(report.ref);
    }
    EXPECT_EQ(refs, (std::vector<Ref>{commit, shard}));
    auto const manifest = co_await restarted.get_manifest(commit.target);
    EXPECT_EQ(manifest.value().generation, generation);
    auto const list = co_await restarted.get_list(shard.target);
    EXPECT_EQ(list.value().bytes(), 2u);
  });
}

TEST(WorkerRefs, SaysWhichChunksARefLacks) {
  TestWorkers workers(1);
  workers.run([&]() -> Awaitable<void> {
    auto worker = workers.client(rank_1);
    auto list = co_await put_chunks(worker, texts("here"));
    list.chunks.push_back({sha256("absent"), 6});
    auto const target = co_await put_list(worker, list);
    Ref const ref{key_of(step_100_pt), generation, RefName{ShardIndex{0}}, target};
    auto missing = co_await worker.put_ref(ref);
    EXPECT_EQ(missing.value(), std::vector<Digest>{sha256("absent")});
    auto const reply =
        co_await workers.ask(rank_1, http::verb::put, "/refs/run1%2Fstep_100%2Fmodel.pt/7/0",
                             serialize_ref_target(target));
    EXPECT_EQ(reply.status, 409u);
    EXPECT_NE(reply.text().find(R"("detail":)"), std::string_view::npos);
    auto const inventory = co_await worker.inventory({});
    EXPECT_TRUE(inventory.value().refs.empty());
    co_await put_chunks(worker, texts("absent"));
    missing = co_await worker.put_ref(ref);
    EXPECT_TRUE(missing.value().empty());
  });
}

TEST(WorkerRefs, NamesNoMoreMissingChunksThanACallMayCarry) {
  TestWorkers workers(1);
  workers.run([&]() -> Awaitable<void> {
    auto worker = workers.client(rank_1);
    ShardList list;
    for (std::size_t index = 0; index < limits::digests_per_call_max + 1; ++index) {
      list.chunks.push_back({sha256(std::to_string(index)), 1});
    }
    auto const target = co_await put_list(worker, list);
    Ref const ref{key_of(step_100_pt), generation, RefName{ShardIndex{0}}, target};
    auto const missing = co_await worker.put_ref(ref);
    EXPECT_EQ(missing.value().size(), limits::digests_per_call_max);
  });
}

TEST(WorkerRefs, RefusesAnotherTargetUnderTheSameName) {
  TestWorkers workers(1);
  workers.run([&]() -> Awaitable<void> {
    auto worker = workers.client(rank_1);
    auto const ref = co_await put_shard(worker, std::string(step_100_pt), generation, texts("a"));
    auto const again = co_await worker.put_ref(ref);
    EXPECT_TRUE(again.value().empty());
    auto other = ref;
    auto list = co_await put_chunks(worker, texts("b"));
    other.target = co_await put_list(worker, list);
    auto const refused = co_await worker.put_ref(other);
    EXPECT_EQ(kind_of(refused), ErrorKind::conflict);
  });
}

TEST(WorkerRefs, RefusesHostileKeysAndLeavesNothing) {
  TestWorkers workers(1);
  workers.run([&]() -> Awaitable<void> {
    auto const body = serialize_ref_target(sha256("x"));
    for (auto const* key : {"..", "%2e%2e", "..%2F..%2Fetc%2Fpasswd", "%2Fetc%2Fpasswd", "a%00b",
                            "run1%2F..%2Fx", "a%2F%2Fb", "%FF"}) {
      auto const refused =
          co_await workers.ask(rank_1, http::verb::put, fmt::format("/refs/{}/7/0", key), body);
      EXPECT_EQ(refused.status, 400u) << key << ": " << refused.text();
      auto const read =
          co_await workers.ask(rank_1, http::verb::get, fmt::format("/shards/{}/0", key));
      EXPECT_EQ(read.status, 400u) << key << ": " << read.text();
    }
    for (auto const* rest : {"-1/0", "7/-1", "7/x", "07/0", "7/..", "99999999999999999999999/0"}) {
      auto const refused = co_await workers.ask(rank_1, http::verb::put,
                                                fmt::format("/refs/model.pt/{}", rest), body);
      EXPECT_EQ(refused.status, 400u) << rest << ": " << refused.text();
    }
    EXPECT_TRUE(std::filesystem::is_empty(workers.data(rank_1) / "refs"));
  });
}

TEST(WorkerRefs, RefusesObjectsThatAreNotWhatTheyAreNamed) {
  TestWorkers workers(1);
  workers.run([&]() -> Awaitable<void> {
    auto worker = workers.client(rank_1);
    auto const list = serialize(ShardList{});
    auto const wrong_name = co_await worker.put_list(sha256("x"), list.span());
    EXPECT_EQ(kind_of(wrong_name), ErrorKind::corrupt);
    std::string const junk = "junk";
    auto const no_list = co_await worker.put_list(sha256(junk), bytes_of(junk));
    EXPECT_EQ(kind_of(no_list), ErrorKind::invalid);
    auto const no_manifest = co_await worker.put_manifest(sha256(junk), bytes_of(junk));
    EXPECT_EQ(kind_of(no_manifest), ErrorKind::invalid);
    auto const absent = co_await worker.get_list(sha256(junk));
    EXPECT_EQ(kind_of(absent), ErrorKind::not_found);
  });
}

TEST(WorkerRefs, AForgottenGenerationDoesNotComeBack) {
  TestWorkers workers(1);
  workers.run([&]() -> Awaitable<void> {
    auto worker = workers.client(rank_1);
    Tombstone const tombstone{
        .key = key_of(step_100_pt), .up_to = generation, .file_bytes = 2, .mtime_ns = 3};
    auto const reply =
        co_await workers.ask(rank_1, http::verb::put, "/tombstones/" + percent_encode(step_100_pt),
                             serialize_tombstone_body(tombstone));
    EXPECT_EQ(reply.status, 204u);
    auto const inventory = co_await worker.inventory(key_of(step_100_pt));
    EXPECT_EQ(inventory.value().tombstones, std::vector<Tombstone>{tombstone});
    auto const other = co_await worker.inventory(key_of("other.pt"));
    EXPECT_TRUE(other.value().tombstones.empty());
    auto list = co_await put_chunks(worker, texts("a"));
    auto const target = co_await put_list(worker, list);
    Ref const ref{key_of(step_100_pt), generation, RefName{ShardIndex{0}}, target};
    auto const refused = co_await worker.put_ref(ref);
    EXPECT_EQ(kind_of(refused), ErrorKind::conflict);
  });
}

TEST(WorkerRefs, KeepsWhatIsExpectedIfItIsJson) {
  TestWorkers workers(1);
  workers.run([&]() -> Awaitable<void> {
    auto reply = co_await workers.ask(rank_1, http::verb::put, "/expected", R"({"a":1})");
    EXPECT_EQ(reply.status, 204u);
    reply = co_await workers.ask(rank_1, http::verb::put, "/expected", "{");
    EXPECT_EQ(reply.status, 400u);
    std::ifstream file(workers.data(rank_1) / "expected.json");
    std::string const kept(std::istreambuf_iterator<char>(file), {});
    EXPECT_EQ(kept, R"({"a":1})");
    std::string largest(limits::json_body_bytes_max, ' ');
    largest.front() = '1';
    reply = co_await workers.ask(rank_1, http::verb::put, "/expected", largest);
    EXPECT_EQ(reply.status, 204u);
    reply = co_await workers.ask(rank_1, http::verb::put, "/expected", largest + " ");
    EXPECT_EQ(reply.status, 400u);
  });
}

TEST(WorkerRefs, HealthSaysWhoIsThereAndWhetherTheInventoryChanged) {
  TestWorkers workers(2);
  workers.run([&]() -> Awaitable<void> {
    auto worker = workers.client(rank_2);
    auto const before = co_await worker.health();
    EXPECT_EQ(before.value().rank, rank_2);
    EXPECT_EQ(before.value().host, "pi4-2");
    EXPECT_EQ(before.value().format, 1u);
    EXPECT_GT(before.value().total_bytes, 0u);
    co_await put_shard(worker, std::string(step_100_pt), generation, texts("a"));
    auto const after = co_await worker.health();
    EXPECT_NE(before.value().inventory, after.value().inventory);
  });
}

}  // namespace
}  // namespace grove
