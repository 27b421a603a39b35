// A cluster made up for the simulator: workers with disks that lose what was not synced, links that
// are cut, clocks that jump. What it does is what the real worker promises
// (docs/worker-interface.md), in a few lines; whoever plans over it is the real src/plan. Not here:
// what a coordinator does (protocol.h), what goes wrong and when (faults.h), what must be true
// (invariants.h).
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include "format/manifest.h"
#include "format/ref.h"
#include "plan/gather_plan.h"
#include "plan/repair_plan.h"

namespace grove::simulation {

// All chunks of one shard list on one disk.
struct Chunks {
  std::uint64_t bytes = 0;
  bool is_durable = false;
  bool is_rotten = false;  // which nobody knows until somebody reads them
};

using RefPlace = std::tuple<CheckpointKey, Generation, RefName>;

struct Disk {
  std::uint64_t id = 0;  // of the worker's data folder
  std::uint64_t capacity_bytes = 0;
  std::map<Digest, Chunks> chunks;  // by list
  std::map<RefPlace, Digest> refs;  // durable, all of them
  std::map<Digest, Manifest> manifests;
  std::set<Digest> rotten_manifests;
  std::map<CheckpointKey, Tombstone> tombstones;
  bool is_draining = false;

  std::uint64_t used_bytes() const;
};

enum class Answer { ok, unreachable, refused, full, missing };

class Worker {
 public:
  Disk disk;
  bool is_running = true;
  bool is_reachable = true;
  bool is_lying = false;  // says that it has everything, and gives bytes that are something else
  std::int64_t away_since_ms = 0;

  bool answers() const { return is_running && is_reachable; }

  // The worker's calls. Each leaves nothing half done that it has answered `ok` to.
  Answer put_chunks(Digest const& list, std::uint64_t bytes);
  Answer put_ref(Ref const& ref, Manifest const* manifest);
  Answer read_chunks(Digest const& list);  // proves them; what is rotten is gone then
  Answer forget(Ref const& ref);
  Answer put_tombstone(Tombstone const& tombstone);
  std::optional<Manifest> manifest(Digest const& digest);
  WorkerInventory inventory(std::size_t index, std::vector<Ref> const& wanted_by_liars) const;
  // Re-reads all that it has of one checkpoint, as a witness does.
  void reread(CheckpointKey const& key);

  // What happens to it.
  void lose_power();
  void restart();
  void collect();

 private:
  bool has(Ref const& ref) const;
};

class World {
 public:
  explicit World(std::uint64_t seed);

  std::mt19937_64 random;
  std::deque<Worker> workers;       // references to them stay good when others come
  std::vector<std::size_t> config;  // which of them, in the ring's order
  std::uint32_t redundancy = 2;
  std::int64_t clock_ms = 1'800'000'000'000;  // the coordinator's
  std::int64_t true_ms = 0;                   // that only grows
  std::uint64_t next_disk_id = 1;

  std::uint64_t below(std::uint64_t limit) { return limit == 0 ? 0 : random() % limit; }
  bool chance(double probability) {
    return static_cast<double>(random() % 1'000'000) < probability * 1e6;
  }
  std::size_t any_worker() { return config[below(config.size())]; }
  Disk fresh_disk();
};

}  // namespace grove::simulation
