// Keeps what a job moves below so many bytes a second, on average over the job, however many of its
// tasks move something at once. Threads: one executor.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "net/asio.h"

namespace grove {

// Of the config's `bandwidth_limit`, in MB (10^6 bytes) a second.
std::optional<double> bytes_per_second(std::optional<double> mb_per_second);

class Throttle {
 public:
  // Nothing: as fast as it goes.
  explicit Throttle(std::optional<double> bytes_per_second) : bytes_per_second_(bytes_per_second) {}

  // Returns when these bytes, and all that were paid for before, have had their time; at once when
  // cancelled.
  Awaitable<void> pay(std::uint64_t bytes);

 private:
  using Clock = std::chrono::steady_clock;

  std::optional<double> bytes_per_second_;
  Clock::time_point paid_until_;
};

}  // namespace grove
