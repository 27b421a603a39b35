// Maps whose keys are paths below ckpt_root: what lies in one folder. Threads: values.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace grove {

// Takes out everything below `folder`, at any depth, and gives it back.
template <typename Value>
std::vector<std::pair<std::string, Value>> take_below(std::map<std::string, Value>& map,
                                                      std::string const& folder) {
  auto const prefix = folder + "/";
  std::vector<std::pair<std::string, Value>> taken;
  auto entry = map.lower_bound(prefix);
  while (entry != map.end() && entry->first.starts_with(prefix)) {
    taken.emplace_back(entry->first, std::move(entry->second));
    entry = map.erase(entry);
  }
  return taken;
}

}  // namespace grove
