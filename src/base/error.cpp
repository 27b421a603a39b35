#include "base/error.h"

#include <array>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <tuple>

namespace grove {

namespace {

constexpr std::array<std::string_view, 8> kind_names{"invalid",   "not_found",   "conflict",
                                                     "corrupt",   "unavailable", "exhausted",
                                                     "cancelled", "internal"};
static_assert(kind_names.size() == static_cast<std::size_t>(ErrorKind::internal) + 1);

}  // namespace

std::string_view to_string(ErrorKind kind) {
  return kind_names.at(static_cast<std::size_t>(kind));
}

ErrorKind parse_error_kind(std::string_view name) {
  for (std::size_t index = 0; index < kind_names.size(); ++index) {
    if (kind_names.at(index) == name) return static_cast<ErrorKind>(index);
  }
  return ErrorKind::internal;
}

void assertion_failed(char const* condition, char const* file, int line) {
  // Plain stderr: the logger may be what is broken, and it may hold a lock.
  std::ignore = std::fprintf(stderr, "grove: bug: %s:%d: %s does not hold; stopping\n", file, line,
                             condition);
  std::abort();
}

}  // namespace grove
