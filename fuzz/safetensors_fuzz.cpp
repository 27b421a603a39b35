#include "format/safetensors_fixture.h"

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  std::string const file(reinterpret_cast<char const*>(data), size);
  auto const layout = grove::parse_safetensors(grove::reader_of(file, 61), size);
  if (layout.has_error()) return 0;
  std::string text;  // the header of its only shard describes the same tensors
  auto const open = [&]() -> grove::Result<grove::ByteReader> { return grove::reader_of(file); };
  grove::ShardSpan const all{.end = layout.value().data_bytes, .is_last_nonempty = true};
  GROVE_ASSERT(write_shard_header(open, size, all, grove::sink_into(text)).has_value());
  auto const copy = parse_safetensors(grove::reader_of(text), text.size() + all.end);
  GROVE_ASSERT(copy.value().tensors == layout.value().tensors);
  return 0;
}
