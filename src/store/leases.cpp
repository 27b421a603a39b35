#include "store/leases.h"

#include <utility>

namespace grove {

void Leases::pin(std::string const& job, std::span<Digest const> digests, Clock::time_point now) {
  std::lock_guard const lock(mutex_);
  auto found = leases_.find(job);
  if (found == leases_.end()) {
    if (digests.empty()) return;
    found = leases_.try_emplace(job).first;
  }
  found->second.digests.insert(digests.begin(), digests.end());
  found->second.ends = now + period_;
}

bool Leases::is_pinned(Digest const& digest, Clock::time_point now) const {
  std::lock_guard const lock(mutex_);
  for (auto const& [job, lease] : leases_) {
    if (now < lease.ends && lease.digests.contains(digest)) return true;
  }
  return false;
}

void Leases::note(std::string const& job, Ref const& ref, Clock::time_point now) {
  std::lock_guard const lock(mutex_);
  auto& lease = leases_[job];
  lease.refs.push_back(ref);
  lease.ends = now + period_;
}

Leases::Released Leases::release(std::string const& job) {
  std::lock_guard const lock(mutex_);
  auto ended = leases_.extract(job);
  if (!ended) return {};
  auto const& digests = ended.mapped().digests;
  return {.digests = {digests.begin(), digests.end()}, .refs = std::move(ended.mapped().refs)};
}

std::size_t Leases::expire(Clock::time_point now) {
  std::lock_guard const lock(mutex_);
  std::erase_if(leases_, [now](auto const& entry) { return now >= entry.second.ends; });
  return leases_.size();
}

}  // namespace grove
