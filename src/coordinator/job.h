// A running or finished store, gather or repair: its lines, its progress, and whoever follows it.
// The job belongs to the checkpoint, not to a connection: followers come and go.
// Not here: what a job does (store_job, gather_job), which jobs there are (jobs.h), the words of
// the lines (job_lines.h). Threads: the coordinator's executor.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/limits.h"
#include "net/asio.h"
#include "net/task_group.h"

namespace grove {

enum class JobKind { store, gather, repair, drill };
inline constexpr JobKind all_job_kinds[] = {JobKind::store, JobKind::gather, JobKind::repair,
                                            JobKind::drill};
enum class JobState { queued, running, done, failed };

std::string_view to_string(JobKind kind);
std::string_view to_string(JobState state);

class Job {
 public:
  Job(asio::any_io_executor executor, std::string id, JobKind kind, std::string identity);

  std::string const& id() const { return id_; }
  JobKind kind() const { return kind_; }
  std::string const& identity() const { return identity_; }
  JobState state() const { return state_; }
  bool is_finished() const { return state_ == JobState::done || state_ == JobState::failed; }
  std::int64_t started_ms() const { return started_ms_; }    // wall clock
  std::int64_t finished_ms() const { return finished_ms_; }  // 0 while it runs

  // One line, without its newline; followers get it at once.
  void add_line(std::string line);
  std::vector<std::string> const& lines() const { return lines_; }
  // Of a finished one that nobody follows: keeps about so many lines, the first and the last.
  void shorten(std::size_t lines_count);

  void begin();
  // The last line and the end. A `failed` job's last line begins with "ERROR: ".
  void finish(std::string done_line);
  void fail_with(Error const& error);

  // Bytes of the file that are safe (store: durable on some worker; gather: written).
  void set_bytes_total(std::uint64_t bytes) { bytes_total_ = bytes; }
  void add_bytes_done(std::uint64_t bytes) { bytes_done_ += bytes; }
  std::uint64_t bytes_total() const { return bytes_total_; }
  std::uint64_t bytes_done() const { return bytes_done_; }
  std::chrono::duration<double> running_time() const;  // from begin() to the end, or to now
  double bytes_per_second() const;                     // over that time
  // Why it failed.
  std::optional<ErrorKind> failure() const { return failure_; }

  // Adds a progress line whenever no line came for `period`, until the job is finished or the
  // caller is cancelled.
  Awaitable<void> report_progress(std::chrono::milliseconds period = limits::progress_period);

  // Waits until there are more than `count` lines or the job is finished; false when cancelled.
  Awaitable<bool> wait_beyond(std::size_t count);
  Awaitable<bool> wait_finished();

 private:
  std::string id_;
  JobKind kind_;
  std::string identity_;
  JobState state_ = JobState::queued;
  std::vector<std::string> lines_;
  Signal changed_;
  std::int64_t started_ms_;
  std::int64_t finished_ms_ = 0;
  std::chrono::steady_clock::time_point began_;
  std::optional<std::chrono::steady_clock::time_point> ended_;
  std::optional<ErrorKind> failure_;
  std::chrono::steady_clock::time_point last_line_;
  std::uint64_t bytes_total_ = 0;
  std::uint64_t bytes_done_ = 0;
};

}  // namespace grove
