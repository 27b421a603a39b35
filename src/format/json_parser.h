// Takes JSON apart while it arrives, and keeps none of it: a .safetensors header may be 100 MB, and
// all of that one string. So strings, keys and numbers are handed on in parts.
// Strict: UTF-8 without byte order mark, no comments, no trailing commas, nothing behind the value.
// A number may be of any size and precision, but its exponent must fit 32 bits.
// The parser is Boost.JSON's, which this is the only file to know. Not here: what the JSON means
// (format/header_reader.h), our own canonical documents (format/canonical_json.h).
// Threads: pure; the handler is called on the caller's thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

namespace grove {

// The next part of a string, unescaped, or of a number, as it stands. May be empty. The view lives
// until the handler returns.
struct TextPart {
  std::string_view text;
  bool is_last = false;
};

// Called in the order of the text, and only with what well-formed JSON may hold there. Returning
// false ends the parse.
class JsonHandler {
 public:
  JsonHandler() = default;
  JsonHandler(JsonHandler const&) = delete;
  JsonHandler& operator=(JsonHandler const&) = delete;
  virtual ~JsonHandler() = default;

  virtual bool begin_object() = 0;
  // `end`: the offset behind the key's closing quote; of a key with escapes only a bound, at most
  // JsonParser::piece_bytes_max more.
  virtual bool key(TextPart part, std::uint64_t end) = 0;
  virtual bool end_object() = 0;
  virtual bool begin_array() = 0;
  virtual bool end_array() = 0;
  virtual bool string(TextPart part) = 0;
  virtual bool number(TextPart part) = 0;
  virtual bool boolean() = 0;
  virtual bool null() = 0;
};

struct JsonFault {
  enum class Kind { syntax, utf8, depth, exponent };
  Kind kind = Kind::syntax;
  std::uint64_t offset = 0;  // of the first byte that cannot stand there
};

class JsonParser {
 public:
  static constexpr std::size_t piece_bytes_max = 4080;

  // `handler` must outlive the parser.
  JsonParser(JsonHandler& handler, std::size_t depth_max);
  ~JsonParser();

  // Takes the next bytes, at most piece_bytes_max. They should not end inside a character: a fault
  // in such a character may be reported as the wrong kind. False: the parse is over.
  bool write(std::string_view piece);
  // The text ends here. False: it must not.
  bool finish();

  // Why the parse is over; none where the handler ended it.
  std::optional<JsonFault> const& fault() const { return fault_; }

 private:
  class Machine;

  bool advance(std::string_view piece, bool is_end);

  std::unique_ptr<Machine> machine_;
  std::uint64_t offset_ = 0;  // of the piece at hand
  std::optional<JsonFault> fault_;
};

}  // namespace grove
