#include "watcher/backlog.h"

#include "base/limits.h"
#include "watcher/back_off.h"
#include "watcher/below.h"

namespace grove {

void Backlog::BackOff::wait_longer(Time now) {
  delay = longer_pause(delay, limits::watcher_retry_first, limits::watcher_retry_last);
  due = now + delay;
}

void Backlog::put_in_order(Files::iterator file) {
  auto& waiting = file->second;
  waiting.is_due = waiting.back_off.due == Time{};
  if (waiting.is_due) {
    due_.emplace(waiting.version.mtime_ns, file->first);
  } else {
    later_.emplace(waiting.back_off.due, file->first);
  }
}

void Backlog::take_out_of_order(Files::iterator file) {
  auto const& waiting = file->second;
  if (waiting.is_due) {
    due_.erase({waiting.version.mtime_ns, file->first});
  } else {
    later_.erase({waiting.back_off.due, file->first});
  }
}

void Backlog::add(std::string const& path, FileVersion version) {
  remove(path);
  Waiting waiting{.version = version, .back_off = {}, .is_due = false};
  if (auto const held = held_back_.find(path); held != held_back_.end()) {
    waiting.back_off.due = held->second.due;
  }
  put_in_order(files_.emplace(path, waiting).first);
}

void Backlog::remove(std::string const& path) {
  auto const file = files_.find(path);
  if (file == files_.end()) return;
  take_out_of_order(file);
  files_.erase(file);
}

void Backlog::forget(std::string const& path) {
  remove(path);
  held_back_.erase(path);
}

std::vector<std::pair<std::string, FileVersion>> Backlog::forget_below(std::string const& folder) {
  auto const prefix = folder + "/";
  for (auto file = files_.lower_bound(prefix);
       file != files_.end() && file->first.starts_with(prefix); ++file) {
    take_out_of_order(file);
  }
  std::vector<std::pair<std::string, FileVersion>> forgotten;
  for (auto const& [path, waiting] : take_below(files_, folder)) {
    forgotten.emplace_back(path, waiting.version);
  }
  take_below(held_back_, folder);
  return forgotten;
}

std::optional<Backlog::Entry> Backlog::newest_due(Time now) {
  while (!later_.empty() && later_.begin()->first <= now) {
    auto const file = files_.find(std::string(later_.begin()->second));
    later_.erase(later_.begin());
    file->second.is_due = true;
    due_.emplace(file->second.version.mtime_ns, file->first);
  }
  if (due_.empty()) return std::nullopt;
  return Entry{.path = std::string(due_.begin()->second),
               .version = files_.find(std::string(due_.begin()->second))->second.version};
}

std::optional<Backlog::Time> Backlog::next_due() const {
  if (!due_.empty()) return Time{};
  if (!later_.empty()) return later_.begin()->first;
  return std::nullopt;
}

void Backlog::postpone(std::string const& path, Time now) {
  auto const file = files_.find(path);
  if (file == files_.end()) return;
  take_out_of_order(file);
  file->second.back_off.wait_longer(now);
  put_in_order(file);
}

void Backlog::hold_back(std::string const& path, Time now) {
  held_back_[path].wait_longer(now);
}

void Backlog::hurry() {
  for (auto file = files_.begin(); file != files_.end(); ++file) {
    take_out_of_order(file);
    file->second.back_off = {};
    put_in_order(file);
  }
}

std::optional<FileVersion> Backlog::version_of(std::string const& path) const {
  auto const file = files_.find(path);
  if (file == files_.end()) return std::nullopt;
  return file->second.version;
}

}  // namespace grove
