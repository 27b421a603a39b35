#include "base/random.h"

#include <sys/random.h>

#include <vector>

#include <fmt/format.h>

#include "base/error.h"

namespace grove {

std::string random_hex(std::size_t bytes_count) {
  std::vector<unsigned char> bytes(bytes_count);
  // Up to 256 bytes come at once or not at all, by getrandom's own promise.
  GROVE_ASSERT(bytes_count <= 256);
  GROVE_ASSERT(::getrandom(bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
  std::string text;
  for (auto const byte : bytes) text += fmt::format("{:02x}", byte);
  return text;
}

}  // namespace grove
