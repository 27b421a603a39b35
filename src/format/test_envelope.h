// Chunks and deltas that somebody has changed, for tests.
// Not here: anything for code that is not a test.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include <xxhash.h>

#include "format/little_endian.h"

namespace grove {

// Makes the checksum right again after a field or the payload was changed, as an attacker would.
inline void reseal(std::vector<std::byte>& enveloped) {
  std::vector<std::byte> covered(enveloped.begin(), enveloped.begin() + 24);
  covered.insert(covered.end(), enveloped.begin() + 32, enveloped.end());
  store_little_endian(std::span(enveloped), 24,
                      std::uint64_t{XXH3_64bits(covered.data(), covered.size())});
}

}  // namespace grove
