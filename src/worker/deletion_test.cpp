#include "worker/deletion.h"

#include <string>

#include "net/parallel.h"
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

std::optional<ErrorKind> proof(Ref const& ref, std::vector<RefReport> const& has) {
  return kind_of(prove(ref, std::nullopt, {}, has));
}

std::optional<ErrorKind> proof_of_newer(std::vector<RefReport> const& has) {
  std::vector<RefName> const holds{manifest_name, shard_0};
  return kind_of(prove(ref_of(5, shard_0, "list"), Generation{6}, holds, has));
}

TEST(DeletionProof, IsTheSameShardWhole) {
  auto const ref = ref_of(5, shard_0, "list");
  EXPECT_EQ(proof(ref, {}), ErrorKind::conflict);
  EXPECT_EQ(proof(ref, {report_of(ref, 1)}), ErrorKind::conflict);
  EXPECT_EQ(proof(ref, {report_of(ref_of(5, shard_0, "another list"), 0)}), ErrorKind::conflict);
  EXPECT_EQ(proof(ref, {report_of(ref_of(5, RefName{ShardIndex{1}}, "list"), 0)}),
            ErrorKind::conflict);
  EXPECT_EQ(proof(ref, {report_of(ref, 0)}), std::nullopt);
}

TEST(DeletionProof, IsAllThatTheWitnessIsSaidToHoldOfTheNewerGeneration) {
  auto const shard = report_of(ref_of(6, shard_0, "new list"), 0);
  auto const manifest = report_of(ref_of(6, manifest_name, "manifest"), 0);
  EXPECT_EQ(proof_of_newer({shard}), ErrorKind::conflict);
  EXPECT_EQ(proof_of_newer({manifest}), ErrorKind::conflict);
  EXPECT_EQ(proof_of_newer({shard, manifest}), std::nullopt);
  EXPECT_EQ(proof_of_newer({report_of(shard.ref, 1), manifest}), ErrorKind::conflict);
  auto const later = report_of(ref_of(7, shard_0, "new list"), 0);
  EXPECT_EQ(proof_of_newer({later, manifest}), ErrorKind::conflict) << "of another generation";
}

TEST(DeletionProof, IsANewerGenerationWhateverTheWitnessHasOfTheOldOne) {
  EXPECT_EQ(proof_of_newer({report_of(ref_of(5, shard_0, "list"), 1),
                            report_of(ref_of(6, shard_0, "new list"), 0),
                            report_of(ref_of(6, manifest_name, "manifest"), 0)}),
            std::nullopt);
}

// What a deletion of `ref` at `rank` is answered with, witnessed by the others given.
Awaitable<std::optional<ErrorKind>> try_delete(TestWorkers& workers, Rank rank, Ref ref,
                                               std::vector<WorkerAddress> witnesses,
                                               std::string coordinator = "coordinator-1") {
  auto worker = workers.client(rank);
  std::vector<DeletionWitness> same;
  for (auto const& witness : witnesses) same.push_back({.address = witness});
  auto const deleted = co_await worker.delete_ref(ref, coordinator, same);
  co_return kind_of(deleted);
}

// … because the worker of `by` holds these of generation 6.
Awaitable<std::optional<ErrorKind>> try_supersede(TestWorkers& workers, Rank rank, Ref ref, Rank by,
                                                  std::vector<RefName> holds) {
  auto worker = workers.client(rank);
  std::vector<DeletionWitness> witnesses;
  witnesses.push_back({.address = workers.address(by), .holds = std::move(holds)});
  auto const deleted = co_await worker.delete_ref(ref, "coordinator-1", witnesses, Generation{6});
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

TEST(WorkerDeletion, OfASupersededGenerationNeedsAllThatTheWitnessIsSaidToHold) {
  TestWorkers workers(2);
  workers.run([&]() -> Awaitable<void> {
    auto first = workers.client(rank_1);
    auto second = workers.client(rank_2);
    auto const old = co_await put_shard(first, std::string(identity), Generation{5}, texts("a"));
    auto const old_manifest = co_await put_commit(first, old, 1);
    std::vector<RefName> const both{manifest_name, shard_0};
    auto kind = co_await try_supersede(workers, rank_1, old, rank_2, both);
    EXPECT_EQ(kind, ErrorKind::conflict) << "it holds nothing yet";
    auto const fresh = co_await put_shard(second, std::string(identity), Generation{6}, texts("b"));
    kind = co_await try_supersede(workers, rank_1, old, rank_2, both);
    EXPECT_EQ(kind, ErrorKind::conflict) << "no manifest";
    co_await put_commit(second, fresh, 1);
    std::vector<RefName> const too_much{manifest_name, shard_0, RefName{ShardIndex{1}}};
    kind = co_await try_supersede(workers, rank_1, old, rank_2, too_much);
    EXPECT_EQ(kind, ErrorKind::conflict) << "a shard that it has not";
    std::vector<RefName> const shard_alone{shard_0};
    kind = co_await try_supersede(workers, rank_1, old, rank_2, shard_alone);
    EXPECT_EQ(kind, ErrorKind::conflict) << "nobody is said to hold the manifest";
    kind = co_await try_supersede(workers, rank_1, fresh, rank_2, both);
    EXPECT_EQ(kind, ErrorKind::invalid) << "not newer";
    kind = co_await try_supersede(workers, rank_1, old, rank_2, both);
    EXPECT_EQ(kind, std::nullopt);
    kind = co_await try_supersede(workers, rank_1, old_manifest, rank_2, both);
    EXPECT_EQ(kind, std::nullopt);
    co_await expect_refs(workers, rank_1, 0);
  });
}

TEST(WorkerDeletion, OfASupersededGenerationMayBeProvenByAWitnessWhoseOldCopyIsDamaged) {
  TestWorkers workers(2);
  workers.run([&]() -> Awaitable<void> {
    auto first = workers.client(rank_1);
    auto second = workers.client(rank_2);
    auto const old = co_await put_shard(first, std::string(identity), Generation{5}, texts("a"));
    co_await put_commit(first, old, 1);
    co_await put_shard(second, std::string(identity), Generation{5}, texts("a"));
    auto const fresh = co_await put_shard(second, std::string(identity), Generation{6}, texts("b"));
    co_await put_commit(second, fresh, 1);
    workers.damage_chunk(rank_2, sha256("a"));
    std::vector<RefName> const both{manifest_name, shard_0};
    auto const kind = co_await try_supersede(workers, rank_1, old, rank_2, both);
    EXPECT_EQ(kind, std::nullopt);
  });
}

TEST(WorkerDeletion, OfASupersededGenerationIsProvenByTheOnlyWorkerItself) {
  TestWorkers workers(1);
  workers.run([&]() -> Awaitable<void> {
    auto worker = workers.client(rank_1);
    auto const old = co_await put_shard(worker, std::string(identity), Generation{5}, texts("a"));
    co_await put_commit(worker, old, 1);
    auto const fresh = co_await put_shard(worker, std::string(identity), Generation{6}, texts("b"));
    co_await put_commit(worker, fresh, 1);
    std::vector<RefName> const both{manifest_name, shard_0};
    workers.damage_chunk(rank_1, sha256("b"));
    auto kind = co_await try_supersede(workers, rank_1, old, rank_1, both);
    EXPECT_EQ(kind, ErrorKind::conflict) << "its newer one is damaged";
    co_await put_chunks(worker, texts("b"));
    auto const synced = co_await worker.sync();
    EXPECT_TRUE(synced.has_value());
    kind = co_await try_supersede(workers, rank_1, old, rank_1, both);
    EXPECT_EQ(kind, std::nullopt);
    co_await expect_refs(workers, rank_1, 3);
  });
}

TEST(WorkerDeletion, OfTwoCoordinatorsThatNameEachOthersCopiesTakesNotBoth) {
  TestWorkers workers(2);
  workers.run([&]() -> Awaitable<void> {
    auto first = workers.client(rank_1);
    auto second = workers.client(rank_2);
    auto const shard = co_await put_shard(first, std::string(identity), Generation{5}, texts("a"));
    co_await put_commit(first, shard, 1);
    co_await put_shard(second, std::string(identity), Generation{5}, texts("a"));
    co_await put_commit(second, shard, 1);
    // At the same time, as fast as the workers let them.
    std::vector<std::optional<ErrorKind>> kinds(2);
    auto const one = [&](std::size_t index, Rank at, Rank by) -> Awaitable<void> {
      std::vector<WorkerAddress> const witness{workers.address(by)};
      kinds[index] = co_await try_delete(workers, at, shard, witness,
                                         fmt::format("coordinator-{}", index + 1));
    };
    std::vector<Awaitable<void>> both;
    both.push_back(one(0, rank_1, rank_2));
    both.push_back(one(1, rank_2, rank_1));
    co_await run_all(std::move(both));
    EXPECT_FALSE(kinds[0] == std::nullopt && kinds[1] == std::nullopt);
    auto const left_1 = co_await first.inventory({});
    auto const left_2 = co_await second.inventory({});
    EXPECT_GE(left_1.value().refs.size() + left_2.value().refs.size(), 3U);
  });
}

TEST(WorkerDeletion, IsRefusedByAWitnessOfAnotherCoordinator) {
  TestWorkers workers(2);
  workers.run([&]() -> Awaitable<void> {
    auto first = workers.client(rank_1);
    auto second = workers.client(rank_2);
    auto const shard = co_await put_shard(first, std::string(identity), Generation{5}, texts("a"));
    co_await put_commit(first, shard, 1);
    co_await put_shard(second, std::string(identity), Generation{5}, texts("a"));
    auto const manifest = co_await put_commit(second, shard, 1);
    std::vector<WorkerAddress> witness{workers.address(rank_2)};
    auto kind = co_await try_delete(workers, rank_1, shard, witness);
    EXPECT_EQ(kind, std::nullopt);
    // What the witness has vouched for it does not give away to somebody who does not know of it.
    witness = {workers.address(rank_1)};
    kind = co_await try_delete(workers, rank_2, shard, witness, "coordinator-2");
    EXPECT_EQ(kind, ErrorKind::conflict);
    co_await expect_refs(workers, rank_2, 2);
  });
}

}  // namespace
}  // namespace grove
