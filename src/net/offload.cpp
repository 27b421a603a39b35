#include "net/offload.h"

#include <barrier>

#include "base/thread_priority.h"

namespace grove {

Offload::Offload(std::size_t threads_count, WorkPriority priority) : pool_(threads_count) {
  // The pool has no way to begin a thread with something. So each thread takes one of these, since
  // none of them ends before all have begun.
  auto const all_begun =
      std::make_shared<std::barrier<>>(static_cast<std::ptrdiff_t>(threads_count));
  for (std::size_t i = 0; i < threads_count; ++i) {
    asio::post(pool_, [all_begun, priority] {
      lower_this_thread(priority);
      all_begun->arrive_and_wait();
    });
  }
}

}  // namespace grove
