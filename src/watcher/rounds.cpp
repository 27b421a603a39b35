#include "watcher/rounds.h"

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include "base/limits.h"
#include "format/key.h"
#include "net/turns.h"
#include "net/url.h"
#include "plan/retention.h"
#include "watcher/back_off.h"

namespace grove {
namespace {

using nlohmann::json;
using std::chrono::steady_clock;
using namespace std::chrono_literals;

// Ten thousand checkpoints take the API some seconds.
constexpr auto catalog_time = 60s;

RetentionPlan plan_of(Retention const& retention, Catalog const& catalog) {
  RetentionPlan plan(retention);
  for (auto const& [identity, stored] : catalog.stored) {
    auto const key = CheckpointKey::parse(identity);
    if (key.has_value()) plan.add(key.value());
  }
  for (auto const& identity : catalog.pinned) {
    auto const key = CheckpointKey::parse(identity);
    if (key.has_value()) plan.pin(key.value());
  }
  return plan;
}

}  // namespace

std::string expected_list(std::map<std::string, FileVersion> const& files) {
  // What stands around the rows.
  constexpr std::size_t frame_bytes = 256;
  std::vector<std::pair<std::string const*, FileVersion const*>> newest;
  std::uint64_t bytes = 0;
  for (auto const& [path, version] : files) {
    newest.emplace_back(&path, &version);
    bytes += version.size;
  }
  std::sort(newest.begin(), newest.end(),
            [](auto const& a, auto const& b) { return a.second->mtime_ns > b.second->mtime_ns; });
  std::string rows;
  std::size_t listed_count = 0;
  for (auto const& [path, version] : newest) {
    json const row{{"identity", *path}, {"bytes", version->size}, {"mtime_ns", version->mtime_ns}};
    auto const text = row.dump();
    if (rows.size() + text.size() + 1 + frame_bytes > limits::json_body_bytes_max) break;
    if (!rows.empty()) rows += ',';
    rows += text;
    ++listed_count;
  }
  return fmt::format(R"({{"count":{},"bytes":{},"listed":{},"checkpoints":[{}]}})", newest.size(),
                     bytes, listed_count, rows);
}

Awaitable<Result<void>> Rounds::run(Config const& config) {
  auto const began = steady_clock::now();
  CO_TRY(co_await look_at_members());
  CO_TRY(co_await file_sync());
  CO_TRY(co_await transfer(config));
  CO_TRY(co_await crosscheck(config));
  std::chrono::duration<double> const took = steady_clock::now() - began;
  metrics_.set(Level::watcher_last_pass, took.count());
  co_return ok();
}

void Rounds::doubt_copies() {
  has_doubts_ = true;
  members_due_ = steady_clock::now();
  files_.changed().notify_all();
}

Rounds::Time Rounds::next_due() const {
  auto due = members_due_;
  if (auto const file = files_.backlog().next_due()) due = std::min(due, *file);
  if (told_version_ != files_.known_version()) due = std::min(due, list_due_);
  if (has_gaps_to_mend_) due = std::min(due, mend_due_);
  return due;
}

Awaitable<Result<void>> Rounds::look_at_members() {
  CO_TRY(auto const text, co_await api_.get("/workers?copies=false"));
  CO_TRY(auto members, parse_members(text));
  members_due_ = steady_clock::now() + limits::watcher_members_period;
  if (members.members != members_.members) {
    // What failed for want of a worker may go well now.
    files_.backlog().hurry();
    mended_.clear();
    named_.clear();
    mend_delay_ = {};
    mend_due_ = {};
  }
  members_ = std::move(members);
  if (members_.alive_count == 0) {
    co_return fail(ErrorKind::unavailable, "none of {} workers answers; check that they run",
                   members_.count);
  }
  co_return ok();
}

Awaitable<Result<void>> Rounds::file_sync() {
  auto const version = files_.known_version();
  bool const is_told = told_version_ == version && told_members_ == members_.members;
  if (is_told || steady_clock::now() < list_due_) co_return ok();
  list_due_ = steady_clock::now() + limits::watcher_list_pause;
  auto const files = files_.known();
  auto const list = co_await offload_.run([&] { return expected_list(files); });
  CO_TRY(auto const answer, co_await api_.put("/expected", list));
  CO_TRY(auto const told, parse_told(answer));
  spdlog::info("file_sync: {} checkpoints named to {} of {} workers{}{}", files.size(),
               told.kept_count, members_.count, told.detail.empty() ? "" : "; ", told.detail);
  told_version_ = version;
  told_members_ = members_.members;
  co_return ok();
}

Awaitable<Result<Catalog>> Rounds::catalog() {
  CO_TRY(auto const text, co_await api_.get("/checkpoints?brief=true", catalog_time));
  co_return co_await offload_.run([&] { return parse_catalog(text); });
}

Awaitable<Result<std::optional<std::string>>> Rounds::store(
    Config const& config, std::string path, std::optional<std::uint64_t> generation) {
  std::optional<std::string> error = "the API's answer ended before the job did";
  auto const on_line = [&](std::string_view line) {
    if (line.starts_with("Done:")) error.reset();
    if (line.starts_with("ERROR: ")) error = std::string(line.substr(7));
  };
  auto const full_path = (config.ckpt_root / path).native();
  auto target = "/store-shard?ckpt_path=" + percent_encode(full_path);
  if (generation) target += fmt::format("&generation={}", *generation);
  CO_TRY(co_await api_.stream_lines(std::move(target), on_line));
  co_return error;
}

Awaitable<Result<void>> Rounds::transfer(Config const& config) {
  auto const began = steady_clock::now();
  if (!files_.backlog().newest_due(began)) co_return ok();
  CO_TRY(auto const stored, co_await catalog());
  auto plan = co_await offload_.run([&] { return plan_of(config.retention, stored); });
  std::size_t present_count = 0;
  Turns turns;
  auto entry = files_.backlog().newest_due(steady_clock::now());
  while (entry && steady_clock::now() - began < limits::watcher_pass_time) {
    auto const [path, version] = *entry;
    auto const name = printable(path);
    auto const key = CheckpointKey::parse(path);
    GROVE_ASSERT(key.has_value());  // as WatchedFiles lets it in
    if (stored.has(path, version)) {
      ++present_count;
      files_.mark_stored(path, version);
    } else if (stored.has_forgotten(path, version)) {
      metrics_.add(Count::watcher_skipped, {"forgotten"});
      files_.leave_alone(path, version);
      files_.tell_once(path, WatchedFiles::Notice::forgotten,
                       fmt::format("transfer: {} was forgotten on purpose; it is not stored again "
                                   "unless it changes or grove store is told to",
                                   name));
    } else if (plan.drops(key.value())) {
      metrics_.add(Count::watcher_skipped, {"retention"});
      files_.leave_alone(path, version);
      files_.tell_once(
          path, WatchedFiles::Notice::retention,
          fmt::format("transfer: {} is not stored: retention would drop it at once", name));
    } else {
      CO_TRY(bool const is_stored, co_await transfer_one(config, *entry));
      if (is_stored) plan.add(key.value());
      // So that one that came meanwhile is next, if it is newer.
      co_await files_.settle();
    }
    co_await turns.next();
    entry = files_.backlog().newest_due(steady_clock::now());
  }
  forget_failures();
  if (present_count > 0) {
    spdlog::info("transfer: {} files are stored as they are already", present_count);
  }
  co_return ok();
}

Awaitable<Result<bool>> Rounds::transfer_one(Config const& config, Backlog::Entry entry) {
  using Now = WatchedFiles::Now;
  auto const before = co_await files_.look_again(entry.path, entry.version);
  if (before != Now::unchanged) co_return false;
  auto const name = printable(entry.path);
  CO_TRY(auto const error, co_await store(config, entry.path, {}));
  if (!error) {
    spdlog::info("transfer: {} is stored ({} bytes)", name, entry.version.size);
    metrics_.add(Count::watcher_stores, {"done"});
    failures_.erase(entry.path);
    has_stored_ = true;
    files_.mark_stored(entry.path, entry.version);
    co_return true;
  }
  metrics_.add(Count::watcher_stores, {"failed"});
  auto const after = co_await files_.look_again(entry.path, entry.version);
  if (after == Now::gone) co_return false;
  if (after == Now::changed) {
    files_.backlog().hold_back(entry.path, steady_clock::now());
    files_.tell_once(
        entry.path, WatchedFiles::Notice::unsteady,
        fmt::format("transfer: {} changed while it was stored: {}; it is tried again, less "
                    "and less often",
                    name, *error));
    co_return false;
  }
  if (std::exchange(failures_[entry.path], *error) != *error) {
    spdlog::warn("transfer: {} could not be stored: {}; it is tried again", name, *error);
  }
  files_.backlog().postpone(entry.path, steady_clock::now());
  co_return false;
}

// Of files that are gone, or another file now.
void Rounds::forget_failures() {
  std::erase_if(failures_, [&](auto const& failure) {
    return !files_.backlog().contains(failure.first) && !files_.is_settling(failure.first);
  });
}

bool Rounds::crosscheck_is_due(Time now) const {
  return has_stored_ || has_doubts_ || checked_members_ != members_.members ||
         checked_inventories_ != members_.inventories ||
         now >= checked_ + limits::watcher_crosscheck_period ||
         (has_gaps_ && checked_version_ != files_.known_version()) ||
         (has_gaps_to_mend_ && now >= mend_due_);
}

std::optional<std::string> Rounds::obstacle(std::string const& identity,
                                            StoredCheckpoint const& stored,
                                            Config const& config) const {
  auto const file = files_.known().find(identity);
  if (file == files_.known().end()) return "its file is not under ckpt_root any more";
  // Of other times, the store looks whether its content is the same.
  if (file->second.size != stored.bytes) return "its file has changed since it was stored";
  if (stored.shards_count != config.n_chunks) {
    // Cut otherwise, the same content would be a new generation.
    return fmt::format(
        "it was stored in {} shards and n_chunks is {} now; grove store stores it anew",
        stored.shards_count, config.n_chunks);
  }
  if (!stored.is_lacking) {
    return fmt::format("what it lacks belongs on workers that do not answer ({} of {} answer)",
                       members_.alive_count, members_.count);
  }
  return std::nullopt;
}

void Rounds::name_gaps(std::vector<std::pair<std::string, std::string>> const& gaps) {
  std::size_t new_count = 0;
  for (auto const& [identity, text] : gaps) {
    if (std::exchange(named_[identity], text) == text) continue;
    if (++new_count <= limits::watcher_files_named_max) {
      spdlog::warn("crosscheck: gap: {}: {}", printable(identity), text);
    }
  }
  if (new_count > limits::watcher_files_named_max) {
    spdlog::warn("crosscheck: gap: and {} more checkpoints (grove ls)",
                 new_count - limits::watcher_files_named_max);
  }
}

Awaitable<Result<void>> Rounds::crosscheck(Config const& config) {
  if (!crosscheck_is_due(steady_clock::now())) co_return ok();
  // The workers' inventories as they were before the look, so that a change meanwhile is seen.
  auto const inventories = members_.inventories;
  CO_TRY(auto const stored, co_await catalog());
  std::vector<Gap> mendable;
  std::vector<std::pair<std::string, std::string>> others;
  std::size_t gaps_count = 0;
  std::size_t healing_count = 0;
  bool is_waiting = false;  // for a file to come to rest
  Turns turns;
  for (auto const& [identity, checkpoint] : stored.stored) {
    if (checkpoint.is_safe) continue;
    co_await turns.next();
    ++gaps_count;
    // From worker to worker, which a store from here would only hold up.
    if (checkpoint.is_healing) {
      ++healing_count;
      continue;
    }
    if (files_.is_settling(identity)) {
      is_waiting = true;
      continue;
    }
    auto const why = obstacle(identity, checkpoint, config);
    if (why) {
      others.emplace_back(identity, checkpoint.verdict + "; not mended: " + *why);
    } else if (!mended_.contains(identity)) {
      mendable.push_back({.identity = identity, .generation = checkpoint.generation});
    } else {
      others.emplace_back(identity, checkpoint.verdict + "; mending it did not help");
    }
  }
  auto summary =
      gaps_count == 0
          ? fmt::format("{} checkpoints, each with all its copies", stored.stored.size())
          : fmt::format("{} checkpoints, {} with a gap", stored.stored.size(), gaps_count);
  if (healing_count > 0) {
    summary += fmt::format("; {} are being healed from their other copies", healing_count);
  }
  if (std::exchange(summary_, summary) != summary) spdlog::info("crosscheck: {}", summary);
  name_gaps(others);
  has_stored_ = false;
  has_doubts_ = false;
  checked_ = steady_clock::now();
  checked_members_ = members_.members;
  checked_inventories_ = inventories;
  checked_version_ = files_.known_version();
  has_gaps_ = gaps_count > 0;
  has_gaps_to_mend_ = !mendable.empty() || is_waiting;
  if (is_waiting) mend_due_ = std::max(mend_due_, checked_ + limits::watcher_quiet);
  if (!mendable.empty() && checked_ >= mend_due_) {
    CO_TRY(co_await mend(config, mendable));
  }
  co_return ok();
}

Awaitable<Result<void>> Rounds::mend(Config const& config, std::vector<Gap> const& gaps) {
  for (auto const& gap : gaps) {
    // New files first.
    co_await files_.settle();
    if (files_.backlog().newest_due(steady_clock::now())) co_return ok();
    auto const file = files_.known().find(gap.identity);
    if (file == files_.known().end()) continue;
    auto const version = file->second;
    auto const now = co_await files_.look_again(gap.identity, version);
    if (now != WatchedFiles::Now::unchanged) continue;
    auto const name = printable(gap.identity);
    spdlog::info("crosscheck: gap: {}: storing the unchanged file again to mend it", name);
    CO_TRY(auto const error, co_await store(config, gap.identity, gap.generation));
    // Tried: not again before the members change.
    mended_[gap.identity] = members_.members;
    has_stored_ = true;
    if (!error) {
      spdlog::info("crosscheck: {} is mended", name);
      mend_delay_ = {};
      continue;
    }
    if (members_.alive_count < members_.count) {
      // Likely for their copies alone, which is nothing against the next gap.
      spdlog::warn("crosscheck: {} is not mended altogether: {}", name, *error);
      continue;
    }
    spdlog::warn("crosscheck: {} could not be mended: {}", name, *error);
    mend_delay_ =
        longer_pause(mend_delay_, limits::watcher_retry_first, limits::watcher_retry_last);
    mend_due_ = steady_clock::now() + mend_delay_;
    co_return ok();
  }
  has_gaps_to_mend_ = false;
  co_return ok();
}

}  // namespace grove
