#include "watcher/settle.h"

#include <algorithm>

namespace grove {

void Settling::note(std::string const& path, FileVersion version, Time now) {
  files_.insert_or_assign(path, Entry{.version = version, .due = now + quiet_});
}

void Settling::forget_below(std::string const& folder) {
  auto const prefix = folder + "/";
  auto entry = files_.lower_bound(prefix);
  while (entry != files_.end() && entry->first.starts_with(prefix)) entry = files_.erase(entry);
}

std::vector<std::string> Settling::due(Time now) const {
  std::vector<std::string> paths;
  for (auto const& [path, entry] : files_) {
    if (entry.due <= now) paths.push_back(path);
  }
  return paths;
}

bool Settling::confirm(std::string const& path, FileVersion version, Time now) {
  auto const found = files_.find(path);
  if (found == files_.end()) return false;
  if (found->second.due > now) return false;
  if (found->second.version == version) {
    files_.erase(found);
    return true;
  }
  found->second = {.version = version, .due = now + quiet_};
  return false;
}

std::optional<Settling::Time> Settling::next_due() const {
  std::optional<Time> next;
  for (auto const& [path, entry] : files_) {
    if (!next || entry.due < *next) next = entry.due;
  }
  return next;
}

}  // namespace grove
