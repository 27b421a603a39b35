#include "format/header_source.h"

#include <algorithm>
#include <cstring>

#include "base/limits.h"
#include "format/little_endian.h"

namespace grove {
namespace {

constexpr std::size_t buffer_bytes = 64 * limits::kib;
constexpr std::byte byte_order_mark_first{0xef};

}  // namespace

HeaderSource::HeaderSource(ByteReader const& reader, ErrorKind broken_rule)
    : reader_(reader), broken_rule_(broken_rule), buffer_(buffer_bytes) {}

Result<std::uint64_t> HeaderSource::read_length(std::uint64_t file_bytes) {
  if (file_bytes < header_prefix_bytes) {
    return fail(broken_rule_, "the file has {} bytes, a .safetensors file has at least {}",
                file_bytes, header_prefix_bytes);
  }
  while (filled_ < header_prefix_bytes) {
    if (!read_some(header_prefix_bytes - filled_)) return *error_;
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

bool HeaderSource::fill() {
  if (error_ || position_ + filled_ == end_) return false;
  position_ += filled_;
  next_ = 0;
  filled_ = 0;
  if (!read_some(end_ - position_)) return false;
  if (auto const reason = refusal_of_buffer()) {
    error_ = fail(broken_rule_, "the header {}", *reason);
    filled_ = 0;
    return false;
  }
  return true;
}

bool HeaderSource::read_some(std::uint64_t bytes_max) {
  auto const room = buffer_.span().subspan(filled_);
  auto const target = room.first(std::min<std::uint64_t>(room.size(), bytes_max));
  auto const bytes = reader_(target);
  if (bytes.has_error()) {
    error_ = bytes.error();
    return false;
  }
  GROVE_ASSERT(bytes.value() <= target.size());
  if (bytes.value() == 0) {
    error_ = fail(broken_rule_, "the file ends at byte {}, inside its header of {} bytes",
                  position_ + filled_, end_);
    return false;
  }
  filled_ += bytes.value();
  return true;
}

// What nlohmann-json would let pass: it skips a byte order mark, and takes a zero byte for the end
// of its input, with anything behind it.
std::optional<std::string_view> HeaderSource::refusal_of_buffer() const {
  if (position_ == header_prefix_bytes && buffer_.data()[0] == byte_order_mark_first) {
    return "begins with a byte order mark; it must begin with {";
  }
  if (std::memchr(buffer_.data(), 0, filled_) != nullptr) {
    return "is not valid JSON: it has a zero byte";
  }
  return std::nullopt;
}

}  // namespace grove
