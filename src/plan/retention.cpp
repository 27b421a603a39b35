#include "plan/retention.h"

#include <algorithm>
#include <string_view>

#include "plan/name_numbers.h"

namespace grove {

std::optional<RunStep> run_step_of(CheckpointKey const& key) {
  auto const folder = key.folder();
  if (auto const step = last_integer(stem_of(key))) {
    return RunStep{.run = std::string(folder), .step = *step};
  }
  auto const slash = folder.rfind('/');
  auto const name = slash == folder.npos ? folder : folder.substr(slash + 1);
  auto const step = last_integer(name);
  if (!step) return std::nullopt;
  return RunStep{.run = std::string(slash == folder.npos ? "" : folder.substr(0, slash)),
                 .step = *step};
}

void RetentionPlan::add(CheckpointKey const& key) {
  if (auto const place = run_step_of(key)) steps_[place->run].insert(place->step);
}

void RetentionPlan::pin(CheckpointKey const& key) {
  if (auto const place = run_step_of(key)) pinned_[place->run].insert(place->step);
}

bool RetentionPlan::drops(CheckpointKey const& key) const {
  if (!retention_.keep_last && !retention_.keep_every) return false;
  auto const place = run_step_of(key);
  if (!place) return false;
  auto const pinned = pinned_.find(place->run);
  if (pinned != pinned_.end() && pinned->second.contains(place->step)) return false;
  if (retention_.keep_every && *retention_.keep_every > 0 &&
      place->step % *retention_.keep_every == 0) {
    return false;
  }
  auto const run = steps_.find(place->run);
  if (run == steps_.end()) return false;
  auto const keep_last = std::max<std::uint64_t>(1, retention_.keep_last.value_or(1));
  std::uint64_t newer_count = 0;
  for (auto step = run->second.rbegin(); step != run->second.rend() && *step > place->step;
       ++step) {
    ++newer_count;
    if (newer_count >= keep_last) return true;
  }
  return false;
}

}  // namespace grove
