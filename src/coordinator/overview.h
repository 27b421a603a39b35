// What the whole cluster looks like now: workers, checkpoints with their verdicts. Asked from the
// workers each time; only manifests, which never change, are kept.
// Not here: how safe one is (verdict.h), the JSON of it all (overview_json.h).
// Threads: the coordinator's executor.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/config.h"
#include "base/file.h"
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
  std::shared_ptr<std::vector<WorkerInventory> const> inventories;
};

class Overview {
 public:
  // `services` must outlive the overview.
  explicit Overview(Services& services) : services_(services) {}

  // For GET /workers. Without `copies` no inventory is read: for whoever looks often.
  enum class Copies { counted, left_out };
  Awaitable<std::string> workers(Config config, Copies copies);

  // For GET /checkpoints: of all, or of one.
  // Brief: only the newest complete generation of each, with what a program needs.
  enum class Detail { all, brief };
  Awaitable<std::string> checkpoints(Config config, Detail detail);
  struct Checkpoint {
    std::vector<CheckpointReport> reports;  // one, or none where nothing of it is stored
    ClusterView view;                       // without its inventories
  };
  Awaitable<Checkpoint> checkpoint(Config config, CheckpointKey key);

  // Of every checkpoint that the view's inventories name, which are taken away, in the order of
  // their keys; but for the generations that were forgotten. Both must outlive the call.
  Awaitable<std::vector<CheckpointReport>> reports(Config const& config, ClusterView& view);

  // Of every checkpoint the complete generations whose manifests can be had and that were not
  // forgotten, newest first. Both must outlive the call.
  Awaitable<std::vector<CompleteGeneration>> complete_generations(Config const& config,
                                                                  ClusterView const& view);

 private:
  struct Found;  // a checkpoint with all that is known of it
  Awaitable<void> fetch_manifests(Config const& config, std::vector<Found>& found);
  // But for what was forgotten and is still there since a worker was not told yet.
  Awaitable<std::vector<Found>> find(Config const& config, ClusterView& view);
  Awaitable<std::vector<CheckpointReport>> judge_all(Config const& config,
                                                     std::span<Member const> members,
                                                     std::vector<Found> found);
  void keep_manifests(std::vector<Found> const& found);

  Services& services_;
  std::map<Digest, std::shared_ptr<Manifest const>> manifests_;
};

}  // namespace grove
