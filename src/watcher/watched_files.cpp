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
#include "net/turns.h"
#include "watcher/below.h"
#include "watcher/candidate.h"

namespace grove {
namespace {

using std::chrono::steady_clock;

// Files that are looked at in one piece of work, so that the pool is not held for long.
constexpr std::size_t looks_max = 64;

Result<void> check_complete(File const& file, CheckpointKey const& key, std::uint64_t size) {
  if (size == 0) return fail(ErrorKind::invalid, "it is empty");
  if (!key.is_safetensors()) return ok();
  TRY(parse_safetensors(reader_of(file), size));
  return ok();
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

void WatchedFiles::tell_once(std::string const& path, Notice notice, std::string const& line) {
  if (told_[path].insert(notice).second) spdlog::warn("{}", line);
}

void WatchedFiles::mark_stored(std::string const& path, FileVersion version) {
  told_.erase(path);
  auto const known = known_.find(path);
  // Where it has changed meanwhile, the new version waits.
  if (known != known_.end() && known->second == version) backlog_.forget(path);
}

void WatchedFiles::leave_alone(std::string const& path, FileVersion version) {
  forget_known(path);
  backlog_.remove(path);
  left_alone_.insert_or_assign(path, version);
}

void WatchedFiles::forget_known(std::string const& path) {
  if (known_.erase(path) > 0) ++known_version_;
}

bool WatchedFiles::would_be_missed(std::string const& path) const {
  return !told_.contains(path) && kind_of_file(path, extensions_) == NameKind::taken;
}

void WatchedFiles::forget(std::string const& path, Lost& lost) {
  if (auto const version = backlog_.version_of(path)) lost.emplace_back(path, *version);
  auto const settling = settling_.version_of(path);
  if (settling && would_be_missed(path)) lost.emplace_back(path, *settling);
  settling_.forget(path);
  backlog_.forget(path);
  left_alone_.erase(path);
  told_.erase(path);
  forget_known(path);
}

void WatchedFiles::forget_below(std::string const& folder, Lost& lost) {
  for (auto& file : backlog_.forget_below(folder)) lost.push_back(std::move(file));
  for (auto& file : settling_.forget_below(folder)) {
    if (would_be_missed(file.first)) lost.push_back(std::move(file));
  }
  take_below(left_alone_, folder);
  take_below(told_, folder);
  if (!take_below(known_, folder).empty()) ++known_version_;
}

void WatchedFiles::tell_lost(Lost const& lost, std::vector<FoundFile> const& there) {
  if (lost.empty()) return;
  // A rename keeps the inode, and much else would not be the same after more writes.
  std::set<std::uint64_t> inodes;
  for (auto const& file : there) {
    if (file.version) inodes.insert(file.version->inode);
  }
  std::size_t count = 0;
  for (auto const& [path, version] : lost) {
    if (inodes.contains(version.inode) || ++count > limits::watcher_files_named_max) continue;
    spdlog::warn("transfer: {} has vanished before it was stored", printable(path));
  }
  if (count > limits::watcher_files_named_max) {
    spdlog::warn("transfer: {} more files have vanished before they were stored",
                 count - limits::watcher_files_named_max);
  }
}

void WatchedFiles::see(std::string const& path, FileVersion version, Time now) {
  auto const is_same_in = [&](auto const& map) {
    auto const found = map.find(path);
    return found != map.end() && found->second == version;
  };
  // Attributes and looks are no writes.
  if (is_same_in(known_) || is_same_in(left_alone_)) return;
  backlog_.remove(path);
  settling_.note(path, version, now);
}

Awaitable<void> WatchedFiles::see_all(std::vector<FoundFile> files) {
  auto const now = steady_clock::now();
  auto const listed = [&] {
    std::set<std::string_view> there;
    for (auto const& file : files) there.insert(file.path);
    return there;
  };
  auto const there = co_await offload_.run(listed);
  std::vector<std::string> gone = settling_.paths();
  for (auto const& [path, version] : known_) gone.push_back(path);
  for (auto const& [path, version] : left_alone_) gone.push_back(path);
  for (auto const& [path, notices] : told_) gone.push_back(path);
  Lost lost;
  Turns turns;
  for (auto const& path : gone) {
    if (!there.contains(path)) forget(path, lost);
    co_await turns.next();
  }
  tell_lost(lost, files);
  for (auto const& file : files) {
    // One that is waited for already is looked at when its wait is over.
    if (!settling_.contains(file.path)) see(file.path, *file.version, now);
    co_await turns.next();
  }
  changed_.notify_all();
}

void WatchedFiles::take(TreeChanges const& changes) {
  auto const now = steady_clock::now();
  Lost lost;
  for (auto const& folder : changes.gone_folders) forget_below(folder, lost);
  for (auto const& file : changes.files) {
    if (file.version) {
      see(file.path, *file.version, now);
    } else {
      forget(file.path, lost);
    }
  }
  tell_lost(lost, changes.files);
  if (!changes.files.empty() || !changes.gone_folders.empty()) changed_.notify_all();
}

Awaitable<Result<void>> WatchedFiles::read() {
  auto const began = steady_clock::now();
  auto found = co_await offload_.run([&] { return tree_.read(); });
  read_took_ = steady_clock::now() - began;
  if (found.has_error()) co_return found.error();
  co_await see_all(std::move(found).value());
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
  auto next_try = next_read;  // of inotify, while it is at its limit
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
      if (steady_clock::now() >= next_try) {
        tree_.try_again();
        next_try = steady_clock::now() + limits::watcher_rescan_period;
      }
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
    look.state = State::unreadable;
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
    // The watch of the tree is about to say so, and whether it has another name now.
    if (auto const version = settling_.version_of(look.path)) {
      settling_.note(look.path, *version, now);
    }
    return;
  }
  bool const rests = settling_.confirm(look.path, *look.version, now);
  if (!rests) return;
  auto const name = printable(look.path);
  switch (look.state) {
    case State::complete:
      left_alone_.erase(look.path);
      known_.insert_or_assign(look.path, *look.version);
      ++known_version_;
      backlog_.add(look.path, *look.version);
      break;
    case State::incomplete:
      metrics_.add(Count::watcher_skipped, {"incomplete"});
      leave_alone(look.path, *look.version);
      tell_once(look.path, Notice::incomplete,
                fmt::format("transfer: {} is not complete: {}; it is taken when it is", name,
                            look.detail));
      break;
    case State::unreadable:
      // Another mode is no other version, so it is not left alone.
      forget_known(look.path);
      metrics_.add(Count::watcher_skipped, {"unreadable"});
      tell_once(look.path, Notice::unreadable,
                fmt::format("transfer: {} cannot be read: {}; it is taken when it can be", name,
                            look.detail));
      break;
    case State::merged:
      metrics_.add(Count::watcher_skipped, {"merged"});
      leave_alone(look.path, *look.version);
      tell_once(look.path, Notice::merged,
                fmt::format("transfer: {} is not grove's but has a name that gather writes; it is "
                            "not stored: rename it, or store it with grove store",
                            name));
      break;
    case State::written_by_grove:
      metrics_.add(Count::watcher_skipped, {"written_by_grove"});
      leave_alone(look.path, *look.version);
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

Awaitable<WatchedFiles::Now> WatchedFiles::look_again(std::string path, FileVersion version) {
  auto const current = co_await offload_.run([&] { return version_of(root_ / path); });
  if (current == version) co_return Now::unchanged;
  auto const now = steady_clock::now();
  if (current) {
    see(path, *current, now);
    co_return Now::changed;
  }
  backlog_.postpone(path, now);
  co_return Now::gone;
}

}  // namespace grove
