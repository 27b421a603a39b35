#include "format/ref.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <functional>
#include <iterator>
#include <limits>
#include <system_error>
#include <tuple>
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

// Left out where there are none, as of a grove that knew none.
std::string singles_text(std::vector<Generation> const& singles) {
  if (singles.empty()) return {};
  std::string text = "\"singles\":[";
  for (auto const single : singles) text += fmt::format("{},", single.value);
  text.back() = ']';
  return text + ',';
}

Result<std::vector<Generation>> read_singles(CanonicalReader& reader) {
  std::vector<Generation> singles;
  std::string_view separator = "\"singles\":[";
  if (!reader.next_is(separator)) return singles;
  do {
    TRY(reader.expect(separator));
    TRY(auto const single, reader.unsigned_integer());
    singles.push_back(Generation{single});
    separator = ",";
  } while (reader.next_is(separator) && singles.size() <= limits::tombstone_singles_max);
  TRY(reader.expect("],"));
  return singles;
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

bool Tombstone::covers(Generation generation) const {
  return generation <= up_to || std::ranges::binary_search(singles, generation);
}

Tombstone merged(Tombstone const& tombstone, Tombstone const& other) {
  auto const reach = [](Tombstone const& it) {
    return std::tuple(it.up_to, it.file_bytes, it.mtime_ns);
  };
  auto both = reach(tombstone) < reach(other) ? other : tombstone;
  both.singles.clear();
  std::ranges::set_union(tombstone.singles, other.singles, std::back_inserter(both.singles));
  std::erase_if(both.singles, [&](Generation single) { return single <= both.up_to; });
  return both;
}

Result<void> check_tombstone(Tombstone const& tombstone) {
  auto const& singles = tombstone.singles;
  if (singles.size() > limits::tombstone_singles_max) {
    return fail(ErrorKind::exhausted,
                "tombstone of {}: it would name {} single generations, at most {} are possible; "
                "forget the checkpoint with all of them, and store it again",
                shown(tombstone.key.identity()), singles.size(), limits::tombstone_singles_max);
  }
  bool const is_sorted =
      std::ranges::adjacent_find(singles, std::greater_equal<>()) == singles.end();
  if (is_sorted && (singles.empty() || singles.front() > tombstone.up_to)) return ok();
  return fail(ErrorKind::invalid,
              "tombstone of {}: its single generations are not in order, each once and later than "
              "{}",
              shown(tombstone.key.identity()), tombstone.up_to.value);
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
  return fmt::format(R"({{"file_bytes":{},"identity":{},"mtime_ns":{},{}"up_to":{},"version":{}}})",
                     tombstone.file_bytes, canonical_string(tombstone.key.identity()),
                     tombstone.mtime_ns, singles_text(tombstone.singles), tombstone.up_to.value,
                     version);
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
  TRY(reader.expect(","));
  TRY(auto singles, read_singles(reader));
  TRY(reader.expect("\"up_to\":"));
  TRY(auto const up_to, reader.unsigned_integer());
  TRY(reader.expect(fmt::format(",\"version\":{}}}", version)));
  TRY(reader.end());
  Tombstone tombstone{.key = std::move(key),
                      .up_to = Generation{up_to},
                      .file_bytes = file_bytes,
                      .mtime_ns = mtime_ns,
                      .singles = std::move(singles)};
  TRY(check_tombstone(tombstone));
  return tombstone;
}

}  // namespace grove
