#include <cstdint>

#include "format/key.h"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  auto const key = grove::CheckpointKey::parse({reinterpret_cast<char const*>(data), size});
  if (key.has_error()) return 0;
  std::string const path = "/" + key.value().identity() + "/";
  GROVE_ASSERT(path.find("/../") == path.npos && path.find("//") == path.npos);
  GROVE_ASSERT(path.find('\0') == path.npos && !key.value().file_name().empty());
  GROVE_ASSERT(key.value().identity().ends_with(key.value().file_name()));
  return 0;
}
