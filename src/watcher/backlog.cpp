#include "watcher/backlog.h"

#include <algorithm>

#include "base/limits.h"

namespace grove {

void Backlog::add(std::string const& path, FileVersion version) {
  files_.insert_or_assign(path, Waiting{.version = version, .due = {}, .delay = {}});
}

void Backlog::remove_below(std::string const& folder) {
  auto const prefix = folder + "/";
  auto entry = files_.lower_bound(prefix);
  while (entry != files_.end() && entry->first.starts_with(prefix)) entry = files_.erase(entry);
}

std::optional<Backlog::Entry> Backlog::newest_due(Time now) const {
  auto newest = files_.end();
  for (auto entry = files_.begin(); entry != files_.end(); ++entry) {
    if (entry->second.due > now) continue;
    bool const is_newer =
        newest == files_.end() || entry->second.version.mtime_ns > newest->second.version.mtime_ns;
    if (is_newer) newest = entry;
  }
  if (newest == files_.end()) return std::nullopt;
  return Entry{.path = newest->first, .version = newest->second.version};
}

std::optional<Backlog::Time> Backlog::next_due() const {
  std::optional<Time> next;
  for (auto const& [path, waiting] : files_) {
    if (!next || waiting.due < *next) next = waiting.due;
  }
  return next;
}

void Backlog::postpone(std::string const& path, Time now) {
  auto const found = files_.find(path);
  if (found == files_.end()) return;
  auto& waiting = found->second;
  waiting.delay = waiting.delay.count() == 0
                      ? limits::watcher_retry_first
                      : std::min(2 * waiting.delay, limits::watcher_retry_last);
  waiting.due = now + waiting.delay;
}

void Backlog::hurry() {
  for (auto& [path, waiting] : files_) {
    waiting.due = {};
    waiting.delay = {};
  }
}

}  // namespace grove
