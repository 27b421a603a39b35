#include "format/canonical_json.h"

#include <charconv>
#include <cstddef>
#include <system_error>

#include "format/text.h"

namespace grove {
namespace {

constexpr std::size_t digest_digits = 64;

template <typename Integer>
struct Number {
  Integer value = 0;
  std::size_t bytes = 0;  // 0: none, or not in its one canonical spelling
};

template <typename Integer>
Number<Integer> leading_number(std::string_view text) {
  Number<Integer> number;
  auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), number.value);
  if (error != std::errc()) return {};
  number.bytes = static_cast<std::size_t>(end - text.data());
  // from_chars takes "007" and "-0" as well.
  if (std::to_string(number.value) != text.substr(0, number.bytes)) return {};
  return number;
}

}  // namespace

std::string canonical_string(std::string_view text) {
  GROVE_ASSERT(is_plain_text(text));
  std::string json = "\"";
  for (char const c : text) {
    if (c == '"' || c == '\\') json += '\\';
    json += c;
  }
  return json + '"';
}

Result<void> CanonicalReader::check_version(std::uint32_t version) const {
  if (text_.ends_with(fmt::format(",\"version\":{}}}", version))) return ok();
  return fail(ErrorKind::invalid,
              "{}: damaged, or not of format version {}; update the machine with the older grove",
              what_, version);
}

bool CanonicalReader::next_is(std::string_view literal) const {
  return rest().starts_with(literal);
}

Result<void> CanonicalReader::expect(std::string_view literal) {
  if (!next_is(literal)) return unexpected(literal);
  offset_ += literal.size();
  return ok();
}

Result<std::uint64_t> CanonicalReader::unsigned_integer(std::uint64_t max) {
  auto const [value, bytes] = leading_number<std::uint64_t>(rest());
  if (bytes == 0 || value > max) return unexpected(fmt::format("an integer within 0 and {}", max));
  offset_ += bytes;
  return value;
}

Result<std::uint32_t> CanonicalReader::unsigned_integer_32() {
  TRY(auto const value, unsigned_integer(std::numeric_limits<std::uint32_t>::max()));
  return static_cast<std::uint32_t>(value);
}

Result<std::int64_t> CanonicalReader::integer() {
  auto const [value, bytes] = leading_number<std::int64_t>(rest());
  if (bytes == 0) return unexpected("a 64-bit integer");
  offset_ += bytes;
  return value;
}

Result<std::string> CanonicalReader::string() {
  TRY(expect("\""));
  std::string value;
  for (;; ++offset_) {
    if (offset_ == text_.size()) return unexpected("the end of a string");
    char c = text_[offset_];
    if (c == '"') break;
    if (c == '\\') {
      if (!next_is("\\\"") && !next_is("\\\\")) return unexpected("\\\" or \\\\");
      c = text_[++offset_];
    }
    value += c;
  }
  ++offset_;
  if (!is_plain_text(value)) {
    return fail(ErrorKind::invalid, "{}: {} is not UTF-8 text without control characters", what_,
                shown(value));
  }
  return value;
}

Result<Digest> CanonicalReader::digest() {
  TRY(expect("\""));
  auto const digest = Digest::parse(rest().substr(0, digest_digits));
  if (digest.has_error()) return unexpected("64 lower-case hex digits");
  offset_ += digest_digits;
  TRY(expect("\""));
  return digest.value();
}

Result<void> CanonicalReader::end() const {
  if (!rest().empty()) return unexpected("the end");
  return ok();
}

Error CanonicalReader::unexpected(std::string_view expected) const {
  return fail(ErrorKind::invalid, "{}: expected {} at byte {}, found {}", what_, expected, offset_,
              rest().empty() ? "the end" : shown(rest().substr(0, 20)));
}

}  // namespace grove
