// A count that tasks on one executor wait for: room for a number of bytes, or of jobs at once.
// First come, first served, so none starves.
// Threads: all members on the semaphore's executor.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "net/asio.h"

namespace grove {

class Semaphore {
 public:
  Semaphore(asio::any_io_executor executor, std::uint64_t count);

  // Held while it lives; the semaphore must outlive it. Move-only.
  class Permit {
   public:
    Permit() = default;
    Permit(Permit&& other) noexcept;
    Permit& operator=(Permit&& other) noexcept;
    ~Permit();
    // Gives back a part early; `count` must not exceed what is held.
    void release(std::uint64_t count);
    void release_all();

   private:
    friend class Semaphore;
    Permit(Semaphore* owner, std::uint64_t count) : owner_(owner), count_(count) {}
    Semaphore* owner_ = nullptr;
    std::uint64_t count_ = 0;
  };

  // Waits for `count` (at most the whole) at once. Fails: cancelled.
  Awaitable<Result<Permit>> acquire(std::uint64_t count);
  // Without waiting: none where there is no room now, or others wait for it.
  std::optional<Permit> try_acquire(std::uint64_t count);
  std::uint64_t available() const;

 private:
  struct State;
  struct Waiter;
  std::shared_ptr<State> state_;
};

}  // namespace grove
