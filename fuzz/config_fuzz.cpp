#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/config.h"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  auto const config = grove::parse_config({reinterpret_cast<char const*>(data), size}, "c.yaml");
  // What it accepts must have the promised shape; a refusal is one line.
  if (config) GROVE_ASSERT(config.value().redundancy <= config.value().workers.size());
  if (!config) GROVE_ASSERT(config.error().message.find('\n') == std::string::npos);
  return 0;
}
