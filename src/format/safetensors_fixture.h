// Headers for tests and fuzz targets: files made from JSON text, readers over them, a sink.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "format/little_endian.h"
#include "format/safetensors.h"

namespace grove {

// The length prefix of a header and its JSON.
inline std::string header_of(std::string_view json) {
  std::string header(8, '\0');
  auto const bytes = std::as_writable_bytes(std::span(header));
  store_little_endian(bytes, 0, std::uint64_t{json.size()});
  return header + std::string(json);
}

// Gives the text in pieces of at most `piece_bytes`, as a slow network would.
inline ByteReader reader_of(std::string text, std::size_t piece_bytes = 1 << 20) {
  return [text = std::move(text), piece_bytes,
          offset = std::size_t{0}](std::span<std::byte> target) mutable -> Result<std::size_t> {
    std::size_t const size = std::min({target.size(), text.size() - offset, piece_bytes});
    std::memcpy(target.data(), text.data() + offset, size);
    offset += size;
    return size;
  };
}

// Appends what it is given to `text`, which must outlive it.
inline ByteSink sink_into(std::string& text) {
  return [&text](std::span<std::byte const> bytes) -> Result<void> {
    text.append(text_of(bytes));
    return ok();
  };
}

// Where the tensors lie.
inline std::vector<TensorSpan> spans_of(SafetensorsLayout const& layout) {
  std::vector<TensorSpan> spans;
  for (LayoutTensor const& tensor : layout.tensors) spans.push_back(tensor.span);
  return spans;
}

// Parses a file of this header and `data_bytes` of tensors.
inline Result<SafetensorsLayout> parse_json(std::string_view json, std::uint64_t data_bytes) {
  std::string const header = header_of(json);
  return parse_safetensors(reader_of(header), header.size() + data_bytes);
}

}  // namespace grove
