// The files below one folder: found by reading it, and then by what inotify tells of every folder
// in it. Where inotify reaches its limit, nothing is told and the tree has to be read again and
// again. Links are not followed, hidden and temporary folders (candidate.h) not entered.
// Not here: when to read (watched_files.h), what the files are.
// Threads: one at a time; calls block on the disk, so await them through net/offload.h.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/descriptor.h"
#include "base/error.h"
#include "watcher/settle.h"

namespace grove {

struct FoundFile {
  std::string path;                    // relative to the root
  std::optional<FileVersion> version;  // none: it is not there any more
};

struct TreeChanges {
  std::vector<FoundFile> files;           // seen, written or gone
  std::vector<std::string> gone_folders;  // with everything below them
  bool must_read = false;                 // something was missed: read the whole tree
};

class FolderTree {
 public:
  // `extensions`: of the files that are wanted. Watches nothing yet.
  FolderTree(std::filesystem::path root, std::vector<std::string> extensions);

  // Every wanted file that is there now; each folder is watched from before it is read.
  // Fails: not_found and others of base/file.h for the root; a folder below it that cannot be read
  // is logged once and left out.
  Result<std::vector<FoundFile>> read();
  // What has happened since the last call; returns at once.
  TreeChanges take_changes();
  // The next read() tries to be told again, where inotify was at its limit.
  void try_again() { has_given_up_ = false; }
  // Readable when something has happened; negative while nothing is told (scanning).
  int events() const { return events_.get(); }
  bool is_told() const { return events_.get() >= 0; }

 private:
  void begin_watching();
  void give_up(std::string const& why);
  void stop_watching();
  void watch(std::string const& folder);
  void unwatch_below(std::string const& folder);
  void read_below(std::string const& top, std::vector<FoundFile>& found);
  void take_event(struct EventView const& event, std::set<std::string>& touched,
                  TreeChanges& changes);
  std::filesystem::path path_of(std::string const& relative) const { return root_ / relative; }

  std::filesystem::path root_;
  std::vector<std::string> extensions_;
  Descriptor events_{-1};
  bool has_given_up_ = false;
  bool has_complained_ = false;         // of that, and it has not been told since
  bool has_missed_ = false;             // what was told, so watches may have ended unheard
  std::map<int, std::string> folders_;  // by watch
  std::map<std::string, int> watches_;  // by folder, "" is the root
  std::set<std::string> unreadable_;    // logged already
};

// The file as it is now; none where it is not there or no regular file.
std::optional<FileVersion> version_of(std::filesystem::path const& path);

}  // namespace grove
