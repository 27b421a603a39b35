// The bytes of a .safetensors header, in pieces for a JSON parser: 64 KiB in memory, however long
// the header. Threads: pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/buffer.h"
#include "base/error.h"
#include "format/safetensors.h"

namespace grove {

inline constexpr std::size_t header_prefix_bytes = 8;

class HeaderSource {
 public:
  // `reader` must outlive the source; it starts at offset 0 of the file.
  HeaderSource(ByteReader const& reader, ErrorKind broken_rule);

  // Reads the length of the JSON that follows. Fails: the broken rule; the reader's errors.
  Result<std::uint64_t> read_length(std::uint64_t file_bytes);

  // The JSON's next bytes, at most JsonParser::piece_bytes_max; none behind its end. They end with
  // a whole character where the JSON's own end allows. The view lives until the next call.
  // Fails: the broken rule; the reader's errors.
  Result<std::string_view> next_piece();

 private:
  // Makes room and reads at least one byte.
  Result<void> fill();
  Result<void> read_some(std::uint64_t bytes_max);
  std::string_view unread() const;

  ByteReader const& reader_;
  ErrorKind broken_rule_;
  Buffer buffer_;
  std::size_t next_ = 0;
  std::size_t filled_ = 0;
  std::uint64_t position_ = 0;  // file offset of the buffer's first byte
  std::uint64_t end_ = header_prefix_bytes;
};

}  // namespace grove
