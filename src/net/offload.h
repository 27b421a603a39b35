// Runs blocking work (disk, hashing, codec) on a pool of threads and awaits it, so that the event
// loop never blocks. Work that has begun is not interrupted by cancellation: run() returns when it
// ends, so references captured by the work stay valid for as long as the caller's frame does.
// Threads: run() from any executor; the caller resumes on its own executor.
#pragma once

#include <type_traits>
#include <utility>

#include "net/asio.h"

namespace grove {

class Offload {
 public:
  explicit Offload(std::size_t threads_count) : pool_(threads_count) {}
  ~Offload() { pool_.join(); }

  // auto result = co_await offload.run([&] { return store.get(digest); });
  template <typename Work>
  Awaitable<std::invoke_result_t<Work>> run(Work work);

 private:
  asio::thread_pool pool_;
};

}  // namespace grove
