// Which workers have re-read what was due, as the lines of POST /verify tell it, and which of those
// lines are worth logging. Not here: the calls and their pauses (watcher.h).
// Threads: values; pure.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>

namespace grove {

class ChecksumSync {
 public:
  // The ranks of the workers that are to re-read. Those that have are not asked again.
  explicit ChecksumSync(std::set<std::uint32_t> ranks) : left_(std::move(ranks)) {}

  enum class Worth { nothing, info, warning };
  // How a line is to be logged. A worker that does not answer is told of once.
  Worth take(std::string_view line);

  // Those that are no longer in the config are not waited for.
  void keep_only(std::set<std::uint32_t> const& ranks);
  std::set<std::uint32_t> const& left() const { return left_; }
  bool has_found_damage() const { return has_found_damage_; }

 private:
  Worth take_end(std::string_view line);

  std::set<std::uint32_t> left_;
  std::set<std::uint32_t> silent_;  // told of
  std::string last_end_;
  bool has_found_damage_ = false;
};

}  // namespace grove
