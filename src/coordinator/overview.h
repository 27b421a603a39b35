// What the whole cluster looks like now, as JSON for the API: workers, checkpoints with their
// verdicts, jobs. Asked from the workers each time; only manifests, which never change, are kept.
// Threads: the coordinator's executor.
#pragma once

#include <map>
#include <string>

#include "base/config.h"
#include "coordinator/jobs.h"
#include "coordinator/members.h"
#include "format/manifest.h"
#include "net/asio.h"

namespace grove {

class Overview {
 public:
  // `services` must outlive the overview.
  explicit Overview(Services& services) : services_(services) {}

  // {"workers": [{"rank", "host", "ip", "port", "alive", "id", "free_bytes", "total_bytes",
  //               "reserved_bytes", "version", "copies", "detail"}, …]}
  Awaitable<std::string> workers(Config config);

  // {"checkpoints": [{"identity", "key", "generations": [{"generation", "state", "bytes",
  //   "copies_live", "copies_wanted", "verdict", and of complete ones "sha256", "shards",
  //   "mtime_ns"}, …]}, …], "workers_alive", "workers"}
  // `state` is complete or unfinished; copies are counted over all shards.
  Awaitable<std::string> checkpoints(Config config);

 private:
  Awaitable<std::optional<Manifest>> manifest_of(Config const& config,
                                                 GenerationView const& generation);

  Services& services_;
  std::map<Digest, Manifest> manifests_;
};

// {"jobs": [{"id", "kind", "identity", "state", "bytes_done", "bytes_total", "bytes_per_second",
//            "seconds_left", "started_ms", "finished_ms", "lines"}, …],
//  "bytes_sent", "bytes_received"}: bodies exchanged with workers since the start.
std::string jobs_json(std::vector<std::shared_ptr<Job>> const& jobs, HttpClient const& http);

}  // namespace grove
