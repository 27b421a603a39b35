#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/buffer.h"
#include "base/bytes.h"
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

  // As a JSON string, part by part. Never longer than its source was: what must be escaped has been
  // escaped there, and no escape is shorter than these.
  Result<void> append_string(TextPart part) {
    if (!std::exchange(is_in_string_, true)) {
      TRY(append("\""));
    }
    std::string_view const text = part.text;
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
    if (!part.is_last) return ok();
    is_in_string_ = false;
    return append("\"");
  }
  bool is_in_string() const { return is_in_string_; }

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
  bool is_in_string_ = false;
};

// Repeats a header's entries, those tensors that a pass wants. A tensor's name comes before what
// tells whether it is in the shard, and may be 100 MB long; so the first pass, which only counts,
// writes every tensor down and takes back what is not in the shard, and the second asks the first.
class HeaderRepeater : public HeaderVisitor {
 public:
  HeaderRepeater(TextOutput& output, std::uint64_t file_bytes, ShardSpan shard)
      : output_(output), file_bytes_(file_bytes), shard_(shard), begin_(output.bytes_count()) {}

  Result<void> begin(std::uint64_t json_bytes) override {
    data_bytes_ = file_bytes_ - header_prefix_bytes - json_bytes;
    return output_.append("{");
  }
  Result<void> begin_metadata() override {
    TRY(begin_entry());
    is_first_metadata_ = true;
    return output_.append(R"("__metadata__":{)");
  }
  Result<void> metadata_key(TextPart part, std::uint64_t /*end*/) override {
    if (!output_.is_in_string() && !std::exchange(is_first_metadata_, false)) {
      TRY(output_.append(","));
    }
    TRY(output_.append_string(part));
    return part.is_last ? output_.append(":") : ok();
  }
  Result<void> metadata_value(TextPart part) override { return output_.append_string(part); }
  Result<void> end_metadata() override { return output_.append("}"); }

  Result<void> tensor_name(TextPart part, std::uint64_t /*end*/) override {
    if (!std::exchange(is_in_tensor_, true)) {
      is_wanted_ = begin_tensor();
      if (is_wanted_) {
        TRY(begin_entry());
      }
    }
    if (!is_wanted_) return ok();
    TRY(output_.append_string(part));
    is_first_field_ = true;
    return part.is_last ? output_.append(":{") : ok();
  }
  Result<void> dtype(std::string_view name) override {
    if (!is_wanted_) return ok();
    TRY(begin_field("dtype"));
    return output_.append(fmt::format("\"{}\"", name));
  }
  Result<void> begin_shape() override {
    if (!is_wanted_) return ok();
    is_first_dimension_ = true;
    TRY(begin_field("shape"));
    return output_.append("[");
  }
  Result<void> dimension(std::uint64_t size) override {
    if (!is_wanted_) return ok();
    if (!std::exchange(is_first_dimension_, false)) {
      TRY(output_.append(","));
    }
    return output_.append(fmt::format_int(size).c_str());
  }
  Result<void> end_shape() override { return is_wanted_ ? output_.append("]") : ok(); }
  Result<void> data_offsets(TensorSpan span) override {
    if (!is_wanted_) return ok();
    TRY(begin_field("data_offsets"));
    return output_.append(
        fmt::format("[{},{}]", span.begin - shard_.begin, span.end - shard_.begin));
  }
  Result<void> end_tensor(TensorSpan span) override {
    is_in_tensor_ = false;
    if (is_wanted_) {
      TRY(output_.append("}"));
    }
    TRY(bool const is_ours, belongs(span));
    return end_tensor_of(is_ours);
  }

  // Returns the length of the JSON.
  Result<std::uint64_t> end() {
    TRY(output_.append("}"));
    return output_.bytes_count() - begin_ - taken_back_bytes_;
  }

 protected:
  // Whether to write the tensor that begins.
  virtual bool begin_tensor() = 0;
  virtual Result<void> end_tensor_of(bool is_ours) = 0;

  // Counts the entry that has just been written as if it had not been.
  void take_back_entry() {
    taken_back_bytes_ += output_.bytes_count() - entry_begin_;
    is_first_entry_ = was_first_entry_;
  }

 private:
  Result<void> begin_entry() {
    entry_begin_ = output_.bytes_count();
    was_first_entry_ = std::exchange(is_first_entry_, false);
    return was_first_entry_ ? ok() : output_.append(",");
  }
  Result<void> begin_field(std::string_view name) {
    bool const is_first = std::exchange(is_first_field_, false);
    return output_.append(fmt::format("{}\"{}\":", is_first ? "" : ",", name));
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
  std::uint64_t begin_;
  std::uint64_t entry_begin_ = 0;
  std::uint64_t taken_back_bytes_ = 0;
  bool is_in_tensor_ = false;
  bool is_wanted_ = false;
  bool is_first_entry_ = true;
  bool was_first_entry_ = true;
  bool is_first_metadata_ = true;
  bool is_first_field_ = true;
  bool is_first_dimension_ = true;
};

// What the first pass finds out.
struct ShardContents {
  std::uint64_t json_bytes = 0;  // without padding
  std::vector<bool> is_ours;     // by the tensors' order in the header
};

class CountingPass final : public HeaderRepeater {
 public:
  using HeaderRepeater::HeaderRepeater;
  std::vector<bool> take_is_ours() { return std::move(is_ours_); }

 private:
  bool begin_tensor() override { return true; }
  Result<void> end_tensor_of(bool is_ours) override {
    is_ours_.push_back(is_ours);
    if (!is_ours) take_back_entry();
    return ok();
  }

  std::vector<bool> is_ours_;
};

class WritingPass final : public HeaderRepeater {
 public:
  WritingPass(TextOutput& output, std::uint64_t file_bytes, ShardSpan shard,
              std::vector<bool> const& is_ours)
      : HeaderRepeater(output, file_bytes, shard), is_ours_(is_ours) {}

 private:
  bool begin_tensor() override { return next_ < is_ours_.size() && is_ours_[next_]; }
  Result<void> end_tensor_of(bool is_ours) override {
    if (is_ours != begin_tensor()) {
      return fail(ErrorKind::corrupt, "the header changed while it was read: at its tensor {}",
                  next_ + 1);
    }
    ++next_;
    return ok();
  }

  std::vector<bool> const& is_ours_;
  std::size_t next_ = 0;
};

Result<ShardContents> count_json(HeaderOpener const& open, std::uint64_t file_bytes,
                                 ShardSpan shard) {
  ByteSink const nowhere = [](std::span<std::byte const>) -> Result<void> { return ok(); };
  TextOutput output(nowhere);
  TRY(ByteReader const reader, open());
  CountingPass pass(output, file_bytes, shard);
  TRY(visit_header(reader, file_bytes, pass, ErrorKind::corrupt));
  TRY(auto const json_bytes, pass.end());
  return ShardContents{.json_bytes = json_bytes, .is_ours = pass.take_is_ours()};
}

}  // namespace

Result<std::uint64_t> write_shard_header(HeaderOpener const& open, std::uint64_t file_bytes,
                                         ShardSpan shard, ByteSink const& sink) {
  TRY(ShardContents const contents, count_json(open, file_bytes, shard));
  std::uint64_t const json_bytes = contents.json_bytes;
  std::array<std::byte, header_prefix_bytes> prefix{};
  store_little_endian(std::span<std::byte>(prefix), 0, padded(json_bytes));
  TextOutput output(sink);
  TRY(output.append(text_of(prefix)));
  TRY(ByteReader const reader, open());
  WritingPass pass(output, file_bytes, shard, contents.is_ours);
  TRY(visit_header(reader, file_bytes, pass, ErrorKind::corrupt));
  TRY(auto const written_bytes, pass.end());
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
  TRY(ShardContents const contents, count_json(open, file_bytes, shard));
  return header_prefix_bytes + padded(contents.json_bytes);
}

}  // namespace grove
