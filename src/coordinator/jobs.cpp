#include "coordinator/jobs.h"

#include <algorithm>
#include <utility>

#include "base/random.h"

namespace grove {
namespace {

constexpr std::size_t recent_max = 200;
// Of older ones that nobody follows only so many lines are kept: a repair may have thousands.
constexpr std::size_t whole_max = 10;
constexpr std::size_t lines_kept = 100;

// Waits for the job ahead, if there is one; false when cancelled meanwhile.
Awaitable<bool> wait_for(std::shared_ptr<Job> before, std::shared_ptr<Job> job) {
  if (!before || before->is_finished()) co_return true;
  job->add_line("  waiting for the running " + std::string(to_string(before->kind())) + " of " +
                before->identity());
  co_return co_await before->wait_finished();
}

// Holds the job: finished ones are forgotten while others come.
Awaitable<void> report(std::shared_ptr<Job> job) {
  co_await job->report_progress();
}

Error stopped() {
  return fail(ErrorKind::cancelled, "the coordinator is stopping; ask again when it runs");
}

}  // namespace

Jobs::Jobs(Services& services) : services_(services), tasks_(services.executor) {}

std::shared_ptr<Job> Jobs::add(JobKind kind, std::string identity) {
  auto job = std::make_shared<Job>(services_.executor, random_hex(8), kind, std::move(identity));
  recent_.push_front(job);
  // Only finished ones are forgotten, the oldest first.
  for (auto oldest = recent_.end(); recent_.size() > recent_max && oldest != recent_.begin();) {
    --oldest;
    if ((*oldest)->is_finished()) oldest = recent_.erase(oldest);
  }
  if (recent_.size() > whole_max) {
    auto const& older = recent_[whole_max];
    if (older->is_finished() && older.use_count() == 1) older->shorten(lines_kept);
  }
  return job;
}

bool Jobs::is_busy() const {
  return std::ranges::any_of(recent_, [](std::shared_ptr<Job> const& job) {
    return job->kind() != JobKind::repair && !job->is_finished();
  });
}

bool Jobs::is_storing(std::string const& identity) const {
  auto const entry = stores_.find(identity);
  return entry != stores_.end() && !entry->second.job->is_finished();
}

std::vector<std::string> Jobs::storing() const {
  std::vector<std::string> identities;
  for (auto const& [identity, entry] : stores_) {
    if (!entry.job->is_finished()) identities.push_back(identity);
  }
  return identities;
}

void Jobs::count(Job const& job) {
  bool const is_store = job.kind() == JobKind::store;
  auto const result = job.failure() == ErrorKind::cancelled ? "cancelled" : to_string(job.state());
  services_.metrics.add(is_store ? Count::store_operations : Count::gather_operations,
                        {std::string(result)});
  services_.metrics.observe(is_store ? Timing::store_wall : Timing::gather_wall,
                            job.running_time());
}

std::shared_ptr<Job> Jobs::store(Config config, CheckpointRequest request,
                                 std::optional<FileStamp> stamp, StoreOptions options) {
  auto& entry = stores_[request.key.identity()];
  auto before = entry.job;
  bool const is_same = stamp && entry.stamp == stamp && entry.store_options == options;
  if (before && !before->is_finished() && is_same) return before;
  auto job = add(JobKind::store, request.key.identity());
  entry = Entry{
      .job = job, .stamp = stamp, .store_options = options, .options = {}, .is_outdated = false};
  tasks_.spawn("progress of " + job->id(), report(job));
  tasks_.spawn("store " + job->id(),
               run_store(std::move(before), job, std::move(config), std::move(request), options));
  return job;
}

std::shared_ptr<Job> Jobs::gather(Config config, CheckpointRequest request, GatherOptions options) {
  auto const identity = request.key.identity();
  auto const place = options.output ? options.output->string() : std::string();
  auto& entry = gathers_[{identity, place}];
  auto before = entry.job;
  bool const is_same = entry.options == options && !entry.is_outdated;
  if (before && !before->is_finished() && is_same) return before;
  auto job = add(JobKind::gather, identity);
  entry =
      Entry{.job = job, .stamp = {}, .store_options = {}, .options = options, .is_outdated = false};
  tasks_.spawn("progress of " + job->id(), report(job));
  tasks_.spawn("gather " + job->id(), run_gather(std::move(before), job, std::move(config),
                                                 std::move(request), std::move(options)));
  return job;
}

void Jobs::note_commit(std::string const& identity) {
  for (auto it = gathers_.lower_bound({identity, {}});
       it != gathers_.end() && it->first.first == identity; ++it) {
    it->second.is_outdated = true;
  }
}

Awaitable<void> Jobs::run_store(std::shared_ptr<Job> before, std::shared_ptr<Job> job,
                                Config config, CheckpointRequest request, StoreOptions options) {
  bool const is_free = co_await wait_for(std::move(before), job);
  if (!is_free) {
    job->fail_with(stopped());
    count(*job);
    co_return;
  }
  auto const identity = request.key.identity();
  StoreJob store(services_, std::move(config), std::move(request), options, job);
  co_await store.run([this, &identity] { note_commit(identity); });
  count(*job);
  auto const entry = stores_.find(identity);
  if (entry != stores_.end() && entry->second.job == job) stores_.erase(entry);
}

Awaitable<void> Jobs::run_gather(std::shared_ptr<Job> before, std::shared_ptr<Job> job,
                                 Config config, CheckpointRequest request, GatherOptions options) {
  bool const is_free = co_await wait_for(std::move(before), job);
  if (!is_free) {
    job->fail_with(stopped());
    count(*job);
    co_return;
  }
  GatherJob gather(services_, std::move(config), std::move(request), std::move(options), job);
  co_await gather.run();
  count(*job);
  std::erase_if(gathers_, [&](auto const& entry) { return entry.second.job == job; });
}

std::vector<std::shared_ptr<Job>> Jobs::recent() const {
  return {recent_.begin(), recent_.end()};
}

std::shared_ptr<Job> Jobs::find(std::string_view id) const {
  auto const found = std::find_if(recent_.begin(), recent_.end(),
                                  [id](auto const& job) { return job->id() == id; });
  return found == recent_.end() ? nullptr : *found;
}

Awaitable<void> Jobs::stop(std::chrono::milliseconds grace) {
  co_await tasks_.stop(grace);
}

}  // namespace grove
