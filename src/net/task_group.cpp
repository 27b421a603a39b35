#include "net/task_group.h"

#include <algorithm>
#include <exception>
#include <list>
#include <utility>
#include <vector>

#include <spdlog/spdlog.h>

namespace grove {

namespace {

using Clock = std::chrono::steady_clock;

[[noreturn]] void abort_for(std::string const& name, std::exception_ptr exception) {
  try {
    std::rethrow_exception(std::move(exception));
  } catch (std::exception const& error) {
    spdlog::critical("task {}: an exception escaped: {}", name, error.what());
  } catch (...) {
    spdlog::critical("task {}: an exception of an unknown type escaped", name);
  }
  spdlog::shutdown();
  std::abort();
}

}  // namespace

struct TaskGroup::State {
  struct Task {
    std::string name;
    asio::cancellation_signal signal;
    asio::cancellation_type asked = asio::cancellation_type::none;
    bool has_started = false;
  };

  asio::any_io_executor executor;
  std::list<std::shared_ptr<Task>> tasks;
  std::list<asio::steady_timer*> waiters;
  bool stopping = false;

  static Awaitable<void> root(std::shared_ptr<Task> task, Awaitable<void> body);
  void end(std::shared_ptr<Task> const& task);
  void cancel(asio::cancellation_type force);
  Awaitable<void> wait_for_an_end(Clock::time_point deadline);
};

Awaitable<void> TaskGroup::State::root(std::shared_ptr<Task> task, Awaitable<void> body) {
  co_await asio::this_coro::throw_if_cancelled(false);
  co_await asio::this_coro::reset_cancellation_state(asio::enable_total_cancellation());
  // A signal that was given before this line was lost on the state that was replaced above.
  task->has_started = true;
  if (task->asked != asio::cancellation_type::none) task->signal.emit(task->asked);
  co_await std::move(body);
}

void TaskGroup::State::end(std::shared_ptr<Task> const& task) {
  tasks.remove(task);
  for (asio::steady_timer* waiter : waiters) waiter->cancel();
}

void TaskGroup::State::cancel(asio::cancellation_type force) {
  // A copy, since a task may end, or spawn another, while the signal is given.
  std::vector<std::shared_ptr<Task>> const asked(tasks.begin(), tasks.end());
  for (auto const& task : asked) {
    task->asked = force;
    if (task->has_started) task->signal.emit(force);
  }
}

Awaitable<void> TaskGroup::State::wait_for_an_end(Clock::time_point deadline) {
  asio::steady_timer timer(executor, deadline);
  auto const place = waiters.insert(waiters.end(), &timer);
  std::ignore = co_await timer.async_wait(as_result);  // the caller looks at what has changed
  waiters.erase(place);
}

TaskGroup::TaskGroup(asio::any_io_executor executor) : state_(std::make_shared<State>()) {
  state_->executor = std::move(executor);
}

TaskGroup::~TaskGroup() {
  GROVE_ASSERT(is_empty());
}

void TaskGroup::spawn(std::string name, Awaitable<void> body) {
  auto task = std::make_shared<State::Task>();
  task->name = std::move(name);
  if (state_->stopping) task->asked = asio::cancellation_type::total;
  state_->tasks.push_back(task);
  auto on_end = [state = state_, task](std::exception_ptr exception) {
    if (exception) abort_for(task->name, std::move(exception));
    state->end(task);
  };
  asio::co_spawn(state_->executor, State::root(task, std::move(body)),
                 asio::bind_cancellation_slot(task->signal.slot(), std::move(on_end)));
}

void TaskGroup::cancel() {
  state_->cancel(asio::cancellation_type::total);
}

Awaitable<void> TaskGroup::wait() {
  auto const state = state_;
  auto passed_on = asio::cancellation_type::none;
  while (!state->tasks.empty()) {
    auto const own = (co_await asio::this_coro::cancellation_state).cancelled();
    if (own != passed_on) {
      passed_on = own;
      state->cancel(own);
    }
    co_await state->wait_for_an_end(Clock::time_point::max());
  }
}

Awaitable<bool> TaskGroup::wait_until(Clock::time_point deadline) {
  auto const state = state_;
  while (!state->tasks.empty() && Clock::now() < deadline) {
    co_await state->wait_for_an_end(deadline);
  }
  co_return state->tasks.empty();
}

Awaitable<void> TaskGroup::stop(std::chrono::milliseconds grace) {
  auto const state = state_;
  state->stopping = true;
  state->cancel(asio::cancellation_type::total);
  bool const ended = co_await wait_until(Clock::now() + grace);
  if (ended) co_return;
  for (auto const& task : state->tasks) {
    spdlog::warn("task {}: still running after {} ms: forced to stop", task->name, grace.count());
  }
  state->cancel(asio::cancellation_type::terminal);
  std::ignore = co_await wait_until(Clock::time_point::max());  // true: there is no deadline
}

std::size_t TaskGroup::count() const {
  return state_->tasks.size();
}

asio::any_io_executor TaskGroup::executor() const {
  return state_->executor;
}

Awaitable<bool> is_cancelled() {
  auto const state = co_await asio::this_coro::cancellation_state;
  co_return state.cancelled() != asio::cancellation_type::none;
}

Awaitable<bool> sleep_for(std::chrono::milliseconds duration) {
  bool const cancelled = co_await is_cancelled();
  if (cancelled) co_return false;
  asio::steady_timer timer(co_await asio::this_coro::executor, duration);
  auto const [error] = co_await timer.async_wait(as_result);
  co_return !error;
}

}  // namespace grove
