// What the API says is stored (GET /checkpoints?brief=true), who is there (GET
// /workers?copies=false) and who was told (PUT /expected), as far as the watcher needs it. Not
// here: the calls. Threads: values; pure.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "watcher/settle.h"

namespace grove {

// The newest complete generation of a checkpoint.
struct StoredCheckpoint {
  std::uint64_t generation = 0;
  std::uint64_t bytes = 0;
  std::int64_t mtime_ns = 0;
  std::uint64_t shards_count = 0;
  bool is_safe = false;     // every shard has its copies on workers that answer
  bool is_healing = false;  // the coordinator makes what is missing from the other copies
  bool is_lacking = false;  // a worker that answers lacks a copy that it should have
  std::string verdict;      // for people, of one that is not safe
};

struct ForgottenCheckpoint {
  std::uint64_t bytes = 0;
  std::int64_t mtime_ns = 0;
};

struct Catalog {
  std::map<std::string, StoredCheckpoint> stored;        // by identity
  std::map<std::string, ForgottenCheckpoint> forgotten;  // by identity: its newest tombstone
  std::set<std::string> pinned;                          // identities

  // Whether exactly this file is stored, whatever became of its copies.
  bool has(std::string const& identity, FileVersion version) const;
  // Whether exactly this file was forgotten on purpose.
  bool has_forgotten(std::string const& identity, FileVersion version) const;
};

// Fails: internal (not what the API answers).
Result<Catalog> parse_catalog(std::string_view json);

struct ClusterMembers {
  std::size_t count = 0;
  std::size_t alive_count = 0;
  std::string members;              // rank and id of those that answer: changes when the members do
  std::string inventories;          // changes when what they hold does
  std::vector<std::string> silent;  // why each of the others does not answer
};
Result<ClusterMembers> parse_members(std::string_view json);

struct ToldWorkers {
  std::size_t kept_count = 0;
  std::string detail;  // why the first of the others has not kept it
};
Result<ToldWorkers> parse_told(std::string_view json);

}  // namespace grove
