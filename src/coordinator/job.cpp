#include "coordinator/job.h"

#include <algorithm>
#include <utility>

#include <spdlog/spdlog.h>

#include "base/wall_clock.h"
#include "coordinator/job_lines.h"

namespace grove {

std::string_view to_string(JobKind kind) {
  switch (kind) {
    case JobKind::store:
      return "store";
    case JobKind::gather:
      return "gather";
    case JobKind::repair:
      return "repair";
    case JobKind::drill:
      return "drill";
  }
  return "store";
}

std::string_view to_string(JobState state) {
  switch (state) {
    case JobState::queued:
      return "queued";
    case JobState::running:
      return "running";
    case JobState::done:
      return "done";
    case JobState::failed:
      return "failed";
  }
  return "failed";
}

Job::Job(asio::any_io_executor executor, std::string id, JobKind kind, std::string identity)
    : id_(std::move(id)),
      kind_(kind),
      identity_(std::move(identity)),
      changed_(std::move(executor)),
      started_ms_(wall_clock_ms()),
      began_(std::chrono::steady_clock::now()),
      last_line_(began_) {}

void Job::add_line(std::string line) {
  spdlog::info("{} {}: {}", to_string(kind_), identity_, line);
  lines_.push_back(std::move(line));
  last_line_ = std::chrono::steady_clock::now();
  changed_.notify_all();
}

void Job::shorten(std::size_t lines_count) {
  if (lines_.size() <= lines_count + 1) return;
  auto const half = static_cast<std::ptrdiff_t>(lines_count / 2);
  auto const left_out = lines_.size() - lines_count;
  lines_.erase(lines_.begin() + half + 1, lines_.end() - half);
  lines_[lines_count / 2] = fmt::format("  … {} lines are in the coordinator's log", left_out);
  lines_.shrink_to_fit();
}

void Job::begin() {
  state_ = JobState::running;
  began_ = std::chrono::steady_clock::now();
}

void Job::finish(std::string done_line) {
  finished_ms_ = wall_clock_ms();
  ended_ = std::chrono::steady_clock::now();
  state_ = JobState::done;
  add_line(std::move(done_line));
}

void Job::fail_with(Error const& error) {
  finished_ms_ = wall_clock_ms();
  ended_ = std::chrono::steady_clock::now();
  failure_ = error.kind;
  state_ = JobState::failed;
  add_line(lines::error(error.message));
}

std::chrono::duration<double> Job::running_time() const {
  return ended_.value_or(std::chrono::steady_clock::now()) - began_;
}

double Job::bytes_per_second() const {
  auto const seconds = running_time().count();
  return seconds > 0 ? static_cast<double>(bytes_done_) / seconds : 0.0;
}

Awaitable<void> Job::report_progress(std::chrono::milliseconds period) {
  while (!is_finished()) {
    auto const due = last_line_ + period;
    auto const now = std::chrono::steady_clock::now();
    if (now >= due) {
      add_line(state_ == JobState::queued
                   ? lines::still_waiting()
                   : lines::progress(bytes_done_, bytes_total_, bytes_per_second()));
      continue;
    }
    std::ignore = co_await changed_.wait_until(due);  // the conditions are what counts
    bool const stopped = co_await is_cancelled();
    if (stopped) co_return;
  }
}

Awaitable<bool> Job::wait_beyond(std::size_t count) {
  while (lines_.size() <= count && !is_finished()) {
    std::ignore = co_await changed_.wait();  // the condition is what counts
    bool const stopped = co_await is_cancelled();
    if (stopped) co_return false;
  }
  co_return true;
}

Awaitable<bool> Job::wait_finished() {
  while (!is_finished()) {
    std::ignore = co_await changed_.wait();  // the condition is what counts
    bool const stopped = co_await is_cancelled();
    if (stopped) co_return false;
  }
  co_return true;
}

}  // namespace grove
