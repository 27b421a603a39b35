// The bytes of a .safetensors header as a pair of iterators over a ByteReader, for a JSON parser
// that asks byte by byte: 64 KiB in memory, however long the header. Threads: pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optional>
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

  // Past the last byte of the JSON, or where reading failed: then error() says why.
  bool at_end() { return next_ == filled_ && !fill(); }
  char front() const { return static_cast<char>(buffer_.data()[next_]); }
  void advance() { ++next_; }
  // The file offset of front().
  std::uint64_t position() const { return position_ + next_; }
  std::optional<Error> const& error() const { return error_; }

 private:
  bool fill();
  // False with error() set when the reader fails or the stream ends.
  bool read_some(std::uint64_t bytes_max);
  std::optional<std::string_view> refusal_of_buffer() const;

  ByteReader const& reader_;
  ErrorKind broken_rule_;
  Buffer buffer_;
  std::size_t next_ = 0;
  std::size_t filled_ = 0;
  std::uint64_t position_ = 0;  // file offset of the buffer's first byte
  std::uint64_t end_ = header_prefix_bytes;
  std::optional<Error> error_;
};

// An input iterator; one made without a source is the end.
class HeaderIterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = char const*;
  using reference = char;

  HeaderIterator() = default;
  explicit HeaderIterator(HeaderSource& source) : source_(&source) {}

  char operator*() const { return source_->front(); }
  HeaderIterator& operator++() {
    source_->advance();
    return *this;
  }
  friend bool operator==(HeaderIterator const& a, HeaderIterator const& b) {
    return a.is_at_end() == b.is_at_end();
  }

 private:
  bool is_at_end() const { return source_ == nullptr || source_->at_end(); }
  HeaderSource* source_ = nullptr;
};

}  // namespace grove
