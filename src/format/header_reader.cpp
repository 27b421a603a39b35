#include "format/header_reader.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <exception>
#include <optional>
#include <string>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/limits.h"
#include "format/header_source.h"
#include "format/text.h"

namespace grove {
namespace {

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

// What the header has said of the tensor at hand.
struct TensorFields {
  Dtype const* dtype = nullptr;
  bool has_shape = false;
  bool has_offsets = false;
  std::optional<std::uint64_t> elements_count = 1;  // none: more than 64 bits hold
  std::array<std::uint64_t, 2> offsets{};
  std::size_t offsets_count = 0;
};

std::optional<std::uint64_t> product(std::optional<std::uint64_t> a, std::uint64_t b) {
  std::uint64_t result = 0;
  if (!a || __builtin_mul_overflow(*a, b, &result)) return std::nullopt;
  return result;
}

// The callbacks of nlohmann's SAX parser; each returns false to end the parse. The parser has made
// sure that the events are those of well-formed JSON.
class HeaderParser {
 public:
  HeaderParser(HeaderSource const& source, HeaderVisitor& visitor, ErrorKind broken_rule)
      : source_(source), visitor_(visitor), broken_rule_(broken_rule) {}

  std::optional<Error> const& error() const { return error_; }

  bool null() {
    // The reference takes null for "no metadata".
    return is_ignored() || next_ == Next::metadata || refuse_value();
  }
  bool boolean(bool /*value*/) { return is_ignored() || refuse_value(); }
  // Negative ones only, "-0" among them; the others are unsigned.
  bool number_integer(std::int64_t /*value*/) { return is_ignored() || refuse_value(); }
  // Also integers that do not fit 64 bits.
  bool number_float(double /*value*/, std::string const& /*text*/) {
    return is_ignored() || refuse_value();
  }
  bool binary(std::vector<std::uint8_t> const& /*value*/) { return refuse_value(); }
  bool number_unsigned(std::uint64_t value);
  bool string(std::string& value);
  bool start_object(std::size_t elements_count);
  bool key(std::string& key);
  bool end_object();
  bool start_array(std::size_t elements_count);
  bool end_array();
  bool parse_error(std::size_t position, std::string const& last_token,
                   std::exception const& error);

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
  bool enter();
  bool tensor_key(std::string_view key);
  bool finish_tensor();
  std::string tensor_name() const { return "tensor " + shown(name_); }

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

  HeaderSource const& source_;
  HeaderVisitor& visitor_;
  ErrorKind broken_rule_;
  std::optional<Error> error_;

  Next next_ = Next::header;
  Inside inside_ = Inside::nothing;
  std::size_t depth_ = 0;
  std::size_t ignored_depth_ = 0;
  bool has_metadata_ = false;
  std::string name_;  // of the tensor, or the metadata key
  std::uint64_t name_end_ = 0;
  TensorFields fields_;
};

bool HeaderParser::number_unsigned(std::uint64_t value) {
  if (is_ignored()) return true;
  if (next_ == Next::dimension) {
    // From the left and stopped by the first overflow, even where a zero follows: as the reference.
    fields_.elements_count = product(fields_.elements_count, value);
    visitor_.dimension(value);
    return true;
  }
  if (next_ == Next::offset && fields_.offsets_count < fields_.offsets.size()) {
    fields_.offsets[fields_.offsets_count++] = value;
    return true;
  }
  return refuse_value();
}

bool HeaderParser::string(std::string& value) {
  if (is_ignored()) return true;
  if (next_ == Next::metadata_value) return pass_on(visitor_.metadata(name_, value, name_end_));
  if (next_ != Next::dtype) return refuse_value();
  auto const* const dtype = std::ranges::find(dtypes, value, &Dtype::name);
  if (dtype == dtypes.end()) return refuse("{}: unknown dtype {}", tensor_name(), shown(value));
  fields_.dtype = dtype;
  return true;
}

bool HeaderParser::start_object(std::size_t /*elements_count*/) {
  if (!enter()) return false;
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

bool HeaderParser::key(std::string& key) {
  if (ignored_depth_ > 0) return true;
  if (inside_ == Inside::tensor) return tensor_key(key);
  name_.swap(key);
  name_end_ = source_.position();
  if (inside_ == Inside::metadata) {
    next_ = Next::metadata_value;
    return true;
  }
  next_ = Next::tensor;
  if (name_ != "__metadata__") return true;
  if (has_metadata_) return refuse("__metadata__ appears twice");
  has_metadata_ = true;
  next_ = Next::metadata;
  return true;
}

bool HeaderParser::tensor_key(std::string_view key) {
  bool is_repeated = false;
  if (key == "dtype") {
    next_ = Next::dtype;
    is_repeated = fields_.dtype != nullptr;
  } else if (key == "shape") {
    next_ = Next::shape;
    is_repeated = fields_.has_shape;
  } else if (key == "data_offsets") {
    next_ = Next::offsets;
    is_repeated = fields_.has_offsets;
  } else {
    next_ = Next::ignored;
  }
  return !is_repeated || refuse("{}: {} appears twice", tensor_name(), key);
}

bool HeaderParser::end_object() {
  --depth_;
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

bool HeaderParser::start_array(std::size_t /*elements_count*/) {
  if (!enter()) return false;
  switch (next_) {
    case Next::shape:
      next_ = Next::dimension;
      fields_.has_shape = true;
      return true;
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
  --depth_;
  if (ignored_depth_ > 0) {
    --ignored_depth_;
    return true;
  }
  bool const is_short = next_ == Next::offset && fields_.offsets_count < fields_.offsets.size();
  return !is_short || refuse_value();
}

bool HeaderParser::parse_error(std::size_t position, std::string const& /*last_token*/,
                               std::exception const& error) {
  // The text behind "last read" is the header's own, and may be as long.
  std::string_view const what = error.what();
  bool const is_text = what.substr(0, what.find("; last read")).find("UTF-8") == what.npos;
  return refuse("the header is not valid {} at byte {}", is_text ? "JSON" : "UTF-8",
                header_prefix_bytes + position - 1);
}

bool HeaderParser::enter() {
  if (++depth_ <= limits::json_depth_max) return true;
  return refuse("the header is nested deeper than {} levels", limits::json_depth_max);
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
  return pass_on(visitor_.tensor({.name = name_,
                                  .dtype = fields_.dtype->name,
                                  .span = {.begin = begin, .end = end},
                                  .name_end = name_end_}));
}

bool HeaderParser::refuse_value() {
  switch (next_) {
    case Next::header:
      return refuse("the header is not a JSON object");
    case Next::metadata:
      return refuse("__metadata__ is not an object");
    case Next::metadata_value:
      return refuse("__metadata__: the value of {} is not a string", shown(name_));
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

}  // namespace

Result<std::uint64_t> visit_header(ByteReader const& reader, std::uint64_t file_bytes,
                                   HeaderVisitor& visitor, ErrorKind broken_rule) {
  HeaderSource source(reader, broken_rule);
  TRY(auto const json_bytes, source.read_length(file_bytes));
  TRY(visitor.begin(json_bytes));
  HeaderParser parser(source, visitor, broken_rule);
  bool const is_parsed =
      nlohmann::json::sax_parse(HeaderIterator(source), HeaderIterator(), &parser);
  // First the source's: a stream that breaks off looks like bad JSON to the parser.
  if (source.error()) return *source.error();
  if (parser.error()) return *parser.error();
  GROVE_ASSERT(is_parsed);
  return json_bytes;
}

}  // namespace grove
