// When a file has come to rest: its version (inode, size, time) is the same as a while ago and
// nobody has told of a write since. Time is passed in.
// Not here: who notices writes (folder_tree.h), whether the content is complete (watched_files.h).
// Threads: values; one at a time.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace grove {

struct FileVersion {
  std::uint64_t inode = 0;
  std::uint64_t size = 0;
  std::int64_t mtime_ns = 0;
  friend bool operator==(FileVersion const&, FileVersion const&) = default;
};

class Settling {
 public:
  using Time = std::chrono::steady_clock::time_point;

  explicit Settling(std::chrono::milliseconds quiet) : quiet_(quiet) {}

  // The file was seen, or written, just now: its wait begins anew.
  void note(std::string const& path, FileVersion version, Time now);
  // The file is gone.
  void forget(std::string const& path) { files_.erase(path); }
  // Forgets what lies there, and says what has waited.
  std::vector<std::pair<std::string, FileVersion>> forget_below(std::string const& folder);
  bool contains(std::string const& path) const { return files_.contains(path); }
  // As it was when its wait began.
  std::optional<FileVersion> version_of(std::string const& path) const;

  // Those whose wait is over, to be looked at once more: confirm() says whether they rest.
  std::vector<std::string> due(Time now) const;
  std::vector<std::string> paths() const { return due(Time::max()); }
  // True where the file is as it was when its wait began; it is forgotten then. Else the wait
  // begins anew.
  bool confirm(std::string const& path, FileVersion version, Time now);

  std::optional<Time> next_due() const;
  std::size_t count() const { return files_.size(); }

 private:
  struct Entry {
    FileVersion version;
    Time due;
  };
  std::chrono::milliseconds quiet_;
  std::map<std::string, Entry> files_;
};

}  // namespace grove
