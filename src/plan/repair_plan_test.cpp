#include "plan/repair_plan.h"

#include <algorithm>
#include <random>
#include <set>

#include <gtest/gtest.h>

#include "plan/placement.h"

namespace grove {
namespace {

constexpr std::uint64_t shard_bytes = 100;

// A checkpoint of four shards on `workers_count` workers, stored by the book; tests then take away.
class RepairPlanTest : public testing::Test {
 protected:
  explicit RepairPlanTest(std::size_t workers_count = 4) : workers_(workers_count) {
    manifest_.identity = "run1/step_1/model.safetensors";
    manifest_.generation = Generation{7};
    manifest_.redundancy = 2;
    for (std::uint32_t shard = 0; shard < 4; ++shard) {
      manifest_.shards.push_back({.begin = shard * shard_bytes,
                                  .end = (shard + 1) * shard_bytes,
                                  .list = sha256(std::to_string(shard))});
    }
    for (auto& worker : workers_) worker.room_bytes = 1000;
    inventories_.resize(workers_count);
    for (std::size_t worker = 0; worker < workers_count; ++worker) {
      inventories_[worker].worker_index = worker;
    }
    auto const ring = place_copies(4, workers_count, 2).value();
    for (auto const& copy : ring) {
      hold(copy.worker_index, copy.shard.value);
    }
    for (std::size_t worker = 0; worker < workers_count; ++worker) hold_manifest(worker);
  }

  CheckpointKey key() const { return CheckpointKey::parse(manifest_.identity).value(); }

  void hold(std::size_t worker, std::uint32_t shard) {
    inventories_[worker].refs.push_back({.ref = {.key = key(),
                                                 .generation = manifest_.generation,
                                                 .name = RefName{ShardIndex{shard}},
                                                 .target = manifest_.shards[shard].list}});
  }
  void hold_manifest(std::size_t worker) {
    inventories_[worker].refs.push_back({.ref = {.key = key(),
                                                 .generation = manifest_.generation,
                                                 .name = RefName{},
                                                 .target = sha256("manifest")}});
  }
  void damage(std::size_t worker, std::uint32_t shard) {
    for (auto& held : inventories_[worker].refs) {
      if (held.ref.name.shard == ShardIndex{shard}) held.is_sound = false;
    }
  }
  void lose(std::size_t worker, WorkerState state) {
    workers_[worker] = {.state = state, .room_bytes = 0};
    inventories_[worker].refs.clear();
  }
  void drop(std::size_t worker, std::uint32_t shard) {
    std::erase_if(inventories_[worker].refs,
                  [&](HeldRef const& held) { return held.ref.name.shard == ShardIndex{shard}; });
  }

  void drop_manifest(std::size_t worker) {
    std::erase_if(inventories_[worker].refs,
                  [](HeldRef const& held) { return !held.ref.name.shard; });
  }

  std::string plan(std::uint32_t redundancy = 2) {
    auto workers = workers_;
    return plan_repair(manifest_, inventories_, workers, redundancy).text();
  }

  Manifest manifest_;
  std::vector<WorkerInventory> inventories_;
  std::vector<RepairWorker> workers_;
};

TEST_F(RepairPlanTest, HasNothingToDoWhereAllIsWell) {
  EXPECT_EQ(plan(), "");
}

TEST_F(RepairPlanTest, WaitsForAWorkerThatIsAway) {
  lose(2, WorkerState::away);
  EXPECT_EQ(plan(), "");
}

TEST_F(RepairPlanTest, MakesTheCopiesOfAWorkerThatIsGoneOnOthers) {
  lose(2, WorkerState::gone);
  EXPECT_EQ(plan(),
            "shard 1 to worker 0 from 1 (lost)\n"
            "shard 2 to worker 1 from 3 (lost)\n");
}

TEST_F(RepairPlanTest, GivesAnEmptyDiskItsCopiesAndTheManifestBack) {
  lose(2, WorkerState::there);
  workers_[2].room_bytes = 1000;
  EXPECT_EQ(plan(),
            "shard 1 to worker 2 from 1 (lost)\n"
            "shard 2 to worker 2 from 3 (lost)\n"
            "manifest to worker 2 from 0, 1, 3\n");
}

TEST_F(RepairPlanTest, MendsADamagedCopyWhereItLies) {
  damage(1, 0);
  workers_[1].room_bytes = 0;  // most of it is there already
  EXPECT_EQ(plan(), "shard 0 to worker 1 from 0 (damaged)\n");
}

TEST_F(RepairPlanTest, JoinsCopiesOfWhichNoneIsWhole) {
  damage(0, 0);
  damage(1, 0);
  EXPECT_EQ(plan(),
            "shard 0 to worker 0 from 1 (joined)\n"
            "shard 0 is short of copies\n");
  workers_[0].is_draining = true;  // it only gives
  EXPECT_NE(plan().find("shard 0 to worker 1 from 0 (joined)\n"), std::string::npos);
  workers_[0].is_draining = false;
  drop(0, 0);
  EXPECT_EQ(plan(), "shard 0 is short of copies\n");
}

TEST_F(RepairPlanTest, JoinsManifestsOfWhichNoneIsWhole) {
  for (auto& inventory : inventories_) {
    for (auto& held : inventory.refs) {
      if (!held.ref.name.shard) held.is_sound = false;
    }
  }
  auto const found = plan_repair(manifest_, inventories_, workers_, 2);
  EXPECT_EQ(found.manifests, (std::vector<std::size_t>{0, 1, 2, 3}));
  EXPECT_EQ(found.manifest_holders, found.manifests);
}

TEST_F(RepairPlanTest, SendsAStandInsCopyHomeAndThenDropsIt) {
  drop(2, 2);
  hold(0, 2);
  EXPECT_EQ(plan(), "shard 2 to worker 2 from 0, 3 (home)\n");
  hold(2, 2);
  EXPECT_EQ(plan(), "shard 2 off worker 0, kept by 2, 3\n");
}

TEST_F(RepairPlanTest, DropsNothingWhileAHomeIsAway) {
  hold(0, 2);
  lose(2, WorkerState::away);
  EXPECT_EQ(plan(), "");
}

TEST_F(RepairPlanTest, CountsAWorkerThatIsAwayOnce) {
  lose(2, WorkerState::away);
  damage(3, 2);  // the other copy of shard 2
  EXPECT_EQ(plan(), "shard 2 is short of copies\n");
}

TEST_F(RepairPlanTest, CountsNobodyThatWasAwayWhenItWasStored) {
  lose(2, WorkerState::away);
  workers_[2].away_since_ms = manifest_.generation.value - 1;
  hold(0, 1);  // stand-ins
  hold(1, 2);
  EXPECT_EQ(plan(), "");
  damage(1, 2);
  EXPECT_EQ(plan(), "shard 2 to worker 1 from 3 (damaged)\n");
}

TEST_F(RepairPlanTest, DropsADamagedCopyThatIsSurplus) {
  hold(0, 2);
  damage(0, 2);
  EXPECT_EQ(plan(), "shard 2 off worker 0, kept by 2, 3\n");
}

TEST_F(RepairPlanTest, KeepsTheThirdCopyOfWhatWasPromisedThree) {
  manifest_.redundancy = 3;
  for (std::uint32_t shard = 0; shard < 4; ++shard) hold((shard + 2) % 4, shard);
  EXPECT_EQ(plan(2), "");
  lose(1, WorkerState::away);
  EXPECT_EQ(plan(2), "");
}

TEST_F(RepairPlanTest, FillsByRoom) {
  lose(2, WorkerState::gone);
  workers_[0].room_bytes = 150;
  workers_[1].room_bytes = 1000;
  workers_[3].room_bytes = 99;
  // Shard 1 is on worker 1 already, so worker 0 is left for it, though it has less room.
  EXPECT_EQ(plan(),
            "shard 1 to worker 0 from 1 (lost)\n"
            "shard 2 to worker 1 from 3 (lost)\n");
  workers_[0].room_bytes = 99;
  EXPECT_EQ(plan(),
            "shard 2 to worker 1 from 3 (lost)\n"
            "shard 1 is short of copies\n");
}

TEST_F(RepairPlanTest, SaysWhatCannotBeMadeFromAnybody) {
  lose(2, WorkerState::gone);
  lose(3, WorkerState::gone);
  EXPECT_EQ(plan(),
            "shard 1 to worker 0 from 1 (lost)\n"
            "shard 3 to worker 1 from 0 (lost)\n"
            "shard 2 is short of copies\n");
}

TEST_F(RepairPlanTest, MakesMoreCopiesWhereTheConfigWantsMore) {
  EXPECT_EQ(plan(3),
            "shard 0 to worker 2 from 0, 1 (lost)\n"
            "shard 1 to worker 3 from 1, 2 (lost)\n"
            "shard 2 to worker 0 from 2, 3 (lost)\n"
            "shard 3 to worker 1 from 0, 3 (lost)\n");
}

TEST_F(RepairPlanTest, NeverFewerThanTheManifestPromises) {
  EXPECT_EQ(plan(1), "");
}

TEST_F(RepairPlanTest, TakesNoOtherContentForACopy) {
  for (auto& held : inventories_[1].refs) {
    if (held.ref.name.shard == ShardIndex{0}) held.ref.target = sha256("other content");
  }
  EXPECT_EQ(plan(), "shard 0 to worker 1 from 0 (lost)\n");
}

TEST_F(RepairPlanTest, EmptiesAWorkerThatIsToGo) {
  workers_[2].is_draining = true;
  EXPECT_EQ(plan(),
            "shard 1 to worker 0 from 1, 2 (leaving)\n"
            "shard 2 to worker 1 from 2, 3 (leaving)\n");
  hold(0, 1);
  hold(1, 2);
  EXPECT_EQ(plan(),
            "shard 1 off worker 2, kept by 1, 0\n"
            "shard 2 off worker 2, kept by 3, 1\n");
  drop(2, 1);
  drop(2, 2);
  EXPECT_EQ(plan(), "manifest off worker 2, kept by 0, 1, 3\n");
  drop_manifest(2);
  EXPECT_EQ(plan(), "");
}

TEST_F(RepairPlanTest, AWorkerThatIsToGoTakesNothing) {
  workers_[2].is_draining = true;
  drop(2, 1);
  drop(2, 2);
  EXPECT_EQ(plan(),
            "shard 1 to worker 0 from 1 (lost)\n"
            "shard 2 to worker 1 from 3 (lost)\n"
            "manifest off worker 2, kept by 0, 1, 3\n");
}

TEST_F(RepairPlanTest, KeepsWhatNobodyElseCanTakeFromAWorkerThatIsToGo) {
  workers_[2].is_draining = true;
  for (auto& worker : workers_) worker.room_bytes = 10;
  EXPECT_EQ(plan(),
            "shard 1 is short of copies\n"
            "shard 2 is short of copies\n");
}

TEST_F(RepairPlanTest, EmptiesAWorkerThoughAHomeIsAway) {
  workers_[2].is_draining = true;
  lose(1, WorkerState::away);
  hold(0, 1);
  hold(3, 1);
  EXPECT_EQ(plan(),
            "shard 2 to worker 0 from 2, 3 (leaving)\n"
            "shard 1 off worker 2, kept by 0, 3\n");
}

TEST_F(RepairPlanTest, EmptiesAStandInWhoseHomeIsAwayAndMayHaveNothing) {
  drop(2, 1);
  drop(2, 2);
  hold(3, 1);
  hold(0, 2);
  drop_manifest(2);
  lose(2, WorkerState::away);  // since when is not known
  EXPECT_EQ(plan(), "");
  workers_[0].is_draining = true;
  EXPECT_EQ(plan(),
            "shard 0 to worker 3 from 0, 1 (leaving)\n"
            "shard 2 to worker 1 from 0, 3 (leaving)\n"
            "shard 3 to worker 1 from 0, 3 (leaving)\n");
}

TEST_F(RepairPlanTest, DropsAManifestThatLeadsToNothing) {
  drop(2, 1);
  drop(2, 2);
  hold(0, 1);
  hold(1, 2);
  lose(2, WorkerState::gone);
  hold_manifest(2);
  workers_[2].is_draining = true;
  EXPECT_EQ(plan(), "manifest off worker 2, kept by 0, 1, 3\n");
}

class RepairPlanOfFiveTest : public RepairPlanTest {
 protected:
  RepairPlanOfFiveTest() : RepairPlanTest(4) {
    workers_.push_back({.state = WorkerState::there, .room_bytes = 1000});
    inventories_.push_back({.worker_index = 4, .refs = {}});
  }
};

TEST_F(RepairPlanOfFiveTest, AddingAWorkerMovesOnlyWhatTheRingMoves) {
  EXPECT_EQ(plan(),
            "shard 3 to worker 4 from 0, 3 (home)\n"
            "manifest to worker 4 from 0, 1, 2, 3\n");
}

// Carried out to the letter any plan leads to a cluster that needs none, never below the copies
// that were there.
TEST_F(RepairPlanTest, ConvergesFromAnyStateThatLacksNoShard) {
  std::mt19937 random(1);
  for (int round = 0; round < 2000; ++round) {
    auto const before = inventories_;
    std::set<std::pair<std::size_t, std::uint32_t>> held;
    for (auto& inventory : inventories_) inventory.refs.clear();
    for (std::uint32_t shard = 0; shard < 4; ++shard) {
      held.emplace(random() % 4, shard);  // one at least
      for (std::size_t worker = 0; worker < 4; ++worker) {
        if (random() % 2 == 0) held.emplace(worker, shard);
      }
    }
    for (auto const& [worker, shard] : held) hold(worker, shard);
    hold_manifest(random() % 4);
    int steps = 0;
    for (; plan() != ""; ++steps) {
      ASSERT_LT(steps, 4) << "round " << round;
      auto workers = workers_;
      auto const planned = plan_repair(manifest_, inventories_, workers, 2);
      for (auto const& copy : planned.copies) hold(copy.to, copy.shard.value);
      for (auto const worker : planned.manifests) hold_manifest(worker);
      for (auto const& dropped : planned.drops) {
        for (auto const witness : dropped.witnesses) ASSERT_NE(witness, dropped.from);
        drop(dropped.from, dropped.shard.value);
      }
      for (auto const& dropped : planned.manifest_drops) drop_manifest(dropped.from);
    }
    for (std::uint32_t shard = 0; shard < 4; ++shard) {
      auto const copies =
          std::ranges::count_if(inventories_, [&](WorkerInventory const& inventory) {
            return std::ranges::any_of(inventory.refs, [&](HeldRef const& ref) {
              return ref.ref.name.shard == ShardIndex{shard};
            });
          });
      ASSERT_EQ(copies, 2) << "round " << round;
    }
    inventories_ = before;
  }
}

}  // namespace
}  // namespace grove
