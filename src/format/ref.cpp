#include "format/ref.h"

#include <charconv>
#include <cstdint>
#include <limits>
#include <system_error>
#include <utility>

#include "base/limits.h"
#include "format/canonical_json.h"
#include "format/text.h"

namespace grove {
namespace {

constexpr std::uint32_t version = 1;

Result<std::uint64_t> parse_decimal(std::string_view text, std::uint64_t max,
                                    std::string_view what) {
  std::uint64_t value = 0;
  auto const [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  bool const is_canonical = error == std::errc() && std::to_string(value) == text;
  if (!is_canonical || value > max) {
    return fail(ErrorKind::invalid, "{} {}: not a decimal number within 0 and {}", what,
                shown(text), max);
  }
  return value;
}

Result<void> check_size(std::span<std::byte const> bytes, std::string_view what) {
  if (bytes.size() > limits::ref_bytes_max) {
    return fail(ErrorKind::invalid, "{}: {} bytes long, at most {} are possible", what,
                bytes.size(), limits::ref_bytes_max);
  }
  return ok();
}

}  // namespace

std::string RefName::text() const {
  return shard ? std::to_string(shard->value) : "manifest";
}

Result<RefName> RefName::parse(std::string_view text) {
  if (text == "manifest") return RefName{};
  TRY(auto const index, parse_decimal(text, limits::shards_count_max - 1, "shard"));
  return RefName{ShardIndex{static_cast<std::uint32_t>(index)}};
}

std::string serialize(Ref const& ref) {
  return fmt::format(R"({{"generation":{},"identity":{},"name":"{}","target":"{}","version":{}}})",
                     ref.generation.value, canonical_string(ref.key.identity()), ref.name.text(),
                     ref.target.hex(), version);
}

Result<Ref> parse_ref(std::span<std::byte const> bytes) {
  TRY(check_size(bytes, "ref"));
  CanonicalReader reader(bytes, "ref");
  TRY(reader.check_version(version));
  TRY(reader.expect("{\"generation\":"));
  TRY(auto const generation, reader.unsigned_integer());
  TRY(reader.expect(",\"identity\":"));
  TRY(auto const identity, reader.string());
  TRY(auto key, CheckpointKey::parse(identity));
  TRY(reader.expect(",\"name\":"));
  TRY(auto const name_text, reader.string());
  TRY(auto const name, RefName::parse(name_text));
  TRY(reader.expect(",\"target\":"));
  TRY(auto const target, reader.digest());
  TRY(reader.expect(fmt::format(",\"version\":{}}}", version)));
  TRY(reader.end());
  return Ref{
      .key = std::move(key), .generation = Generation{generation}, .name = name, .target = target};
}

Result<Generation> parse_generation(std::string_view text) {
  TRY(auto const value,
      parse_decimal(text, std::numeric_limits<std::uint64_t>::max(), "generation"));
  return Generation{value};
}

bool is_later(Pin const& pin, Pin const& other) {
  if (pin.changed_ms != other.changed_ms) return pin.changed_ms > other.changed_ms;
  return pin.is_pinned && !other.is_pinned;
}

std::string serialize(Pin const& pin) {
  return fmt::format(R"({{"changed_ms":{},"identity":{},"pinned":{},"version":{}}})",
                     pin.changed_ms, canonical_string(pin.key.identity()), pin.is_pinned ? 1 : 0,
                     version);
}

Result<Pin> parse_pin(std::span<std::byte const> bytes) {
  TRY(check_size(bytes, "pin"));
  CanonicalReader reader(bytes, "pin");
  TRY(reader.check_version(version));
  TRY(reader.expect("{\"changed_ms\":"));
  TRY(auto const changed_ms, reader.integer());
  TRY(reader.expect(",\"identity\":"));
  TRY(auto const identity, reader.string());
  TRY(auto key, CheckpointKey::parse(identity));
  TRY(reader.expect(",\"pinned\":"));
  TRY(auto const pinned, reader.unsigned_integer());
  if (pinned > 1) return fail(ErrorKind::invalid, "pin: pinned is {}, neither 0 nor 1", pinned);
  TRY(reader.expect(fmt::format(",\"version\":{}}}", version)));
  TRY(reader.end());
  return Pin{.key = std::move(key), .is_pinned = pinned == 1, .changed_ms = changed_ms};
}

std::string serialize(Tombstone const& tombstone) {
  return fmt::format(R"({{"file_bytes":{},"identity":{},"mtime_ns":{},"up_to":{},"version":{}}})",
                     tombstone.file_bytes, canonical_string(tombstone.key.identity()),
                     tombstone.mtime_ns, tombstone.up_to.value, version);
}

Result<Tombstone> parse_tombstone(std::span<std::byte const> bytes) {
  TRY(check_size(bytes, "tombstone"));
  CanonicalReader reader(bytes, "tombstone");
  TRY(reader.check_version(version));
  TRY(reader.expect("{\"file_bytes\":"));
  TRY(auto const file_bytes, reader.unsigned_integer());
  TRY(reader.expect(",\"identity\":"));
  TRY(auto const identity, reader.string());
  TRY(auto key, CheckpointKey::parse(identity));
  TRY(reader.expect(",\"mtime_ns\":"));
  TRY(auto const mtime_ns, reader.integer());
  TRY(reader.expect(",\"up_to\":"));
  TRY(auto const up_to, reader.unsigned_integer());
  TRY(reader.expect(fmt::format(",\"version\":{}}}", version)));
  TRY(reader.end());
  return Tombstone{.key = std::move(key),
                   .up_to = Generation{up_to},
                   .file_bytes = file_bytes,
                   .mtime_ns = mtime_ns};
}

}  // namespace grove
