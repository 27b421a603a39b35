#include <algorithm>

#include "format/codec.h"
#include "format/little_endian.h"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  if (size < 4) return 0;
  auto const bytes = std::as_bytes(std::span(data, size)).subspan(3);
  auto const codec = grove::Codec(1 + data[0] % static_cast<int>(grove::codec_last));
  grove::Buffer raw;  // taken for a payload it is hostile, taken for raw bytes it must come back
  std::ignore = decode_payload(bytes, codec, 1u + data[1] + 256u * data[2], raw);
  grove::Buffer payload(bytes.size());
  if (auto const used = encode_payload(bytes, codec, payload.span())) {
    GROVE_ASSERT(decode_payload(payload.span().first(*used), codec, bytes.size(), raw).has_value());
    GROVE_ASSERT(std::ranges::equal(raw.span(), bytes));
  }
  std::ignore = choose_codec(bytes, grove::ValueType(data[1] % 9));
  return 0;
}
