// What was promised: which content each checkpoint was acknowledged with, what was forgotten, and
// which losses the faults alone account for.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "format/manifest.h"
#include "format/ref.h"
#include "world.h"

namespace grove::simulation {

struct Acknowledged {
  Manifest manifest;
  Digest digest;             // of the manifest
  bool may_be_lost = false;  // a fault took the last copy of a shard
};

struct Ledger {
  // By checkpoint, by generation. Only generations that a store has said Done for.
  std::map<CheckpointKey, std::map<Generation, Acknowledged>> done;
  // Every manifest that a store meant to commit: a gather may give one that nobody was told of.
  std::map<Digest, Manifest> attempted;
  // Forgotten on purpose, and acknowledged as such.
  std::map<CheckpointKey, Generation> forgotten;
  std::set<CheckpointKey> forgetting_may_fail;  // faults took every tombstone

  // From now on these are not promised any more.
  void may_go(CheckpointKey const& key, Generation up_to) {
    std::erase_if(done[key], [&](auto const& entry) { return entry.first <= up_to; });
  }

  std::optional<Generation> newest(CheckpointKey const& key) const {
    auto const found = done.find(key);
    if (found == done.end() || found->second.empty()) return std::nullopt;
    return found->second.rbegin()->first;
  }
};

}  // namespace grove::simulation
