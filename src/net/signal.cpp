#include "net/signal.h"

#include <list>
#include <utility>

#include "net/task_group.h"

namespace grove {

struct Signal::State {
  asio::any_io_executor executor;
  std::list<Waiter*> waiters;
};

// Lives in the frame of the coroutine that waits.
struct Signal::Waiter {
  Waiter(std::shared_ptr<State> owner, std::chrono::steady_clock::time_point deadline)
      : state(std::move(owner)),
        timer(state->executor, deadline),
        place(state->waiters.insert(state->waiters.end(), this)) {}
  Waiter(Waiter const&) = delete;
  Waiter& operator=(Waiter const&) = delete;
  ~Waiter() { state->waiters.erase(place); }

  std::shared_ptr<State> state;
  asio::steady_timer timer;
  std::list<Waiter*>::iterator place;
  bool notified = false;
};

Signal::Signal(asio::any_io_executor executor)
    : state_(std::make_shared<State>(State{std::move(executor), {}})) {}

void Signal::notify_all() {
  for (Waiter* waiter : state_->waiters) {
    waiter->notified = true;
    waiter->timer.cancel();
  }
}

Awaitable<bool> Signal::wait_until(std::chrono::steady_clock::time_point deadline) {
  bool const cancelled = co_await is_cancelled();
  if (cancelled) co_return false;
  Waiter waiter(state_, deadline);
  std::ignore = co_await waiter.timer.async_wait(as_result);  // `notified` tells why it ended
  co_return waiter.notified;
}

Awaitable<bool> Signal::wait() {
  return wait_until(std::chrono::steady_clock::time_point::max());
}

}  // namespace grove
