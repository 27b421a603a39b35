#include <cstdint>
#include <tuple>

#include "net/mdns_packet.h"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  std::ignore = grove::is_harmless_mdns_packet(std::as_bytes(std::span(data, size)));
  return 0;
}
