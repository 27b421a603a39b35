// Who is there, and what each says it holds: the config's workers, asked side by side.
// Nothing is remembered between two calls: the cluster describes itself.
// Threads: the coordinator's executor.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/config.h"
#include "base/error.h"
#include "base/metrics.h"
#include "coordinator/neighbours.h"
#include "coordinator/presence.h"
#include "format/key.h"
#include "net/asio.h"
#include "net/http_client.h"
#include "net/offload.h"
#include "net/task_group.h"
#include "plan/gather_plan.h"
#include "transfer/worker_client.h"

namespace grove {

// What every job of one coordinator shares. All of it outlives the jobs.
struct Services {
  asio::any_io_executor executor;
  HttpClient& http;
  Offload& offload;
  Semaphore& buffers;    // bytes of chunk bodies held at once, by all jobs together
  Semaphore& encodings;  // bytes that chunks are encoded into, likewise
  Neighbours& neighbours;
  Presences& presences;
  Metrics& metrics;
  std::string coordinator_id;
  bool repairs_by_itself = false;  // lost copies are made again without anybody asking
};

struct Member {
  std::size_t worker_index = 0;  // into the config's workers
  std::optional<WorkerHealth> health;
  Error error;  // why not, when there is no health
};

struct ClusterView {
  std::vector<Member> members;               // one per worker of the config, in its order
  std::vector<WorkerInventory> inventories;  // of those that answered
  std::vector<Tombstone> tombstones;         // of each identity, all that any worker has in one
  std::vector<Pin> pins;                     // the latest of each identity
  // What one of those that answered has of them: what is in `tombstones` and `pins` and not here
  // it has not been told.
  struct Marks {
    std::size_t worker_index = 0;
    std::vector<Tombstone> tombstones;
    std::vector<Pin> pins;
  };
  std::vector<Marks> marks;

  // Whether that generation was forgotten on purpose, with the earlier ones or alone.
  bool has_forgotten(CheckpointKey const& key, Generation generation) const;

  std::size_t alive_count() const;
  // Fewer workers are silent than there are copies of everything: what nobody who answers has heard
  // of is not there.
  bool sees_all(std::uint32_t redundancy) const;
  // "2 of 4 workers answer; pi4-3 (192.168.1.3:5003): connection refused"
  std::string summary() const;
};

WorkerAddress address_of(DeviceConfig const& worker);

// A try with this worker, in a store or a gather, came to nothing.
void count_failed_try(Services const& services, DeviceConfig const& worker);

// Health alone: cheap, however much the workers hold.
Awaitable<std::vector<Member>> probe(Services const& services, Config const& config);

// Health, and the inventory of each that lives; of one identity where given.
Awaitable<ClusterView> survey(Services const& services, Config const& config,
                              std::optional<CheckpointKey> only);

// What those of `members` say that answered before; who fails now is left out. Of one identity:
Awaitable<std::vector<WorkerInventory>> inventories_of(Services const& services,
                                                       Config const& config,
                                                       std::span<Member const> members,
                                                       CheckpointKey key);
// … or which generations of the identities that begin with `prefix` are complete.
Awaitable<std::vector<WorkerInventory>> manifests_under(Services const& services,
                                                        Config const& config,
                                                        std::span<Member const> members,
                                                        std::string prefix);

}  // namespace grove
