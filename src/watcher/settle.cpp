#include "watcher/settle.h"

#include <algorithm>

#include "watcher/below.h"

namespace grove {

void Settling::note(std::string const& path, FileVersion version, Time now) {
  files_.insert_or_assign(path, Entry{.version = version, .due = now + quiet_});
}

std::vector<std::pair<std::string, FileVersion>> Settling::forget_below(std::string const& folder) {
  std::vector<std::pair<std::string, FileVersion>> forgotten;
  for (auto const& [path, entry] : take_below(files_, folder)) {
    forgotten.emplace_back(path, entry.version);
  }
  return forgotten;
}

std::optional<FileVersion> Settling::version_of(std::string const& path) const {
  auto const found = files_.find(path);
  if (found == files_.end()) return std::nullopt;
  return found->second.version;
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
