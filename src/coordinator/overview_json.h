// What is known of the cluster, as the JSON of GET /workers, /checkpoints and /jobs
// (docs/operations.md#http-api).
// Threads: pure; jobs_json the coordinator's executor.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/digest.h"
#include "base/file.h"
#include "coordinator/jobs.h"
#include "coordinator/overview.h"

namespace grove {

// `copies`: of each member; none: they were not counted.
std::string workers_json(Config const& config, std::span<Member const> members,
                         Presences const& presences,
                         std::optional<std::vector<std::size_t>> const& copies);

// {"checkpoints": [{"identity", "key", "pinned", "generations": [{"generation", "state", "bytes",
//   "copies_live", "copies_wanted", "safety", "verdict", "proven_ms", of complete ones "sha256",
//   "shards" and "mtime_ns", of those that are not safe "lacking"}, …]}, …],
//  "tombstones": [{"identity", "up_to", "bytes", "mtime_ns"}, …], "workers_alive", "workers"}
// `safety` is the verdict in one word (coordinator/verdict.h).
// `state` is complete or unfinished; copies are counted over all shards; `lacking` are the ranks
// that answer and lack a copy which belongs there.
// Brief: "identity" and "pinned", and only the newest complete generation of each, with
// "generation", "state", "bytes", "shards", "mtime_ns", "safety", and where it is not safe
// "verdict" and "lacking".
std::string checkpoints_json(std::span<CheckpointReport const> reports, ClusterView const& view,
                             Overview::Detail detail);

// A checkpoint's own file.
struct OwnFile {
  FileStamp stamp;
  // It has another time than what is stored, and the same size: whether it has the same content
  // is to be found out.
  bool is_read = false;
  std::optional<Digest> sha256;  // of one that is read; none: not yet to its end
};
// Of one checkpoint: the same, and beside it "file": {"bytes", "mtime_ns"} of its own file, null
// where that is gone; with "sha256", null at first, where it is read.
std::string checkpoint_json(std::span<CheckpointReport const> reports, ClusterView const& view,
                            std::optional<OwnFile> const& file);

// Whether a file with this stamp may have the content of the newest complete generation, though
// not its time.
bool may_be_touched_only(std::span<CheckpointReport const> reports, FileStamp const& stamp);

// {"jobs": [{"id", "kind", "identity", "state", "bytes_done", "bytes_total", "bytes_per_second",
//            "seconds_left", "started_ms", "finished_ms", "lines"}, …],
//  "bytes_sent", "bytes_received"}: bodies exchanged with workers since the start.
std::string jobs_json(std::vector<std::shared_ptr<Job>> const& jobs, HttpClient const& http);

}  // namespace grove
