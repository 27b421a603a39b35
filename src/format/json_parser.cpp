// Where a processor is not Intel's, Boost.JSON takes it for a small one and this for 256.
#define BOOST_JSON_STACK_BUFFER_SIZE 4096

#include "format/json_parser.h"

#include <functional>
#include <limits>

#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/src.hpp>

#include "base/error.h"
#include "format/text.h"

namespace grove {
namespace {

namespace json = boost::json;

// Boost.JSON unescapes into a buffer of this size and counts on no text to grow by that; but one
// that resumes inside an escape or a character has read a part of it before, and could write up to
// three bytes too many (boostorg/json issue 876). No piece is long enough for that.
static_assert(JsonParser::piece_bytes_max + 4 <= BOOST_JSON_STACK_BUFFER_SIZE);

// Boost.JSON's idea of a handler, to ours.
class Events {
 public:
  static constexpr std::size_t max_array_size = std::numeric_limits<std::size_t>::max();
  static constexpr std::size_t max_object_size = max_array_size;
  static constexpr std::size_t max_string_size = max_array_size;
  static constexpr std::size_t max_key_size = max_array_size;

  explicit Events(JsonHandler& handler) : handler_(handler) {}

  void begin_piece(std::string_view piece, std::uint64_t offset) {
    piece_ = piece;
    offset_ = offset;
  }
  bool is_stopped() const { return is_stopped_; }

  bool on_document_begin(json::error_code& /*code*/) { return true; }
  bool on_document_end(json::error_code& /*code*/) { return true; }
  bool on_object_begin(json::error_code& code) { return pass(handler_.begin_object(), code); }
  bool on_object_end(std::size_t /*count*/, json::error_code& code) {
    return pass(handler_.end_object(), code);
  }
  bool on_array_begin(json::error_code& code) { return pass(handler_.begin_array(), code); }
  bool on_array_end(std::size_t /*count*/, json::error_code& code) {
    return pass(handler_.end_array(), code);
  }
  bool on_key_part(json::string_view text, std::size_t /*bytes*/, json::error_code& code) {
    return pass(handler_.key({.text = view(text)}, 0), code);
  }
  bool on_key(json::string_view text, std::size_t /*bytes*/, json::error_code& code) {
    return pass(handler_.key({.text = view(text), .is_last = true}, end_of(text)), code);
  }
  bool on_string_part(json::string_view text, std::size_t /*bytes*/, json::error_code& code) {
    return pass(handler_.string({.text = view(text)}), code);
  }
  bool on_string(json::string_view text, std::size_t /*bytes*/, json::error_code& code) {
    return pass(handler_.string({.text = view(text), .is_last = true}), code);
  }
  bool on_number_part(json::string_view text, json::error_code& code) {
    return pass(handler_.number({.text = view(text)}), code);
  }
  bool on_int64(std::int64_t /*value*/, json::string_view text, json::error_code& code) {
    return end_number(text, code);
  }
  bool on_uint64(std::uint64_t /*value*/, json::string_view text, json::error_code& code) {
    return end_number(text, code);
  }
  bool on_double(double /*value*/, json::string_view text, json::error_code& code) {
    return end_number(text, code);
  }
  bool on_bool(bool /*value*/, json::error_code& code) { return pass(handler_.boolean(), code); }
  bool on_null(json::error_code& code) { return pass(handler_.null(), code); }
  // Comments are not allowed.
  bool on_comment_part(json::string_view /*text*/, json::error_code& code) {
    return pass(false, code);
  }
  bool on_comment(json::string_view /*text*/, json::error_code& code) { return pass(false, code); }

 private:
  static std::string_view view(json::string_view text) { return {text.data(), text.size()}; }

  // Boost.JSON needs an error to stop at; any will do.
  bool pass(bool is_going_on, json::error_code& code) {
    if (is_going_on) return true;
    is_stopped_ = true;
    code = json::error::incomplete;
    return false;
  }
  bool end_number(json::string_view text, json::error_code& code) {
    return pass(handler_.number({.text = view(text), .is_last = true}), code);
  }
  // Text with escapes stands in a buffer of Boost.JSON's.
  std::uint64_t end_of(json::string_view key) const {
    char const* const end = key.data() + key.size();
    bool const is_in_piece = std::less_equal<>()(piece_.data(), end) &&
                             std::less<>()(end, piece_.data() + piece_.size());
    return offset_ +
           (is_in_piece ? static_cast<std::size_t>(end - piece_.data()) + 1 : piece_.size());
  }

  JsonHandler& handler_;
  std::string_view piece_;
  std::uint64_t offset_ = 0;
  bool is_stopped_ = false;
};

bool begins_with_a_character(std::string_view text) {
  if (text.empty() || static_cast<unsigned char>(text.front()) < 0x80) return true;
  for (std::size_t const bytes : {2u, 3u, 4u}) {
    if (is_plain_text(text.substr(0, bytes))) return true;
  }
  return false;
}

}  // namespace

class JsonParser::Machine : public json::basic_parser<Events> {
 public:
  using basic_parser::basic_parser;
};

JsonParser::JsonParser(JsonHandler& handler, std::size_t depth_max) {
  json::parse_options options;
  options.max_depth = depth_max;
  machine_ = std::make_unique<Machine>(options, handler);
}

JsonParser::~JsonParser() = default;

bool JsonParser::write(std::string_view piece) {
  GROVE_ASSERT(piece.size() <= piece_bytes_max);
  return advance(piece, false);
}

bool JsonParser::finish() {
  return advance("", true);
}

bool JsonParser::advance(std::string_view piece, bool is_end) {
  machine_->handler().begin_piece(piece, offset_);
  json::error_code code;
  std::size_t const used = machine_->write_some(!is_end, piece.data(), piece.size(), code);
  if (!code && used == piece.size()) {
    offset_ += used;
    return true;
  }
  if (machine_->handler().is_stopped()) return false;
  auto kind = JsonFault::Kind::syntax;
  if (code == json::error::too_deep) kind = JsonFault::Kind::depth;
  if (code == json::error::exponent_overflow) kind = JsonFault::Kind::exponent;
  if (!begins_with_a_character(piece.substr(used))) kind = JsonFault::Kind::utf8;
  fault_ = {.kind = kind, .offset = offset_ + used};
  return false;
}

}  // namespace grove
