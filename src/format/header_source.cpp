#include "format/header_source.h"

#include <algorithm>
#include <cstring>

#include "base/limits.h"
#include "format/json_parser.h"
#include "format/little_endian.h"

namespace grove {
namespace {

constexpr std::size_t buffer_bytes = 64 * limits::kib;
constexpr char byte_order_mark_first = '\xef';
constexpr std::size_t character_bytes_max = 4;

// How many of the text's last bytes are the beginning of a character that goes on behind it.
std::size_t unfinished_bytes(std::string_view text) {
  for (std::size_t count = 1; count < character_bytes_max && count <= text.size(); ++count) {
    auto const byte = static_cast<unsigned char>(text[text.size() - count]);
    if (byte < 0x80) return 0;
    if (byte < 0xc0) continue;
    std::size_t const character_bytes = byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
    return count < character_bytes ? count : 0;
  }
  return 0;
}

}  // namespace

HeaderSource::HeaderSource(ByteReader const& reader, ErrorKind broken_rule)
    : reader_(reader), broken_rule_(broken_rule), buffer_(buffer_bytes) {}

Result<std::uint64_t> HeaderSource::read_length(std::uint64_t file_bytes) {
  if (file_bytes < header_prefix_bytes) {
    return fail(broken_rule_, "the file has {} bytes, a .safetensors file has at least {}",
                file_bytes, header_prefix_bytes);
  }
  while (filled_ < header_prefix_bytes) {
    TRY(read_some(header_prefix_bytes - filled_));
  }
  auto const length = load_little_endian<std::uint64_t>(buffer_.span(), 0);
  if (length > limits::safetensors_header_bytes_max) {
    return fail(broken_rule_,
                "the header says it is {} bytes long, at most {} are allowed; is this a "
                ".safetensors file?",
                length, limits::safetensors_header_bytes_max);
  }
  // Cannot overflow: the length is below 2^27 here.
  end_ = header_prefix_bytes + length;
  if (end_ > file_bytes) {
    return fail(broken_rule_, "the header says the file has at least {} bytes, but it has {}", end_,
                file_bytes);
  }
  position_ = header_prefix_bytes;
  filled_ = 0;
  return length;
}

Result<std::string_view> HeaderSource::next_piece() {
  bool const is_first = position_ == header_prefix_bytes && next_ == 0;
  while (true) {
    std::string_view const piece = unread().substr(0, JsonParser::piece_bytes_max);
    bool const is_all = position_ + next_ + piece.size() == end_;
    std::size_t const bytes = piece.size() - (is_all ? 0 : unfinished_bytes(piece));
    if (bytes > 0 || is_all) {
      // The parser would only say "not valid JSON".
      if (is_first && bytes > 0 && piece.front() == byte_order_mark_first) {
        return fail(broken_rule_,
                    "the header begins with a byte order mark; it must begin with {{");
      }
      next_ += bytes;
      return piece.substr(0, bytes);
    }
    TRY(fill());
  }
}

Result<void> HeaderSource::fill() {
  std::string_view const rest = unread();
  std::memmove(buffer_.data(), rest.data(), rest.size());
  position_ += next_;
  next_ = 0;
  filled_ = rest.size();
  return read_some(end_ - position_ - filled_);
}

Result<void> HeaderSource::read_some(std::uint64_t bytes_max) {
  auto const room = buffer_.span().subspan(filled_);
  auto const target = room.first(std::min<std::uint64_t>(room.size(), bytes_max));
  TRY(auto const bytes, reader_(target));
  GROVE_ASSERT(bytes <= target.size());
  if (bytes == 0) {
    return fail(broken_rule_, "the file ends at byte {}, inside its header of {} bytes",
                position_ + filled_, end_);
  }
  filled_ += bytes;
  return ok();
}

std::string_view HeaderSource::unread() const {
  return {reinterpret_cast<char const*>(buffer_.data()) + next_, filled_ - next_};
}

}  // namespace grove
