// The files under ckpt_root as the watcher sees them: those that came to rest and are complete, and
// among them those that wait to be stored. What is not taken, and why, is told once.
// Not here: what becomes of a file that waits (rounds.h), the system's notices (folder_tree.h).
// Threads: the executor; the disk is read through the offload.
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/metrics.h"
#include "net/asio.h"
#include "net/offload.h"
#include "net/signal.h"
#include "watcher/backlog.h"
#include "watcher/folder_tree.h"
#include "watcher/settle.h"

namespace grove {

class WatchedFiles {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // `offload` and `metrics` must outlive it.
  WatchedFiles(asio::any_io_executor executor, Offload& offload, Metrics& metrics,
               std::filesystem::path root, std::vector<std::string> extensions);

  // Reads the whole tree. Fails: as FolderTree::read.
  Awaitable<Result<void>> read();
  // Follows what happens, and reads the tree again when it must; ends when cancelled.
  Awaitable<void> follow();
  // Notified when a file was seen or came to rest.
  Signal& changed() { return changed_; }

  // Looks at the files whose wait is over: complete ones are known then, and in the backlog.
  Awaitable<void> settle();
  // When settle() has something to do; none: no file is waiting for its rest.
  std::optional<Time> next_settling() const { return settling_.next_due(); }
  bool is_settling(std::string const& path) const { return settling_.contains(path); }
  std::size_t settling_count() const { return settling_.count(); }

  // Whether the file is still as it was; else it settles anew, or is forgotten.
  Awaitable<bool> is_unchanged(std::string path, FileVersion version);

  // It needs no store as it is now.
  void mark_stored(std::string const& path, FileVersion version);
  // Not stored and not expected while it is of this version; `line` tells why, once.
  void leave_alone(std::string const& path, FileVersion version, std::string const& line);

  Backlog& backlog() { return backlog_; }
  // Those that rest and are complete, but for those that are left alone.
  std::map<std::string, FileVersion> const& known() const { return known_; }
  // Grows with every change of known().
  std::uint64_t known_version() const { return known_version_; }
  std::filesystem::path const& root() const { return root_; }

 private:
  // Logs `line` unless this version of the file was reported before.
  void report_once(std::string const& path, FileVersion version, std::string const& line);
  enum class State { complete, incomplete, written_by_grove, merged, gone };
  struct Look {
    std::string path;
    std::optional<FileVersion> version;
    State state = State::gone;
    std::string detail;
  };

  void see(FoundFile const& file, Time now);
  void see_all(std::vector<FoundFile> const& files);
  void forget_known(std::string const& path);
  void forget(std::string const& path);
  void forget_below(std::string const& folder);
  void take(TreeChanges const& changes);
  void take(Look const& look, Time now);
  Awaitable<void> read_again();
  Look look_at(std::string const& path) const;

  Offload& offload_;
  Metrics& metrics_;
  std::filesystem::path root_;
  std::vector<std::string> extensions_;
  FolderTree tree_;
  Signal changed_;
  Settling settling_;
  Backlog backlog_;
  std::map<std::string, FileVersion> known_;
  std::map<std::string, FileVersion> reported_;
  std::uint64_t known_version_ = 0;
  std::chrono::steady_clock::duration read_took_{};
  bool root_is_gone_ = false;
};

}  // namespace grove
