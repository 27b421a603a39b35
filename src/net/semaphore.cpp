#include "net/semaphore.h"

#include <list>
#include <utility>

#include "net/task_group.h"

namespace grove {

struct Semaphore::State {
  asio::any_io_executor executor;
  std::uint64_t whole = 0;
  std::uint64_t available = 0;
  std::list<Waiter*> waiters;

  void give_back(std::uint64_t count) {
    available += count;
    GROVE_ASSERT(available <= whole);
    grant();
  }
  void grant();
};

// Lives in the frame of the coroutine that waits. When that frame goes without having taken what
// was granted (the loop is torn down), it goes back to the others.
struct Semaphore::Waiter {
  Waiter(std::shared_ptr<State> owner, std::uint64_t wanted)
      : state(std::move(owner)),
        count(wanted),
        timer(state->executor, asio::steady_timer::time_point::max()),
        place(state->waiters.insert(state->waiters.end(), this)) {}
  Waiter(Waiter const&) = delete;
  Waiter& operator=(Waiter const&) = delete;
  ~Waiter() {
    if (!granted) {
      state->waiters.erase(place);
      state->grant();
    } else if (!taken) {
      state->give_back(count);
    }
  }

  std::shared_ptr<State> state;
  std::uint64_t count;
  asio::steady_timer timer;
  std::list<Waiter*>::iterator place;
  bool granted = false;
  bool taken = false;
};

// Only ever the first in the row: a small request behind a big one waits, or the big one starves.
void Semaphore::State::grant() {
  while (!waiters.empty() && waiters.front()->count <= available) {
    Waiter* first = waiters.front();
    waiters.pop_front();
    available -= first->count;
    first->granted = true;
    first->timer.cancel();
  }
}

Semaphore::Semaphore(asio::any_io_executor executor, std::uint64_t count)
    : state_(std::make_shared<State>()) {
  state_->executor = std::move(executor);
  state_->whole = count;
  state_->available = count;
}

Awaitable<Result<Semaphore::Permit>> Semaphore::acquire(std::uint64_t count) {
  GROVE_ASSERT(count <= state_->whole);
  bool const cancelled = co_await is_cancelled();
  if (cancelled) co_return fail(ErrorKind::cancelled, "waiting for room: cancelled");
  if (auto permit = try_acquire(count)) co_return std::move(*permit);
  Waiter waiter(state_, count);
  std::ignore = co_await waiter.timer.async_wait(as_result);  // `granted` tells why it ended
  if (!waiter.granted) co_return fail(ErrorKind::cancelled, "waiting for room: cancelled");
  waiter.taken = true;
  co_return Permit(this, count);
}

std::optional<Semaphore::Permit> Semaphore::try_acquire(std::uint64_t count) {
  if (!state_->waiters.empty() || count > state_->available) return std::nullopt;
  state_->available -= count;
  return Permit(this, count);
}

std::uint64_t Semaphore::available() const {
  return state_->available;
}

Semaphore::Permit::Permit(Permit&& other) noexcept
    : owner_(std::exchange(other.owner_, nullptr)), count_(std::exchange(other.count_, 0)) {}

Semaphore::Permit& Semaphore::Permit::operator=(Permit&& other) noexcept {
  if (this == &other) return *this;
  release_all();
  owner_ = std::exchange(other.owner_, nullptr);
  count_ = std::exchange(other.count_, 0);
  return *this;
}

Semaphore::Permit::~Permit() {
  release_all();
}

void Semaphore::Permit::release(std::uint64_t count) {
  GROVE_ASSERT(count <= count_);
  if (count == 0) return;
  count_ -= count;
  owner_->state_->give_back(count);
}

void Semaphore::Permit::release_all() {
  release(count_);
}

}  // namespace grove
