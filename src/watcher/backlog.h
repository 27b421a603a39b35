// The files that wait to be stored, newest first, each with a back-off of its own. Time is passed
// in. Threads: values; one at a time.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <string>

#include "watcher/settle.h"

namespace grove {

class Backlog {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // Due at once. Another version of a file that waits takes its place.
  void add(std::string const& path, FileVersion version);
  void remove(std::string const& path) { files_.erase(path); }
  void remove_below(std::string const& folder);

  struct Entry {
    std::string path;
    FileVersion version;
  };
  // The one with the latest time among those that are due.
  std::optional<Entry> newest_due(Time now) const;
  std::optional<Time> next_due() const;
  // Not before limits::watcher_retry_first, which doubles with every time.
  void postpone(std::string const& path, Time now);
  // What failed may go well now: all are due, with fresh back-offs.
  void hurry();

  bool contains(std::string const& path) const { return files_.contains(path); }
  std::size_t count() const { return files_.size(); }

 private:
  struct Waiting {
    FileVersion version;
    Time due{};
    std::chrono::milliseconds delay{};  // that was waited last; zero: none yet
  };
  std::map<std::string, Waiting> files_;
};

}  // namespace grove
