// How a call ended, for tests.
// Not here: anything for code that is not a test.
#pragma once

#include <optional>

#include "base/error.h"

namespace grove {

// Of the error, or nothing: `EXPECT_EQ(kind_of(result), ErrorKind::corrupt)`.
template <typename Value>
std::optional<ErrorKind> kind_of(Result<Value> const& result) {
  if (result) return std::nullopt;
  return result.error().kind;
}

}  // namespace grove
