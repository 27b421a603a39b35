// What a coordinator does, step by step, in the order of the real one (coordinator/store_job.h,
// repair.h, forget.h): it decides by src/plan alone, from what the workers answer, and between any
// two of its steps something may go wrong.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/config.h"
#include "ledger.h"
#include "plan/keeping.h"
#include "plan/repair_plan.h"
#include "world.h"

namespace grove::simulation {

// Thrown by a step that killed the coordinator: what it knew is gone.
struct CoordinatorKilled {};

struct Checks;

class Coordinator {
 public:
  // `step` is called between any two effects.
  Coordinator(World& world, Ledger& ledger, Checks& checks, std::function<void()> step);

  enum class Outcome { done, failed };
  Outcome store(std::string const& identity, std::uint64_t content);
  Outcome gather(std::string const& identity);
  // Returns how many steps the plans had.
  std::size_t repair(std::uint32_t generations, Retention const& retention);
  Outcome forget(std::string const& identity);

  // Of the last repair, as they print themselves.
  std::string const& plans() const { return plans_; }

 private:
  struct View {
    std::vector<std::size_t> workers;          // of the config, world indexes
    std::vector<WorkerInventory> inventories;  // by config index
    std::vector<bool> answers;                 // by config index
    std::map<CheckpointKey, Generation> forgotten;
  };
  View survey() const;
  std::vector<RepairWorker> repair_workers(View const& view) const;
  Worker& at(View const& view, std::size_t index) { return world_.workers[view.workers[index]]; }
  std::optional<Manifest> fetch(View const& view, GenerationView const& generation);
  std::vector<Manifest> complete_manifests(View const& view);

  bool put_copy(View const& view, std::size_t index, Ref const& ref, std::uint64_t bytes);
  bool make_copy(View const& view, Manifest const& manifest, CopyToMake const& copy);
  bool drop(View const& view, Ref const& ref, std::size_t from,
            std::vector<std::size_t> const& witnesses, std::optional<Generation> newer);
  // Up to which generation of each checkpoint is to go.
  std::map<CheckpointKey, Generation> keep(View const& view, std::vector<Manifest> const& complete,
                                           std::uint32_t generations, Retention const& retention);
  void check_enough(View const& view, std::vector<RepairWorker> const& workers,
                    Manifest const& manifest, RepairPlan const& plan);
  void check_plan(View const& view, std::vector<RepairWorker> const& workers,
                  Manifest const& manifest, RepairPlan const& plan);
  void check_done(Manifest const& manifest, std::vector<std::vector<std::size_t>> const& copies);

  World& world_;
  Ledger& ledger_;
  Checks& checks_;
  std::function<void()> step_;
  std::string plans_;
};

}  // namespace grove::simulation
