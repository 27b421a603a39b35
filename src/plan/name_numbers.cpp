#include "plan/name_numbers.h"

#include <charconv>
#include <system_error>

namespace grove {

namespace {

// Removes digits at the end; false where there were none.
bool drop_digits(std::string_view& name) {
  auto const size = name.size();
  while (!name.empty() && is_digit(name.back())) {
    name.remove_suffix(1);
  }
  return name.size() < size;
}

}  // namespace

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

std::optional<std::uint64_t> last_integer(std::string_view name) {
  auto end = name.size();
  while (end > 0 && !is_digit(name[end - 1])) {
    --end;
  }
  auto begin = end;
  while (begin > 0 && is_digit(name[begin - 1])) {
    --begin;
  }
  std::uint64_t value = 0;
  auto const [rest, error] = std::from_chars(name.data() + begin, name.data() + end, value);
  if (begin == end || error != std::errc()) {
    return std::nullopt;
  }
  return value;
}

std::string_view without_part(std::string_view stem) {
  constexpr std::string_view of = "-of-";
  auto rest = stem;
  if (!drop_digits(rest) || !rest.ends_with(of)) {
    return stem;
  }
  rest.remove_suffix(of.size());
  if (!drop_digits(rest) || !rest.ends_with('-')) {
    return stem;
  }
  rest.remove_suffix(1);
  return rest;
}

std::uint64_t parts_count_of(CheckpointKey const& key) {
  auto name = key.file_name();
  name.remove_suffix(key.extension().size());
  if (without_part(name) == name) return 1;
  return last_integer(name).value_or(1);
}

std::string_view stem_of(CheckpointKey const& key) {
  auto name = key.file_name();
  name.remove_suffix(key.extension().size());
  return without_part(name);
}

std::string without_numbers(std::string_view name) {
  std::string text;
  for (char const c : name) {
    // A key has no NUL, so that nothing else looks like a number that was left out.
    char const kept = is_digit(c) ? '\0' : c;
    if (kept != '\0' || !text.ends_with('\0')) {
      text += kept;
    }
  }
  return text;
}

}  // namespace grove
