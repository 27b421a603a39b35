#include <algorithm>

#include "format/chunk.h"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  auto const bytes = std::as_bytes(std::span(data, size));
  grove::Buffer scratch;
  GROVE_ASSERT(decode_chunk(bytes, grove::Digest(), scratch).has_error());  // no bytes' name
  if (bytes.empty() || size > grove::limits::chunk_bytes_max) return 0;
  for (int codec = 0; codec <= static_cast<int>(grove::codec_last); ++codec) {
    auto const chunk = encode_chunk(bytes, grove::Codec(codec));
    GROVE_ASSERT(decode_chunk(chunk.span(), grove::sha256(bytes), scratch).has_value());
  }
  return 0;
}
