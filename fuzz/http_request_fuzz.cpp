#include "net/http_parser.h"
#include "net/url.h"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  grove::HttpParser<true> parser;
  auto rest = std::as_bytes(std::span(data, size));
  std::array<std::byte, 7> out;  // small, so that a body comes in several steps
  for (auto step = parser.put_head(rest);
       !step.error && step.used > 0 && parser.has_head() && !parser.body_bytes();
       step = parser.put_body(rest, out))
    rest = rest.subspan(step.used);
  std::ignore = grove::parse_host(parser.header("Host").value_or(""));
  std::ignore = grove::parse_target(parser.head().target());
  return 0;
}
