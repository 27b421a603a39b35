#include <algorithm>

#include "format/manifest.h"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  auto const bytes = std::as_bytes(std::span(data, size));
  if (auto const manifest = grove::parse_manifest(bytes)) {
    std::string const text = grove::serialize(manifest.value());
    GROVE_ASSERT(std::ranges::equal(std::as_bytes(std::span(text)), bytes));
  }
  if (auto const list = grove::parse_shard_list(bytes)) {
    GROVE_ASSERT(std::ranges::equal(grove::serialize(list.value()).span(), bytes));
  }
  return 0;
}
