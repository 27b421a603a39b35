// The key of a checkpoint, for tests.
// Not here: anything for code that is not a test.
#pragma once

#include <string_view>

#include "format/key.h"

namespace grove {

inline CheckpointKey key_of(std::string_view identity) {
  return CheckpointKey::parse(identity).value();
}

}  // namespace grove
