#include "watcher/checksum_sync.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

namespace grove {
namespace {

// "rank 3 (pi): …" → 3
std::optional<std::uint32_t> rank_of(std::string_view text) {
  constexpr std::string_view word = "rank ";
  if (!text.starts_with(word)) return std::nullopt;
  std::uint32_t rank = 0;
  auto const* const begin = text.data() + word.size();
  auto const [end, error] = std::from_chars(begin, text.data() + text.size(), rank);
  return error == std::errc() && end != begin ? std::optional(rank) : std::nullopt;
}

}  // namespace

ChecksumSync::Worth ChecksumSync::take(std::string_view line) {
  constexpr std::string_view good = "✓ ";
  constexpr std::string_view bad = "✗ ";
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  bool const is_good = line.starts_with(good);
  if (!is_good && !line.starts_with(bad)) return take_end(line);
  auto const rank = rank_of(line.substr(good.size()));
  if (!rank) return Worth::nothing;
  if (line.find(" was not verified: ") != line.npos) {
    return silent_.insert(*rank).second ? Worth::warning : Worth::nothing;
  }
  left_.erase(*rank);
  if (!is_good) has_found_damage_ = true;
  return is_good ? Worth::info : Worth::warning;
}

ChecksumSync::Worth ChecksumSync::take_end(std::string_view line) {
  bool const is_done = line.starts_with("Done:");
  if (!is_done && !line.starts_with("ERROR:")) return Worth::nothing;  // progress
  if (std::exchange(last_end_, line) == line) return Worth::nothing;
  return is_done ? Worth::info : Worth::warning;
}

void ChecksumSync::keep_only(std::set<std::uint32_t> const& ranks) {
  std::erase_if(left_, [&](std::uint32_t rank) { return !ranks.contains(rank); });
}

}  // namespace grove
