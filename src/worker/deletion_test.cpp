#include "worker/deletion.h"

#include <string>

#include "worker/test_workers.h"

namespace grove {
namespace {

constexpr std::string_view identity = "run1/model.pt";

Ref ref_of(std::uint64_t generation, RefName name, std::string_view target) {
  return {key_of(identity), Generation{generation}, name, sha256(target)};
}

RefReport report_of(Ref ref, std::uint64_t missing_count) {
  return {.ref = std::move(ref), .missing_count = missing_count, .bytes = 1, .verified_ms = {}};
}

RefName const shard_0{ShardIndex{0}};
RefName const manifest_name{};

TEST(DeletionProof, IsTheSameShardWhole) {
  auto const ref = ref_of(5, shard_0, "list");
  InventoryPage inventory;
  EXPECT_EQ(kind_of(prove_by_inventory(ref, inventory)), ErrorKind::conflict);
  inventory.refs = {report_of(ref, 1)};
  EXPECT_EQ(kind_of(prove_by_inventory(ref, inventory)), ErrorKind::conflict);
  inventory.refs = {report_of(ref_of(5, shard_0, "another list"), 0)};
  EXPECT_EQ(kind_of(prove_by_inventory(ref, inventory)), ErrorKind::conflict);
  inventory.refs = {report_of(ref_of(5, RefName{ShardIndex{1}}, "list"), 0)};
  EXPECT_EQ(kind_of(prove_by_inventory(ref, inventory)), ErrorKind::conflict);
  inventory.refs = {report_of(ref, 0)};
  EXPECT_TRUE(prove_by_inventory(ref, inventory).has_value());
}

TEST(DeletionProof, IsANewerCompleteGenerationWhole) {
  auto const ref = ref_of(5, shard_0, "list");
  InventoryPage inventory;
  inventory.refs = {report_of(ref_of(6, shard_0, "new list"), 0)};
  EXPECT_EQ(kind_of(prove_by_inventory(ref, inventory)), ErrorKind::conflict);  // unfinished
  inventory.refs.push_back(report_of(ref_of(6, manifest_name, "manifest"), 0));
  EXPECT_TRUE(prove_by_inventory(ref, inventory).has_value());
  inventory.refs.front().missing_count = 1;
  EXPECT_EQ(kind_of(prove_by_inventory(ref, inventory)), ErrorKind::conflict);
  inventory.refs = {report_of(ref_of(4, manifest_name, "manifest"), 0)};
  EXPECT_EQ(kind_of(prove_by_inventory(ref, inventory)), ErrorKind::conflict);
}

TEST(DeletionProof, IsNoNewerGenerationOfWhoseOwnCopyOfTheSameIsDamaged) {
  auto const ref = ref_of(5, shard_0, "list");
  InventoryPage inventory;
  inventory.refs = {report_of(ref, 1), report_of(ref_of(6, shard_0, "new list"), 0),
                    report_of(ref_of(6, manifest_name, "manifest"), 0)};
  EXPECT_EQ(kind_of(prove_by_inventory(ref, inventory)), ErrorKind::conflict);
}

// What a deletion of `ref` at `rank` is answered with, witnessed by the others given.
Awaitable<std::optional<ErrorKind>> try_delete(TestWorkers& workers, Rank rank, Ref ref,
                                               std::vector<WorkerAddress> witnesses,
                                               std::string coordinator = "coordinator-1") {
  auto worker = workers.client(rank);
  auto const deleted = co_await worker.delete_ref(ref, coordinator, std::move(witnesses));
  co_return kind_of(deleted);
}

Awaitable<void> expect_refs(TestWorkers& workers, Rank rank, std::size_t count) {
  auto worker = workers.client(rank);
  auto const inventory = co_await worker.inventory({});
  EXPECT_EQ(inventory.value().refs.size(), count);
}

TEST(WorkerDeletion, OfAnUnfinishedGenerationNeedsNoWitness) {
  TestWorkers workers(1);
  workers.run([&]() -> Awaitable<void> {
    auto worker = workers.client(rank_1);
    auto const ref = co_await put_shard(worker, std::string(identity), Generation{5}, texts("a"));
    std::vector<WorkerAddress> const nobody;
    auto kind = co_await try_delete(workers, rank_1, ref, nobody);
    EXPECT_EQ(kind, std::nullopt);
    co_await expect_refs(workers, rank_1, 0);
    kind = co_await try_delete(workers, rank_1, ref, nobody);
    EXPECT_EQ(kind, std::nullopt) << "again is fine";
  });
}

TEST(WorkerDeletion, OfACompleteGenerationNeedsAWitnessThatHoldsTheSame) {
  TestWorkers workers(2);
  workers.run([&]() -> Awaitable<void> {
    auto first = workers.client(rank_1);
    auto const shard = co_await put_shard(first, std::string(identity), Generation{5}, texts("a"));
    auto const manifest = co_await put_commit(first, shard, 1);
    std::vector<WorkerAddress> const nobody;
    std::vector<WorkerAddress> const second_worker{workers.address(rank_2)};
    auto kind = co_await try_delete(workers, rank_1, shard, nobody);
    EXPECT_EQ(kind, ErrorKind::conflict);
    kind = co_await try_delete(workers, rank_1, shard, second_worker);
    EXPECT_EQ(kind, ErrorKind::conflict) << "it holds nothing yet";
    auto second = workers.client(rank_2);
    co_await put_shard(second, std::string(identity), Generation{5}, texts("a"));
    co_await put_commit(second, shard, 1);
    kind = co_await try_delete(workers, rank_1, manifest, second_worker);
    EXPECT_EQ(kind, ErrorKind::conflict) << "the manifest goes last";
    kind = co_await try_delete(workers, rank_1, shard, second_worker);
    EXPECT_EQ(kind, std::nullopt);
    kind = co_await try_delete(workers, rank_1, manifest, second_worker);
    EXPECT_EQ(kind, std::nullopt);
    co_await expect_refs(workers, rank_1, 0);
    co_await expect_refs(workers, rank_2, 2);
  });
}

TEST(WorkerDeletion, TrustsNoWitnessThatIsItselfAStrangerOrGone) {
  TestWorkers workers(2);
  workers.run([&]() -> Awaitable<void> {
    auto first = workers.client(rank_1);
    auto second = workers.client(rank_2);
    auto const shard = co_await put_shard(first, std::string(identity), Generation{5}, texts("a"));
    co_await put_commit(first, shard, 1);
    co_await put_shard(second, std::string(identity), Generation{5}, texts("a"));
    co_await put_commit(second, shard, 1);
    std::vector<WorkerAddress> witnesses{workers.address(rank_1)};
    auto kind = co_await try_delete(workers, rank_1, shard, witnesses);
    EXPECT_EQ(kind, ErrorKind::invalid) << "itself";
    witnesses = {workers.address(rank_2)};
    witnesses.front().id = std::string(32, 'f');
    kind = co_await try_delete(workers, rank_1, shard, witnesses);
    EXPECT_EQ(kind, ErrorKind::conflict) << "another id";
    witnesses = {workers.address(rank_2)};
    co_await workers.stop(rank_2);
    kind = co_await try_delete(workers, rank_1, shard, witnesses);
    EXPECT_EQ(kind, ErrorKind::conflict) << "gone";
    co_await expect_refs(workers, rank_1, 2);
  });
}

TEST(WorkerDeletion, IsNotJustifiedByACopyThatItsDiskHasDamaged) {
  TestWorkers workers(2);
  workers.run([&]() -> Awaitable<void> {
    auto first = workers.client(rank_1);
    auto second = workers.client(rank_2);
    auto const shard = co_await put_shard(first, std::string(identity), Generation{5}, texts("a"));
    co_await put_commit(first, shard, 1);
    co_await put_shard(second, std::string(identity), Generation{5}, texts("a"));
    co_await put_commit(second, shard, 1);
    workers.damage_chunk(rank_2, sha256("a"));
    std::vector<WorkerAddress> const witnesses{workers.address(rank_2)};
    auto const kind = co_await try_delete(workers, rank_1, shard, witnesses);
    EXPECT_EQ(kind, ErrorKind::conflict);
    co_await expect_refs(workers, rank_1, 2);
  });
}

TEST(WorkerDeletion, IsRefusedToASecondCoordinatorSoonAfter) {
  TestWorkers workers(1);
  workers.run([&]() -> Awaitable<void> {
    auto worker = workers.client(rank_1);
    auto const first = co_await put_shard(worker, std::string(identity), Generation{5}, texts("a"));
    auto const second =
        co_await put_shard(worker, std::string(identity), Generation{6}, texts("a"));
    std::vector<WorkerAddress> const nobody;
    auto kind = co_await try_delete(workers, rank_1, first, nobody);
    EXPECT_EQ(kind, std::nullopt);
    kind = co_await try_delete(workers, rank_1, second, nobody, "coordinator-2");
    EXPECT_EQ(kind, ErrorKind::conflict);
    kind = co_await try_delete(workers, rank_1, second, nobody, "");
    EXPECT_EQ(kind, ErrorKind::invalid);
    kind = co_await try_delete(workers, rank_1, second, nobody);
    EXPECT_EQ(kind, std::nullopt);
  });
}

}  // namespace
}  // namespace grove
