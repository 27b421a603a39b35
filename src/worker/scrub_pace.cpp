#include "worker/scrub_pace.h"

#include <algorithm>
#include <thread>

#include "base/limits.h"

namespace grove {

namespace {

using namespace std::chrono_literals;

// How long it may take to notice that nobody wants the scrub, or that a transfer has ended.
constexpr auto look_period = 50ms;

}  // namespace

void TransferActivity::note() {
  last_.store(std::chrono::steady_clock::now(), std::memory_order_relaxed);
}

bool TransferActivity::is_quiet() const {
  auto const last = last_.load(std::memory_order_relaxed);
  return std::chrono::steady_clock::now() - last > limits::scrub_quiet;
}

bool ScrubPace::sleep_until(std::chrono::steady_clock::time_point due) const {
  while (is_wanted_()) {
    auto const left = due - std::chrono::steady_clock::now();
    if (left <= 0ms) return true;
    std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(left, look_period));
  }
  return false;
}

bool ScrubPace::wait_for_turn(ScrubReport const& so_far, Haste haste) {
  auto const bytes = so_far.bytes_read - bytes_before_;
  bytes_before_ = so_far.bytes_read;
  // Time that was lost is not caught up with a burst.
  due_ = std::max(due_, std::chrono::steady_clock::now()) +
         std::chrono::nanoseconds(bytes * 1'000'000'000 / limits::scrub_bytes_per_second);
  if (!sleep_until(due_)) return false;
  if (haste == Haste::near_deadline) return is_wanted_();
  auto const latest = std::chrono::steady_clock::now() + limits::scrub_busy_pause;
  while (!transfers_.is_quiet() && std::chrono::steady_clock::now() < latest) {
    if (!sleep_until(std::chrono::steady_clock::now() + look_period)) return false;
  }
  return is_wanted_();
}

}  // namespace grove
