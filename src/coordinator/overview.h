// What the whole cluster looks like now: workers, checkpoints with their verdicts, jobs; as JSON
// for the API, as reports for the metrics. Asked from the workers each time; only manifests, which
// never change, are kept.
// Threads: the coordinator's executor.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/config.h"
#include "coordinator/jobs.h"
#include "coordinator/members.h"
#include "coordinator/verdict.h"
#include "format/manifest.h"
#include "net/asio.h"

namespace grove {

struct GenerationReport {
  Generation generation;
  bool has_manifest = false;  // its store came to its end
  Verdict verdict = Verdict::unfinished;
  std::string detail;               // the verdict for people: "at risk: 1 of 2 copies"
  CopyCount copies;                 // without a manifest: only how many are live
  std::set<std::uint32_t> lacking;  // ranks, of one that is not safe (workers_that_lack)
  // What its manifest says; none: there is none, or nobody gives it now.
  struct Facts {
    std::uint64_t file_bytes = 0;
    Digest sha256;
    std::size_t shards_count = 0;
    std::int64_t mtime_ns = 0;
  };
  std::optional<Facts> facts;
};

struct CheckpointReport {
  CheckpointKey key;
  std::vector<GenerationReport> generations;  // newest first, at least one
};

// A generation that a store has brought to its end, and who holds what of its checkpoint.
struct CompleteGeneration {
  CheckpointKey key;
  std::shared_ptr<Manifest const> manifest;
  Digest digest;  // the manifest's name
  std::vector<WorkerInventory> inventories;
};

class Overview {
 public:
  // `services` must outlive the overview.
  explicit Overview(Services& services) : services_(services) {}

  // {"workers": [{"rank", "host", "ip", "port", "alive", "presence", "id", "free_bytes",
  // "total_bytes",
  //               "reserved_bytes", "version", "inventory", "copies", "detail"}, …]}
  // `inventory` changes whenever a worker's copies do. Without `copies` no inventory is read: for
  // whoever looks often.
  enum class Copies { counted, left_out };
  Awaitable<std::string> workers(Config config, Copies copies);

  // {"checkpoints": [{"identity", "key", "generations": [{"generation", "state", "bytes",
  //   "copies_live", "copies_wanted", "safety", "verdict", of complete ones "sha256", "shards" and
  //   "mtime_ns", of those that are not safe "lacking"}, …]}, …],
  //  "tombstones": [{"identity", "up_to", "bytes", "mtime_ns"}, …], "workers_alive", "workers"}
  // `safety` is the verdict in one word (coordinator/verdict.h).
  // `state` is complete or unfinished; copies are counted over all shards; `lacking` are the ranks
  // that answer and lack a copy which belongs there.
  // Brief: only the newest complete generation of each, with "generation", "state", "bytes",
  // "shards", "mtime_ns", "safety", and where it is not safe "verdict" and "lacking".
  enum class Detail { all, brief };
  Awaitable<std::string> checkpoints(Config config, Detail detail);

  // Of every checkpoint that the inventories name, in the order of their keys. Those workers answer
  // that have an inventory. The config must outlive the call.
  Awaitable<std::vector<CheckpointReport>> reports(Config const& config,
                                                   std::vector<WorkerInventory> inventories);

  // Of every checkpoint the newest `count` complete generations whose manifests can be had and that
  // were not forgotten. The config must outlive the call.
  Awaitable<std::vector<CompleteGeneration>> complete_generations(
      Config const& config, std::vector<WorkerInventory> inventories,
      std::vector<Tombstone> tombstones, std::size_t count);

 private:
  struct Found;  // a checkpoint with all that is known of it
  Awaitable<std::shared_ptr<Manifest const>> manifest_of(Config const& config,
                                                         GenerationView const& generation);
  Awaitable<std::vector<Found>> find_all(Config const& config,
                                         std::vector<WorkerInventory> inventories);
  void keep_manifests(std::vector<Found> const& found);

  Services& services_;
  std::map<Digest, std::shared_ptr<Manifest const>> manifests_;
};

// {"jobs": [{"id", "kind", "identity", "state", "bytes_done", "bytes_total", "bytes_per_second",
//            "seconds_left", "started_ms", "finished_ms", "lines"}, …],
//  "bytes_sent", "bytes_received"}: bodies exchanged with workers since the start.
std::string jobs_json(std::vector<std::shared_ptr<Job>> const& jobs, HttpClient const& http);

}  // namespace grove
