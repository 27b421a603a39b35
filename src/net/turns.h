// Lets the executor's other work run between the pieces of a long one, so that nothing waits for
// all of it. Threads: the executor of the coroutine that calls.
#pragma once

#include <chrono>

#include "net/asio.h"

namespace grove {

class Turns {
 public:
  // To be awaited after each piece. Returns at once until pieces have taken `turn` together.
  Awaitable<void> next();

 private:
  static constexpr std::chrono::milliseconds turn{10};
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

}  // namespace grove
