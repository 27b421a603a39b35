// Runs blocking work (disk, hashing, codec) on a pool of threads and awaits it, so that the event
// loop never blocks. Work that has begun is not interrupted by cancellation: run() returns when it
// ends, so references captured by the work stay valid for as long as the caller's frame does.
// The pool's threads may be told to give way to the machine's other work.
// An exception that escapes the work is a bug and ends the process.
// Threads: run() from any executor; the caller resumes on its own executor.
#pragma once

#include <optional>
#include <type_traits>
#include <utility>

#include "base/config.h"
#include "net/asio.h"

namespace grove {

class Offload {
 public:
  explicit Offload(std::size_t threads_count, WorkPriority priority = {.nice = 0});
  ~Offload() { pool_.join(); }
  Offload(Offload const&) = delete;
  Offload& operator=(Offload const&) = delete;

  // auto result = co_await offload.run([&] { return store.get(digest); });
  template <typename Work>
  Awaitable<std::invoke_result_t<Work>> run(Work work);

 private:
  // Runs `work` on the pool; no cancellation reaches this await.
  template <typename Work>
  Awaitable<void> run_on_pool(Work& work);

  asio::thread_pool pool_;
};

template <typename Work>
Awaitable<std::invoke_result_t<Work>> Offload::run(Work work) {
  using Value = std::invoke_result_t<Work>;
  if constexpr (std::is_void_v<Value>) {
    co_await run_on_pool(work);
  } else {
    std::optional<Value> value;
    auto store = [&value, &work] { value.emplace(work()); };
    co_await run_on_pool(store);
    co_return std::move(*value);
  }
}

template <typename Work>
Awaitable<void> Offload::run_on_pool(Work& work) {
  auto start = [this, &work](auto handler) {
    // The work guard keeps the caller's loop running while nothing but the pool holds the handler.
    auto guard = asio::make_work_guard(asio::get_associated_executor(handler));
    asio::post(pool_, [&work, handler = std::move(handler), guard = std::move(guard)]() mutable {
      work();
      asio::post(guard.get_executor(), std::move(handler));
      guard.reset();
    });
  };
  auto const token = asio::use_awaitable;
  co_await asio::async_initiate<asio::use_awaitable_t<> const, void()>(start, token);
}

}  // namespace grove
