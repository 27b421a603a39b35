// What the watcher does with the files that came to rest, by the coordinator's API alone:
// file_sync, transfer, crosscheck, one after the other in each round. (The fourth phase,
// checksum_sync, runs once, beside them: watcher.h.) Not here: noticing files (watched_files.h),
// when to try again while the API is away (watcher.h). Threads: the executor.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/config.h"
#include "base/error.h"
#include "base/metrics.h"
#include "net/api_client.h"
#include "net/asio.h"
#include "net/offload.h"
#include "watcher/catalog.h"
#include "watcher/watched_files.h"

namespace grove {

class Rounds {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // All must outlive the rounds.
  Rounds(WatchedFiles& files, ApiClient& api, Offload& offload, Metrics& metrics)
      : files_(files), api_(api), offload_(offload), metrics_(metrics) {}

  // One round. Files that cannot be stored are its business, with their back-offs; it fails only
  // where nothing can be done now: unavailable (the API or every worker is away) and what the API
  // says of a call that should not fail.
  Awaitable<Result<void>> run(Config const& config);
  // Damage was found: what the workers hold is looked at again soon.
  void doubt_copies();
  // When the next round has something to do.
  Time next_due() const;

 private:
  Awaitable<Result<void>> look_at_members();
  Awaitable<Result<void>> file_sync();
  Awaitable<Result<void>> transfer(Config const& config);
  Awaitable<Result<void>> crosscheck(Config const& config);

  // The last line of a store: what it failed with, none for "Done: …". With a generation the store
  // adds copies to that one or fails.
  Awaitable<Result<std::optional<std::string>>> store(Config const& config, std::string path,
                                                      std::optional<std::uint64_t> generation);
  Awaitable<Result<Catalog>> catalog();
  // Whether the file is stored now.
  Awaitable<Result<bool>> transfer_one(Config const& config, Backlog::Entry entry);
  void forget_failures();
  struct Gap {
    std::string identity;
    std::uint64_t generation = 0;
  };
  Awaitable<Result<void>> mend(Config const& config, std::vector<Gap> const& gaps);
  // Why the gap of this checkpoint cannot be mended now; none: it can.
  std::optional<std::string> obstacle(std::string const& identity, StoredCheckpoint const& stored,
                                      Config const& config) const;
  void name_gaps(std::vector<std::pair<std::string, std::string>> const& gaps);
  bool crosscheck_is_due(Time now) const;

  WatchedFiles& files_;
  ApiClient& api_;
  Offload& offload_;
  Metrics& metrics_;

  ClusterMembers members_;
  Time members_due_{};
  // file_sync: what was told, to whom
  std::optional<std::uint64_t> told_version_;
  std::string told_members_;
  Time list_due_{};
  // transfer: the last reason why a file could not be stored
  std::map<std::string, std::string> failures_;
  bool has_stored_ = false;
  // crosscheck
  std::string checked_members_;
  std::string checked_inventories_;
  Time checked_{};
  std::string summary_;
  std::map<std::string, std::string> mended_;  // by identity: with which members it was tried
  std::map<std::string, std::string> named_;   // likewise, of gaps that were named
  std::chrono::milliseconds mend_delay_{};
  Time mend_due_{};
  bool has_doubts_ = false;
  bool has_gaps_ = false;
  bool has_gaps_to_mend_ = false;
  std::uint64_t checked_version_ = 0;  // of files_.known()
};

// The body of PUT /expected: the newest files first, as many as limits::json_body_bytes_max holds.
// {"count", "bytes", "listed", "checkpoints": [{"identity", "bytes", "mtime_ns"}, …]}
std::string expected_list(std::map<std::string, FileVersion> const& files);

}  // namespace grove
