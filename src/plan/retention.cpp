#include "plan/retention.h"

#include <algorithm>
#include <charconv>
#include <string_view>

namespace grove {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// None where there is none, or one that no 64 bits hold.
std::optional<std::uint64_t> last_integer(std::string_view name) {
  auto end = name.size();
  while (end > 0 && !is_digit(name[end - 1])) --end;
  auto begin = end;
  while (begin > 0 && is_digit(name[begin - 1])) --begin;
  std::uint64_t value = 0;
  auto const [rest, error] = std::from_chars(name.data() + begin, name.data() + end, value);
  if (begin == end || error != std::errc()) return std::nullopt;
  return value;
}

// Removes digits at the end; false where there were none.
bool drop_digits(std::string_view& name) {
  auto const size = name.size();
  while (!name.empty() && is_digit(name.back())) name.remove_suffix(1);
  return name.size() < size;
}

// "model-00001-of-00004" → "model"
std::string_view without_part(std::string_view stem) {
  constexpr std::string_view of = "-of-";
  auto rest = stem;
  if (!drop_digits(rest) || !rest.ends_with(of)) return stem;
  rest.remove_suffix(of.size());
  if (!drop_digits(rest) || !rest.ends_with('-')) return stem;
  rest.remove_suffix(1);
  return rest;
}

std::string_view stem_of(CheckpointKey const& key) {
  auto name = key.file_name();
  name.remove_suffix(key.extension().size());
  return without_part(name);
}

}  // namespace

std::optional<RunStep> run_step_of(CheckpointKey const& key) {
  auto const folder = key.folder();
  if (auto const step = last_integer(stem_of(key))) {
    return RunStep{.run = std::string(folder), .step = *step};
  }
  auto const slash = folder.rfind('/');
  auto const name = slash == folder.npos ? folder : folder.substr(slash + 1);
  auto const step = last_integer(name);
  if (!step) return std::nullopt;
  return RunStep{.run = std::string(slash == folder.npos ? "" : folder.substr(0, slash)),
                 .step = *step};
}

void RetentionPlan::add(CheckpointKey const& key) {
  if (auto const place = run_step_of(key)) steps_[place->run].insert(place->step);
}

bool RetentionPlan::drops(CheckpointKey const& key) const {
  if (!retention_.keep_last && !retention_.keep_every) return false;
  auto const place = run_step_of(key);
  if (!place) return false;
  if (retention_.keep_every && *retention_.keep_every > 0 &&
      place->step % *retention_.keep_every == 0) {
    return false;
  }
  auto const run = steps_.find(place->run);
  if (run == steps_.end()) return false;
  auto const keep_last = std::max<std::uint64_t>(1, retention_.keep_last.value_or(1));
  std::uint64_t newer_count = 0;
  for (auto step = run->second.rbegin(); step != run->second.rend() && *step > place->step;
       ++step) {
    ++newer_count;
    if (newer_count >= keep_last) return true;
  }
  return false;
}

}  // namespace grove
