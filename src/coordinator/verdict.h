// How safe one generation of a checkpoint is: its copies as the workers have them, against those
// that it should have, in a word and in words for people. Pure.
// Not here: asking the workers (members.h), the JSON of it all (overview_json.h).
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/config.h"
#include "format/manifest.h"
#include "plan/gather_plan.h"
#include "plan/repair_plan.h"

namespace grove {

enum class Verdict {
  safe,          // every shard, and the header with the manifest, has its copies
  healing,       // one of them has fewer than it should, and the missing ones are being made
  at_risk,       // one has fewer than it should, and for now nobody makes another
  out_of_reach,  // one has none on the workers that answer, and not all answer
  lost,          // one has none, and all workers answer
  unfinished,    // it has no manifest: its store did not end
};
inline constexpr Verdict all_verdicts[] = {Verdict::safe,    Verdict::healing,
                                           Verdict::at_risk, Verdict::out_of_reach,
                                           Verdict::lost,    Verdict::unfinished};

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
  std::size_t wanted_each = 0;         // of each shard, and of the header with the manifest
  std::size_t headers = 0;             // sound ones, each with its manifest
  std::size_t fewest = 0;              // of any one shard, or the header
  std::vector<std::uint32_t> nowhere;  // shards without any
  std::set<std::size_t> holders;       // worker indexes
  std::set<std::size_t> damaged;  // that have a copy, or the header, without some of its chunks

  bool is_safe() const { return fewest >= wanted_each; }
  // When the copy that was read last the longest ago was read, or stored where it never was, in ms
  // of the wall clock. None without copies.
  std::optional<std::int64_t> proven_ms;
};

// `redundancy`: the config's.
CopyCount count_copies(Manifest const& manifest, std::span<WorkerInventory const> inventories,
                       std::uint32_t redundancy);

// Those of the workers that answer that lack a copy which a store would put there, by index.
std::set<std::size_t> workers_that_lack(Manifest const& manifest,
                                        std::span<WorkerInventory const> inventories,
                                        std::set<std::size_t> const& answering, RingSize ring);

// All workers of the config, as of one look, for judging what they hold.
struct Circumstances {
  std::vector<RepairWorker> workers;
  std::vector<std::string> hosts;  // as people call them
  std::uint32_t redundancy = 0;    // the config's
  bool repairs_by_itself = false;
  std::chrono::milliseconds repair_after{};

  bool all_answer() const;
};

struct Judgement {
  Verdict verdict = Verdict::unfinished;
  // "at risk: 1 of 2 copies; pi4-3 does not answer: after 10 min the copies
  // are made again elsewhere"
  std::string words;
};

// Of a generation with a manifest.
Judgement judge(Manifest const& manifest, CopyCount const& copies,
                std::span<WorkerInventory const> inventories, Circumstances const& circumstances);

}  // namespace grove
