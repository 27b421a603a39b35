#include "format/delta.h"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  auto const bytes = std::as_bytes(std::span(data, size));
  grove::Buffer scratch;
  GROVE_ASSERT(decode_delta(bytes, bytes, grove::Digest(), scratch).has_error());  // no bytes' name
  if (size < 3) return 0;
  auto const base = bytes.subspan(1, size / 2 - size % 2);
  auto const raw = bytes.last(base.size());
  if (raw.empty()) return 0;
  auto const type = grove::ValueType(data[0] % 9);
  auto const delta = encode_delta(raw, base, type, grove::Codec::raw, 2 * size);
  if (!delta) return 0;
  GROVE_ASSERT(decode_delta(delta->span(), base, grove::sha256(raw), scratch).has_value());
  return 0;
}
