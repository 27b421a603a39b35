#include "watcher/watched_files.h"

#include <algorithm>
#include <utility>

#include <spdlog/spdlog.h>

#include "base/file.h"
#include "base/limits.h"
#include "base/origin_mark.h"
#include "format/key.h"
#include "format/safetensors.h"
#include "net/readable.h"
#include "net/task_group.h"
#include "watcher/candidate.h"

namespace grove {
namespace {

using std::chrono::steady_clock;

// Files that are looked at in one piece of work, so that the pool is not held for long.
constexpr std::size_t looks_max = 64;

Result<void> check_complete(File const& file, CheckpointKey const& key, std::uint64_t size) {
  if (size == 0) return fail(ErrorKind::invalid, "it is empty");
  if (!key.is_safetensors()) return ok();
  std::uint64_t offset = 0;
  auto const reader = [&](std::span<std::byte> bytes) -> Result<std::size_t> {
    TRY(auto const count, file.read_at(bytes, offset));
    offset += count;
    return count;
  };
  TRY(parse_safetensors(reader, size));
  return ok();
}

template <typename Map>
void erase_below(Map& map, std::string const& folder) {
  auto const prefix = folder + "/";
  auto entry = map.lower_bound(prefix);
  while (entry != map.end() && entry->first.starts_with(prefix)) entry = map.erase(entry);
}

}  // namespace

WatchedFiles::WatchedFiles(asio::any_io_executor executor, Offload& offload, Metrics& metrics,
                           std::filesystem::path root, std::vector<std::string> extensions)
    : offload_(offload),
      metrics_(metrics),
      root_(std::move(root)),
      extensions_(std::move(extensions)),
      tree_(root_, extensions_),
      changed_(std::move(executor)),
      settling_(limits::watcher_quiet) {}

void WatchedFiles::report_once(std::string const& path, FileVersion version,
                               std::string const& line) {
  auto const [place, is_new] = reported_.try_emplace(path, version);
  if (!is_new && place->second == version) return;
  place->second = version;
  spdlog::warn("{}", line);
}

void WatchedFiles::mark_stored(std::string const& path, FileVersion version) {
  auto const known = known_.find(path);
  // Where it has changed meanwhile, the new version waits.
  if (known != known_.end() && known->second == version) backlog_.remove(path);
}

void WatchedFiles::leave_alone(std::string const& path, FileVersion version,
                               std::string const& line) {
  forget_known(path);
  backlog_.remove(path);
  report_once(path, version, line);
}

void WatchedFiles::forget_known(std::string const& path) {
  if (known_.erase(path) > 0) ++known_version_;
}

void WatchedFiles::forget(std::string const& path) {
  settling_.forget(path);
  backlog_.remove(path);
  reported_.erase(path);
  forget_known(path);
}

void WatchedFiles::forget_below(std::string const& folder) {
  settling_.forget_below(folder);
  backlog_.remove_below(folder);
  erase_below(reported_, folder);
  auto const before = known_.size();
  erase_below(known_, folder);
  if (known_.size() != before) ++known_version_;
}

void WatchedFiles::see(FoundFile const& file, Time now) {
  if (!file.version) {
    if (backlog_.contains(file.path)) {
      spdlog::warn("transfer: {} has vanished before it was stored", printable(file.path));
    }
    forget(file.path);
    return;
  }
  auto const same = [&](auto const& map) {
    auto const found = map.find(file.path);
    return found != map.end() && found->second == *file.version;
  };
  // Attributes and looks are no writes.
  if (same(known_) || same(reported_)) return;
  backlog_.remove(file.path);
  forget_known(file.path);
  settling_.note(file.path, *file.version, now);
}

void WatchedFiles::see_all(std::vector<FoundFile> const& files) {
  auto const now = steady_clock::now();
  std::set<std::string> there;
  for (auto const& file : files) there.insert(file.path);
  std::vector<std::string> gone;
  auto const note_gone = [&](auto const& map) {
    for (auto const& [path, value] : map) {
      if (!there.contains(path)) gone.push_back(path);
    }
  };
  note_gone(known_);
  note_gone(reported_);
  for (auto const& path : gone) see({.path = path, .version = {}}, now);
  for (auto const& file : files) {
    // One that is waited for already is looked at when its wait is over.
    if (!settling_.contains(file.path)) see(file, now);
  }
  changed_.notify_all();
}

void WatchedFiles::take(TreeChanges const& changes) {
  auto const now = steady_clock::now();
  for (auto const& folder : changes.gone_folders) forget_below(folder);
  for (auto const& file : changes.files) see(file, now);
  if (!changes.files.empty() || !changes.gone_folders.empty()) changed_.notify_all();
}

Awaitable<Result<void>> WatchedFiles::read() {
  auto const began = steady_clock::now();
  auto found = co_await offload_.run([&] { return tree_.read(); });
  read_took_ = steady_clock::now() - began;
  if (found.has_error()) co_return found.error();
  see_all(found.value());
  co_return ok();
}

Awaitable<void> WatchedFiles::read_again() {
  auto const done = co_await read();
  if (done.has_error() && !std::exchange(root_is_gone_, true)) {
    spdlog::warn("watcher: {}; waiting for it", done.error().message);
  } else if (done.has_value() && std::exchange(root_is_gone_, false)) {
    spdlog::info("watcher: {} is there again", printable(root_.native()));
  }
}

Awaitable<void> WatchedFiles::follow() {
  auto next_read = steady_clock::now() + limits::watcher_rescan_period;
  while (true) {
    bool has_events = false;
    if (tree_.is_told() && !root_is_gone_) {
      has_events = co_await wait_readable(tree_.events(), next_read);
    } else {
      auto const share =
          std::chrono::ceil<std::chrono::milliseconds>(read_took_) * limits::watcher_scan_share;
      std::ignore = co_await sleep_for(std::max(limits::watcher_scan_period, share));
    }
    bool const cancelled = co_await is_cancelled();
    if (cancelled) co_return;
    bool must_read = !has_events;
    if (has_events) {
      auto const changes = co_await offload_.run([&] { return tree_.take_changes(); });
      take(changes);
      must_read = changes.must_read;
    }
    if (must_read) {
      co_await read_again();
      next_read = steady_clock::now() + limits::watcher_rescan_period;
    }
    std::ignore = co_await sleep_for(limits::watcher_event_pause);
  }
}

WatchedFiles::Look WatchedFiles::look_at(std::string const& path) const {
  Look look{.path = path, .version = version_of(root_ / path), .state = State::gone, .detail = {}};
  if (!look.version) return look;
  auto const opened = File::open_beneath(root_, path);
  if (opened.has_error()) {
    if (opened.error().kind == ErrorKind::not_found) return look;
    look.state = State::incomplete;
    look.detail = opened.error().message;
    return look;
  }
  auto const origin = origin_of(opened.value());
  if (origin.has_value() && origin.value() == Origin::grove) {
    look.state = State::written_by_grove;
    return look;
  }
  if (kind_of_file(path, extensions_) == NameKind::merged) {
    look.state = State::merged;
    return look;
  }
  auto const key = CheckpointKey::parse(path);
  auto const checked = key.has_value()
                           ? check_complete(opened.value(), key.value(), look.version->size)
                           : Result<void>(key.error());
  look.state = checked.has_value() ? State::complete : State::incomplete;
  if (checked.has_error()) look.detail = checked.error().message;
  return look;
}

void WatchedFiles::take(Look const& look, Time now) {
  if (!look.version) {
    settling_.forget(look.path);
    return;
  }
  bool const rests = settling_.confirm(look.path, *look.version, now);
  if (!rests) return;
  auto const name = printable(look.path);
  switch (look.state) {
    case State::complete:
      reported_.erase(look.path);
      known_.insert_or_assign(look.path, *look.version);
      ++known_version_;
      backlog_.add(look.path, *look.version);
      break;
    case State::incomplete:
      metrics_.add(Count::watcher_skipped, {"incomplete"});
      report_once(look.path, *look.version,
                  fmt::format("transfer: {} is not complete: {}; it is taken when it changes", name,
                              look.detail));
      break;
    case State::merged:
      metrics_.add(Count::watcher_skipped, {"merged"});
      report_once(
          look.path, *look.version,
          fmt::format("transfer: {} is not grove's but has a name that gather writes; it is "
                      "not stored: rename it, or store it with grove store",
                      name));
      break;
    case State::written_by_grove:
      metrics_.add(Count::watcher_skipped, {"written_by_grove"});
      reported_.insert_or_assign(look.path, *look.version);  // nothing to tell
      break;
    case State::gone:
      break;
  }
}

Awaitable<void> WatchedFiles::settle() {
  auto const due = settling_.due(steady_clock::now());
  for (std::size_t begin = 0; begin < due.size(); begin += looks_max) {
    auto const count = std::min(looks_max, due.size() - begin);
    auto const looks = co_await offload_.run([&] {
      std::vector<Look> found;
      for (std::size_t index = begin; index < begin + count; ++index) {
        found.push_back(look_at(due[index]));
      }
      return found;
    });
    auto const now = steady_clock::now();
    for (auto const& look : looks) take(look, now);
  }
}

Awaitable<bool> WatchedFiles::is_unchanged(std::string path, FileVersion version) {
  auto const now_there = co_await offload_.run([&] { return version_of(root_ / path); });
  if (now_there == version) co_return true;
  see({.path = path, .version = now_there}, steady_clock::now());
  co_return false;
}

}  // namespace grove
