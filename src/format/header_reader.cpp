#include "format/header_reader.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <utility>

#include "base/limits.h"
#include "format/header_source.h"
#include "format/text.h"

namespace grove {
namespace {

constexpr std::string_view metadata_name = "__metadata__";

struct Dtype {
  std::string_view name;
  std::uint64_t bits;
};

// tensor.rs, `enum Dtype` and `bitsize`.
constexpr std::array<Dtype, 22> dtypes{{
    {"BOOL", 8},        {"F4", 4},      {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"U8", 8},
    {"I8", 8},          {"F8_E5M2", 8}, {"F8_E4M3", 8}, {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8},
    {"F8_E5M2FNUZ", 8}, {"I16", 16},    {"U16", 16},    {"F16", 16},    {"BF16", 16},
    {"I32", 32},        {"U32", 32},    {"F32", 32},    {"C64", 64},    {"F64", 64},
    {"I64", 64},        {"U64", 64},
}};

std::optional<std::uint64_t> product(std::optional<std::uint64_t> a, std::uint64_t b) {
  std::uint64_t result = 0;
  if (!a || __builtin_mul_overflow(*a, b, &result)) return std::nullopt;
  return result;
}

// What the header has said of the tensor at hand.
struct TensorFields {
  Dtype const* dtype = nullptr;
  bool has_shape = false;
  bool has_offsets = false;
  std::optional<std::uint64_t> elements_count = 1;  // none: more than 64 bits hold
  std::array<std::uint64_t, 2> offsets{};
  std::size_t offsets_count = 0;
};

// A string that comes in parts, of which only the beginning is kept: more than any name that means
// something to the format has, and more than shown() shows.
class Beginning {
 public:
  void append(std::string_view part) {
    if (bytes_ == 0) kept_.clear();
    bytes_ += part.size();
    kept_ += part.substr(0, kept_bytes_max - kept_.size());
  }
  // The next part begins a new string.
  void end() { bytes_ = 0; }

  // Of the string so far.
  std::uint64_t bytes() const { return bytes_; }
  std::string_view text() const { return kept_; }

 private:
  static constexpr std::size_t kept_bytes_max = 128;

  std::string kept_;
  std::uint64_t bytes_ = 0;
};

// A number that comes in parts. Only a plain integer that fits 64 bits has a value: "-0" and "1.0"
// have none.
class UnsignedInteger {
 public:
  // False: the number has no value.
  bool append(std::string_view part) {
    for (char const c : part) {
      if (c < '0' || c > '9') return false;
      if (__builtin_mul_overflow(value_, std::uint64_t{10}, &value_)) return false;
      auto const digit = static_cast<std::uint64_t>(c - '0');
      if (__builtin_add_overflow(value_, digit, &value_)) return false;
    }
    return true;
  }
  // The value; the next part begins a new number.
  std::uint64_t end() { return std::exchange(value_, 0); }

 private:
  std::uint64_t value_ = 0;
};

class HeaderParser final : public JsonHandler {
 public:
  HeaderParser(HeaderVisitor& visitor, ErrorKind broken_rule)
      : visitor_(visitor), broken_rule_(broken_rule) {}

  std::optional<Error> const& error() const { return error_; }

  bool begin_object() override;
  bool key(TextPart part, std::uint64_t end) override;
  bool end_object() override;
  bool begin_array() override;
  bool end_array() override;
  bool string(TextPart part) override;
  bool number(TextPart part) override;
  bool boolean() override { return is_ignored() || refuse_value(); }
  bool null() override {
    // The reference takes null for "no metadata".
    return is_ignored() || next_ == Next::metadata || refuse_value();
  }

 private:
  // What the next value is, as its key or its place says.
  enum class Next {
    header,
    metadata,
    metadata_value,
    tensor,
    dtype,
    shape,
    dimension,
    offsets,
    offset,
    ignored
  };
  // The innermost object that is read, outside of ignored values.
  enum class Inside { nothing, header, metadata, tensor };

  bool is_ignored() const { return next_ == Next::ignored; }
  bool entry_name(TextPart part, std::uint64_t end);
  bool metadata_key(TextPart part, std::uint64_t end);
  bool tensor_key(TextPart part);
  bool dtype(TextPart part);
  bool finish_tensor();
  std::string tensor_name() const { return "tensor " + shown(name_.text()); }

  template <typename... Args>
  bool refuse(fmt::format_string<Args...> format, Args&&... args) {
    error_ = fail(broken_rule_, format, std::forward<Args>(args)...);
    return false;
  }
  bool refuse_value();
  bool pass_on(Result<void> const& result) {
    if (result.has_error()) error_ = result.error();
    return result.has_value();
  }

  HeaderVisitor& visitor_;
  ErrorKind broken_rule_;
  std::optional<Error> error_;

  Next next_ = Next::header;
  Inside inside_ = Inside::nothing;
  std::size_t ignored_depth_ = 0;
  bool has_metadata_ = false;
  Beginning name_;  // of the tensor, or the metadata key
  Beginning word_;  // a tensor's key, or its dtype
  UnsignedInteger number_;
  TensorFields fields_;
};

bool HeaderParser::begin_object() {
  switch (next_) {
    case Next::header:
      inside_ = Inside::header;
      return true;
    case Next::metadata:
      inside_ = Inside::metadata;
      return pass_on(visitor_.begin_metadata());
    case Next::tensor:
      inside_ = Inside::tensor;
      fields_ = TensorFields();
      return true;
    case Next::ignored:
      ++ignored_depth_;
      return true;
    default:
      return refuse_value();
  }
}

bool HeaderParser::key(TextPart part, std::uint64_t end) {
  if (ignored_depth_ > 0) return true;
  if (inside_ == Inside::tensor) return tensor_key(part);
  if (inside_ == Inside::metadata) return metadata_key(part, header_prefix_bytes + end);
  return entry_name(part, header_prefix_bytes + end);
}

bool HeaderParser::entry_name(TextPart part, std::uint64_t end) {
  std::uint64_t const bytes_before = name_.bytes();
  name_.append(part.text);
  bool const may_be_metadata = name_.bytes() <= metadata_name.size();
  if (!part.is_last && may_be_metadata) return true;
  if (part.is_last) {
    name_.end();
    next_ = Next::tensor;
    if (name_.text() == metadata_name) {
      if (std::exchange(has_metadata_, true)) return refuse("__metadata__ appears twice");
      next_ = Next::metadata;
      return true;
    }
  }
  if (bytes_before > 0 && bytes_before <= metadata_name.size()) {
    // Held back until now.
    TextPart const first{.text = name_.text().substr(0, bytes_before)};
    if (!pass_on(visitor_.tensor_name(first, end))) return false;
  }
  return pass_on(visitor_.tensor_name(part, end));
}

bool HeaderParser::metadata_key(TextPart part, std::uint64_t end) {
  name_.append(part.text);
  if (part.is_last) {
    name_.end();
    next_ = Next::metadata_value;
  }
  return pass_on(visitor_.metadata_key(part, end));
}

bool HeaderParser::tensor_key(TextPart part) {
  word_.append(part.text);
  if (!part.is_last) return true;
  word_.end();
  bool is_repeated = false;
  if (word_.text() == "dtype") {
    next_ = Next::dtype;
    is_repeated = fields_.dtype != nullptr;
  } else if (word_.text() == "shape") {
    next_ = Next::shape;
    is_repeated = fields_.has_shape;
  } else if (word_.text() == "data_offsets") {
    next_ = Next::offsets;
    is_repeated = fields_.has_offsets;
  } else {
    next_ = Next::ignored;
  }
  return !is_repeated || refuse("{}: {} appears twice", tensor_name(), word_.text());
}

bool HeaderParser::end_object() {
  if (ignored_depth_ > 0) {
    --ignored_depth_;
    return true;
  }
  Inside const ended = std::exchange(inside_, Inside::header);
  if (ended == Inside::tensor) return finish_tensor();
  if (ended == Inside::metadata) return pass_on(visitor_.end_metadata());
  inside_ = Inside::nothing;
  return true;
}

bool HeaderParser::begin_array() {
  switch (next_) {
    case Next::shape:
      next_ = Next::dimension;
      fields_.has_shape = true;
      return pass_on(visitor_.begin_shape());
    case Next::offsets:
      next_ = Next::offset;
      fields_.has_offsets = true;
      return true;
    case Next::ignored:
      ++ignored_depth_;
      return true;
    default:
      return refuse_value();
  }
}

bool HeaderParser::end_array() {
  if (ignored_depth_ > 0) {
    --ignored_depth_;
    return true;
  }
  if (next_ == Next::dimension) return pass_on(visitor_.end_shape());
  auto const [begin, end] = fields_.offsets;
  return fields_.offsets_count < fields_.offsets.size()
             ? refuse_value()
             : pass_on(visitor_.data_offsets({.begin = begin, .end = end}));
}

bool HeaderParser::string(TextPart part) {
  if (is_ignored()) return true;
  if (next_ == Next::metadata_value) return pass_on(visitor_.metadata_value(part));
  if (next_ == Next::dtype) return dtype(part);
  return refuse_value();
}

bool HeaderParser::dtype(TextPart part) {
  word_.append(part.text);
  if (!part.is_last) return true;
  word_.end();
  auto const* const known = std::ranges::find(dtypes, word_.text(), &Dtype::name);
  if (known == dtypes.end()) {
    return refuse("{}: unknown dtype {}", tensor_name(), shown(word_.text()));
  }
  fields_.dtype = known;
  return pass_on(visitor_.dtype(known->name));
}

bool HeaderParser::number(TextPart part) {
  if (is_ignored()) return true;
  bool const is_one_too_many = fields_.offsets_count == fields_.offsets.size();
  bool const is_wanted = next_ == Next::dimension || (next_ == Next::offset && !is_one_too_many);
  if (!is_wanted || !number_.append(part.text)) return refuse_value();
  if (!part.is_last) return true;
  std::uint64_t const value = number_.end();
  if (next_ == Next::offset) {
    fields_.offsets[fields_.offsets_count++] = value;
    return true;
  }
  // From the left and stopped by the first overflow, even where a zero follows: as the reference.
  fields_.elements_count = product(fields_.elements_count, value);
  return pass_on(visitor_.dimension(value));
}

bool HeaderParser::finish_tensor() {
  if (fields_.dtype == nullptr) return refuse("{}: dtype is missing", tensor_name());
  if (!fields_.has_shape) return refuse("{}: shape is missing", tensor_name());
  if (!fields_.has_offsets) return refuse("{}: data_offsets are missing", tensor_name());
  auto const bits = product(fields_.elements_count, fields_.dtype->bits);
  if (!bits) return refuse("{}: its shape needs more bits than 64 bits count", tensor_name());
  if (*bits % 8 != 0) {
    return refuse("{}: its {} bits do not fill whole bytes", tensor_name(), *bits);
  }
  auto const [begin, end] = fields_.offsets;
  if (end < begin) {
    return refuse("{}: data_offsets [{},{}] end before they begin", tensor_name(), begin, end);
  }
  if (end - begin != *bits / 8) {
    return refuse("{}: data_offsets [{},{}] hold {} bytes, its dtype and shape need {}",
                  tensor_name(), begin, end, end - begin, *bits / 8);
  }
  return pass_on(visitor_.end_tensor({.begin = begin, .end = end}));
}

bool HeaderParser::refuse_value() {
  switch (next_) {
    case Next::header:
      return refuse("the header is not a JSON object");
    case Next::metadata:
      return refuse("__metadata__ is not an object");
    case Next::metadata_value:
      return refuse("__metadata__: the value of {} is not a string", shown(name_.text()));
    case Next::tensor:
      return refuse("{}: not an object with dtype, shape and data_offsets", tensor_name());
    case Next::dtype:
      return refuse("{}: dtype is not a string", tensor_name());
    case Next::shape:
    case Next::dimension:
      return refuse("{}: shape is not a list of integers within 0 and 2^64-1", tensor_name());
    case Next::offsets:
    case Next::offset:
      return refuse("{}: data_offsets are not two integers within 0 and 2^64-1", tensor_name());
    case Next::ignored:
      break;
  }
  return refuse("the header is not plain JSON");
}

Error fault_error(JsonFault const& fault, ErrorKind broken_rule) {
  std::uint64_t const position = header_prefix_bytes + fault.offset;
  switch (fault.kind) {
    case JsonFault::Kind::depth:
      return fail(broken_rule, "the header is nested deeper than {} levels",
                  limits::json_depth_max);
    case JsonFault::Kind::exponent:
      return fail(broken_rule, "the header has a number beyond any use at byte {}", position);
    case JsonFault::Kind::utf8:
      return fail(broken_rule, "the header is not valid UTF-8 at byte {}", position);
    case JsonFault::Kind::syntax:
      break;
  }
  return fail(broken_rule, "the header is not valid JSON at byte {}", position);
}

}  // namespace

Result<std::uint64_t> visit_header(ByteReader const& reader, std::uint64_t file_bytes,
                                   HeaderVisitor& visitor, ErrorKind broken_rule) {
  HeaderSource source(reader, broken_rule);
  TRY(auto const json_bytes, source.read_length(file_bytes));
  TRY(visitor.begin(json_bytes));
  HeaderParser header(visitor, broken_rule);
  JsonParser parser(header, limits::json_depth_max);
  while (true) {
    TRY(auto const piece, source.next_piece());
    bool const is_going_on = piece.empty() ? parser.finish() : parser.write(piece);
    if (header.error()) return *header.error();
    if (!is_going_on) return fault_error(*parser.fault(), broken_rule);
    if (piece.empty()) return json_bytes;
  }
}

}  // namespace grove
