#include <algorithm>

#include "format/ref.h"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  auto const bytes = std::as_bytes(std::span(data, size));
  auto const is_same = [&](std::string const& text) {
    return std::ranges::equal(std::as_bytes(std::span(text)), bytes);
  };
  if (auto const ref = grove::parse_ref(bytes)) GROVE_ASSERT(is_same(serialize(ref.value())));
  if (auto const tombstone = grove::parse_tombstone(bytes)) {
    GROVE_ASSERT(is_same(serialize(tombstone.value())));
  }
  return 0;
}
