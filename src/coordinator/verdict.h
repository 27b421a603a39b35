// How safe one generation of a checkpoint is: its copies as the workers have them, against those
// that it should have. Pure.
// Not here: asking the workers (members.h), the words and JSON of it all (overview.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <string_view>

#include "format/manifest.h"
#include "plan/gather_plan.h"

namespace grove {

enum class Verdict {
  safe,          // every shard has its copies
  at_risk,       // a shard has fewer than it should
  out_of_reach,  // a shard has none on the workers that answer, and not all answer
  lost,          // a shard has none, and all workers answer
  unfinished,    // it has no manifest: its store did not end
};
inline constexpr Verdict all_verdicts[] = {Verdict::safe, Verdict::at_risk, Verdict::out_of_reach,
                                           Verdict::lost, Verdict::unfinished};

// "at_risk"
std::string_view to_string(Verdict verdict);

// Of a config: how many workers there are, and how many copies a shard gets.
struct RingSize {
  std::size_t workers_count = 0;
  std::uint32_t redundancy = 0;
};

struct CopyCount {
  std::size_t live = 0;  // over all shards, each worker's sound copy
  std::size_t wanted = 0;
  std::size_t fewest = 0;         // of any one shard
  std::set<std::size_t> holders;  // worker indexes
};

CopyCount count_copies(Manifest const& manifest, std::span<WorkerInventory const> inventories);

// Those of the workers that answer that lack a copy which a store would put there, by index.
std::set<std::size_t> workers_that_lack(Manifest const& manifest,
                                        std::span<WorkerInventory const> inventories,
                                        std::set<std::size_t> const& answering, RingSize ring);

// Of a generation with a manifest. `all_answer`: every worker of the config was heard.
Verdict judge(CopyCount const& copies, Manifest const& manifest, bool all_answer);

}  // namespace grove
