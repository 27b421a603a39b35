// Canonical JSON: one document has one spelling, so its SHA-256 can be its name. Keys are sorted,
// there is no white space, numbers are integers without leading zeros, and of a string only `"`
// and `\` are escaped (names with control characters are refused before: format/text.h).
// So a reader need not be a general parser: it knows at each byte what must come next, and what
// is anything else is refused there. Format: docs/formats.md#canonical-json.
// Not here: JSON that others write (format/header_reader.h, and nlohmann-json in the HTTP rooms).
// Threads: pure.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/digest.h"
#include "base/error.h"

namespace grove {

// `text` as a JSON string, with its quotes. `text` must be plain text (format/text.h).
std::string canonical_string(std::string_view text);

// Takes one canonical document apart, from the front. The bytes must outlive the reader.
// All fail with: invalid, saying what was expected at which byte.
class CanonicalReader {
 public:
  // `what` is the document's kind in messages ("manifest").
  CanonicalReader(std::span<std::byte const> bytes, std::string_view what)
      : text_(text_of(bytes)), what_(what) {}

  // Refuses a document that does not end with `,"version":<version>}`, before anything else: the
  // keys of another version are not ours to judge.
  Result<void> check_version(std::uint32_t version) const;

  // Exactly this punctuation and these keys.
  Result<void> expect(std::string_view literal);
  bool next_is(std::string_view literal) const;

  Result<std::uint64_t> unsigned_integer(
      std::uint64_t max = std::numeric_limits<std::uint64_t>::max());
  Result<std::uint32_t> unsigned_integer_32();
  Result<std::int64_t> integer();
  Result<std::string> string();
  Result<Digest> digest();
  // Nothing may follow.
  Result<void> end() const;

 private:
  Error unexpected(std::string_view expected) const;
  std::string_view rest() const { return text_.substr(offset_); }

  std::string_view text_;
  std::string_view what_;
  std::size_t offset_ = 0;
};

}  // namespace grove
