#include "net/throttle.h"

#include <algorithm>

#include "net/task_group.h"

namespace grove {

std::optional<double> bytes_per_second(std::optional<double> mb_per_second) {
  if (!mb_per_second) return std::nullopt;
  return *mb_per_second * 1e6;
}

Awaitable<void> Throttle::pay(std::uint64_t bytes) {
  if (!bytes_per_second_) co_return;
  auto const now = Clock::now();
  std::chrono::duration<double> const owed(static_cast<double>(bytes) / *bytes_per_second_);
  paid_until_ = std::max(paid_until_, now) + std::chrono::ceil<Clock::duration>(owed);
  std::ignore = co_await sleep_for(std::chrono::ceil<std::chrono::milliseconds>(paid_until_ - now));
}

}  // namespace grove
