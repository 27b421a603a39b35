#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>

#include "base/buffer.h"
#include "base/limits.h"
#include "format/header_reader.h"
#include "format/header_source.h"
#include "format/little_endian.h"
#include "format/safetensors.h"

namespace grove {
namespace {

constexpr std::size_t output_buffer_bytes = 64 * limits::kib;
constexpr std::uint64_t alignment = 8;

std::uint64_t padded(std::uint64_t json_bytes) {
  return (json_bytes + alignment - 1) / alignment * alignment;
}

// Gathers small pieces of text into calls of a sink, and counts them.
class TextOutput {
 public:
  explicit TextOutput(ByteSink const& sink) : sink_(sink), buffer_(output_buffer_bytes) {}

  Result<void> append(std::string_view text) {
    bytes_count_ += text.size();
    while (!text.empty()) {
      if (used_ == buffer_.size()) {
        TRY(flush());
      }
      std::size_t const taken = std::min(text.size(), buffer_.size() - used_);
      std::memcpy(buffer_.data() + used_, text.data(), taken);
      used_ += taken;
      text.remove_prefix(taken);
    }
    return ok();
  }

  // As a JSON string. Never longer than its source was: what must be escaped has been escaped
  // there, and no escape is shorter than these.
  Result<void> append_string(std::string_view text) {
    TRY(append("\""));
    for (std::size_t next = 0; next < text.size();) {
      auto const plain_end = std::find_if(text.begin() + static_cast<std::ptrdiff_t>(next),
                                          text.end(), must_be_escaped);
      auto const end = static_cast<std::size_t>(plain_end - text.begin());
      TRY(append(text.substr(next, end - next)));
      if (end < text.size()) {
        TRY(append(escaped(text[end])));
      }
      next = end + 1;
    }
    return append("\"");
  }

  Result<void> flush() {
    TRY(sink_(buffer_.span().first(used_)));
    used_ = 0;
    return ok();
  }

  std::uint64_t bytes_count() const { return bytes_count_; }

 private:
  static bool must_be_escaped(char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == '"' || c == '\\';
  }

  static std::string escaped(char c) {
    switch (c) {
      case '"':
        return "\\\"";
      case '\\':
        return "\\\\";
      case '\b':
        return "\\b";
      case '\f':
        return "\\f";
      case '\n':
        return "\\n";
      case '\r':
        return "\\r";
      case '\t':
        return "\\t";
      default:
        return fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    }
  }

  ByteSink const& sink_;
  Buffer buffer_;
  std::size_t used_ = 0;
  std::uint64_t bytes_count_ = 0;
};

// Repeats those entries of a header that belong to one shard.
class ShardHeaderWriter final : public HeaderVisitor {
 public:
  ShardHeaderWriter(TextOutput& output, std::uint64_t file_bytes, ShardSpan shard)
      : output_(output), file_bytes_(file_bytes), shard_(shard) {}

  Result<void> begin(std::uint64_t json_bytes) override {
    data_bytes_ = file_bytes_ - header_prefix_bytes - json_bytes;
    return output_.append("{");
  }
  Result<void> begin_metadata() override {
    TRY(begin_entry("__metadata__"));
    TRY(output_.append("{"));
    is_first_metadata_ = true;
    return ok();
  }
  Result<void> metadata(std::string_view key, std::string_view value,
                        std::uint64_t /*key_end*/) override {
    if (!std::exchange(is_first_metadata_, false)) {
      TRY(output_.append(","));
    }
    TRY(output_.append_string(key));
    TRY(output_.append(":"));
    return output_.append_string(value);
  }
  Result<void> end_metadata() override { return output_.append("}"); }

  void dimension(std::uint64_t size) override {
    fmt::format_to(std::back_inserter(shape_), "{}{}", shape_.empty() ? "" : ",", size);
  }

  Result<void> tensor(TensorEntry const& entry) override {
    TRY(bool const is_ours, belongs(entry.span));
    if (is_ours) {
      TRY(begin_entry(entry.name));
      TRY(output_.append(fmt::format(R"({{"dtype":"{}","shape":[)", entry.dtype)));
      TRY(output_.append(shape_));
      TRY(output_.append(fmt::format(R"(],"data_offsets":[{},{}]}})",
                                     entry.span.begin - shard_.begin,
                                     entry.span.end - shard_.begin)));
    }
    shape_.clear();
    return ok();
  }

  Result<void> end() { return output_.append("}"); }

 private:
  Result<void> begin_entry(std::string_view name) {
    if (!std::exchange(is_first_entry_, false)) {
      TRY(output_.append(","));
    }
    TRY(output_.append_string(name));
    return output_.append(":");
  }

  Result<bool> belongs(TensorSpan const& tensor) const {
    if (tensor.begin == tensor.end) {
      bool const is_at_the_end = tensor.begin == data_bytes_;
      return is_at_the_end ? shard_.is_last_nonempty
                           : shard_.begin <= tensor.begin && tensor.begin < shard_.end;
    }
    if (tensor.end <= shard_.begin || tensor.begin >= shard_.end) return false;
    if (tensor.begin < shard_.begin || tensor.end > shard_.end) {
      return fail(ErrorKind::corrupt, "the shard [{},{}) cuts the tensor [{},{})", shard_.begin,
                  shard_.end, tensor.begin, tensor.end);
    }
    return true;
  }

  TextOutput& output_;
  std::uint64_t file_bytes_;
  ShardSpan shard_;
  std::uint64_t data_bytes_ = 0;
  std::string shape_;  // "2,3"
  bool is_first_entry_ = true;
  bool is_first_metadata_ = true;
};

// Writes the JSON without its padding; returns its length.
Result<std::uint64_t> write_json(HeaderOpener const& open, std::uint64_t file_bytes,
                                 ShardSpan shard, TextOutput& output) {
  TRY(ByteReader const reader, open());
  ShardHeaderWriter writer(output, file_bytes, shard);
  std::uint64_t const bytes_before = output.bytes_count();
  TRY(visit_header(reader, file_bytes, writer, ErrorKind::corrupt));
  TRY(writer.end());
  return output.bytes_count() - bytes_before;
}

Result<std::uint64_t> count_json(HeaderOpener const& open, std::uint64_t file_bytes,
                                 ShardSpan shard) {
  ByteSink const nowhere = [](std::span<std::byte const>) -> Result<void> { return ok(); };
  TextOutput output(nowhere);
  return write_json(open, file_bytes, shard, output);
}

}  // namespace

Result<std::uint64_t> write_shard_header(HeaderOpener const& open, std::uint64_t file_bytes,
                                         ShardSpan shard, ByteSink const& sink) {
  TRY(auto const json_bytes, count_json(open, file_bytes, shard));
  std::array<std::byte, header_prefix_bytes> prefix{};
  store_little_endian(std::span<std::byte>(prefix), 0, padded(json_bytes));
  TextOutput output(sink);
  TRY(output.append({reinterpret_cast<char const*>(prefix.data()), prefix.size()}));
  TRY(auto const written_bytes, write_json(open, file_bytes, shard, output));
  if (written_bytes != json_bytes) {
    return fail(ErrorKind::corrupt, "the header changed while it was read: {} bytes, then {}",
                json_bytes, written_bytes);
  }
  TRY(output.append(std::string(padded(json_bytes) - json_bytes, ' ')));
  TRY(output.flush());
  return output.bytes_count();
}

Result<std::uint64_t> shard_header_bytes(HeaderOpener const& open, std::uint64_t file_bytes,
                                         ShardSpan shard) {
  TRY(auto const json_bytes, count_json(open, file_bytes, shard));
  return header_prefix_bytes + padded(json_bytes);
}

}  // namespace grove
