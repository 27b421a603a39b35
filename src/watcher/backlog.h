// The files that wait to be stored, newest first, each with a back-off of its own. Time is passed
// in. Threads: values; one at a time.
#pragma once

#include <chrono>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "watcher/settle.h"

namespace grove {

class Backlog {
 public:
  using Time = std::chrono::steady_clock::time_point;

  // Due at once, but for one that is held back. Another version of a file that waits takes its
  // place.
  void add(std::string const& path, FileVersion version);
  void remove(std::string const& path);
  // The file is stored, or gone: nothing holds it back any more either.
  void forget(std::string const& path);
  // Forgets what lies there, and says what has waited.
  std::vector<std::pair<std::string, FileVersion>> forget_below(std::string const& folder);

  struct Entry {
    std::string path;
    FileVersion version;
  };
  // The one with the latest time among those that are due. `now` must not go back.
  std::optional<Entry> newest_due(Time now);
  std::optional<Time> next_due() const;
  // Not before limits::watcher_retry_first, which doubles with every time.
  void postpone(std::string const& path, Time now);
  // It changed while it was stored: no version of it is due before limits::watcher_retry_first,
  // which doubles with every time, until it is forgotten.
  void hold_back(std::string const& path, Time now);
  // What was postponed may go well now: all of it is due, with fresh back-offs.
  void hurry();

  bool contains(std::string const& path) const { return files_.contains(path); }
  std::optional<FileVersion> version_of(std::string const& path) const;
  std::size_t count() const { return files_.size(); }

 private:
  struct BackOff {
    std::chrono::milliseconds delay{};  // that was waited last; zero: none yet
    Time due{};
    void wait_longer(Time now);
  };
  struct Waiting {
    FileVersion version;
    BackOff back_off;
    bool is_due = false;  // in which of the two orders it is
  };
  struct NewestFirst {
    using Key = std::pair<std::int64_t, std::string_view>;
    bool operator()(Key const& a, Key const& b) const {
      return a.first != b.first ? a.first > b.first : a.second < b.second;
    }
  };
  using Files = std::map<std::string, Waiting>;

  void put_in_order(Files::iterator file);
  void take_out_of_order(Files::iterator file);

  Files files_;
  // Their order; names are those of files_.
  std::set<NewestFirst::Key, NewestFirst> due_;        // by mtime
  std::set<std::pair<Time, std::string_view>> later_;  // by when they are due
  std::map<std::string, BackOff> held_back_;
};

}  // namespace grove
