// The files under ckpt_root as the watcher sees them: those that came to rest and are complete, and
// among them those that wait to be stored. What is not taken, or lost, and why, is told once.
// Not here: what becomes of a file that waits (rounds.h), the system's notices (folder_tree.h).
// Threads: the executor; the disk is read through the offload.
#pragma once

#include <chrono>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
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

  // Looks at the file now. Where it has changed it settles anew; where it is gone that is told when
  // the watch of the tree, which knows of renames, says so too.
  enum class Now { unchanged, changed, gone };
  Awaitable<Now> look_again(std::string path, FileVersion version);

  // It needs no store as it is now.
  void mark_stored(std::string const& path, FileVersion version);
  // Not stored and not expected while it is of this version.
  void leave_alone(std::string const& path, FileVersion version);

  // Why a file is not stored, each told once until it was stored or has gone.
  enum class Notice { incomplete, unreadable, merged, forgotten, retention, unsteady };
  void tell_once(std::string const& path, Notice notice, std::string const& line);

  Backlog& backlog() { return backlog_; }
  // Those that rest and are complete, but for those that are left alone; of one that has changed
  // the version before, until the new one rests too.
  std::map<std::string, FileVersion> const& known() const { return known_; }
  // Grows with every change of known().
  std::uint64_t known_version() const { return known_version_; }
  std::filesystem::path const& root() const { return root_; }

 private:
  enum class State { complete, incomplete, unreadable, written_by_grove, merged, gone };
  struct Look {
    std::string path;
    std::optional<FileVersion> version;
    State state = State::gone;
    std::string detail;
  };
  // Files that were waiting, as they were, when they went.
  using Lost = std::vector<std::pair<std::string, FileVersion>>;

  void see(std::string const& path, FileVersion version, Time now);
  Awaitable<void> see_all(std::vector<FoundFile> files);
  void forget_known(std::string const& path);
  // Of a file that settles: nothing was told of it, and its name is one that is taken.
  bool would_be_missed(std::string const& path) const;
  void forget(std::string const& path, Lost& lost);
  void forget_below(std::string const& folder, Lost& lost);
  // But for those that are still there by another name.
  void tell_lost(Lost const& lost, std::vector<FoundFile> const& there);
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
  std::map<std::string, FileVersion> left_alone_;
  std::map<std::string, std::set<Notice>> told_;
  std::uint64_t known_version_ = 0;
  std::chrono::steady_clock::duration read_took_{};
  bool root_is_gone_ = false;
};

}  // namespace grove
