#include "plan/keeping.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "plan/retention.h"

namespace grove {
namespace {

using Steps = std::set<std::pair<std::string, std::uint64_t>>;

bool contains(Steps const& steps, CheckpointKey const& key) {
  auto const place = run_step_of(key);
  return place && steps.contains({place->run, place->step});
}

void insert(Steps& steps, CheckpointKey const& key) {
  if (auto const place = run_step_of(key)) steps.emplace(place->run, place->step);
}

// Calls `visit` with the generations of each checkpoint.
template <typename Visit>
void for_each_checkpoint(std::span<StoredGeneration const> stored, Visit visit) {
  while (!stored.empty()) {
    auto const other = std::ranges::find_if(
        stored, [&](StoredGeneration const& it) { return it.key != stored.front().key; });
    auto const count = static_cast<std::size_t>(other - stored.begin());
    visit(stored.first(count));
    stored = stored.subspan(count);
  }
}

}  // namespace

std::string_view to_string(ForgetReason reason) {
  return reason == ForgetReason::superseded ? "superseded" : "retention";
}

std::vector<Forgetting> plan_forgetting(std::span<StoredGeneration const> stored,
                                        std::uint32_t generations, Retention const& retention) {
  Steps unsafe;
  Steps pinned;
  for_each_checkpoint(stored, [&](std::span<StoredGeneration const> checkpoint) {
    if (!checkpoint.front().is_safe) insert(unsafe, checkpoint.front().key);
    if (checkpoint.front().is_pinned) insert(pinned, checkpoint.front().key);
  });
  RetentionPlan plan(retention);
  for_each_checkpoint(stored, [&](std::span<StoredGeneration const> checkpoint) {
    if (!contains(unsafe, checkpoint.front().key)) plan.add(checkpoint.front().key);
  });
  std::vector<Forgetting> all;
  for_each_checkpoint(stored, [&](std::span<StoredGeneration const> checkpoint) {
    auto const& newest = checkpoint.front();
    if (!newest.is_pinned && !contains(pinned, newest.key) && plan.drops(newest.key)) {
      all.push_back({newest.key, newest.generation, ForgetReason::retention});
      return;
    }
    std::uint32_t safe_count = 0;
    for (auto const& it : checkpoint) {
      if (safe_count >= std::max<std::uint32_t>(1, generations)) {
        all.push_back({it.key, it.generation, ForgetReason::superseded});
      } else if (it.is_safe) {
        ++safe_count;
      }
    }
  });
  return all;
}

}  // namespace grove
