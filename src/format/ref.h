// "This worker holds shard i of this identity at this generation: that list", or "… the manifest".
// One small immutable JSON file each; the identity is inside, so that a worker's folder describes
// itself. Format: docs/formats.md#ref. Threads: pure.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/error.h"
#include "format/key.h"
#include "format/manifest.h"

namespace grove {

// What of a checkpoint a ref is about: one shard, or the manifest.
struct RefName {
  std::optional<ShardIndex> shard;  // none: the manifest

  // "0", "17", "manifest"
  std::string text() const;
  // Fails: invalid.
  static Result<RefName> parse(std::string_view text);
  friend bool operator==(RefName const&, RefName const&) = default;
  friend auto operator<=>(RefName const&, RefName const&) = default;
};

struct Ref {
  CheckpointKey key;
  Generation generation;
  RefName name;
  Digest target;  // a shard list's or manifest's name
  friend bool operator==(Ref const&, Ref const&) = default;
};

// Canonical JSON: sorted keys, no white space.
std::string serialize(Ref const& ref);
// Fails: invalid.
Result<Ref> parse_ref(std::span<std::byte const> bytes);

// A decimal number without sign or leading zeros, as in URLs and folder names. Fails: invalid.
Result<Generation> parse_generation(std::string_view text);

// "Forgotten on purpose up to this generation", with the source's size and mtime, so that the
// watcher knows the file it must not bring back; and of later generations these single ones, while
// others beside them stay.
struct Tombstone {
  CheckpointKey key;
  Generation up_to;  // 0: none
  std::uint64_t file_bytes = 0;
  std::int64_t mtime_ns = 0;
  std::vector<Generation> singles{};  // sorted, without repeats, all later than up_to

  bool covers(Generation generation) const;
  // The newest that it covers; 0 where it covers none.
  Generation newest() const { return singles.empty() ? up_to : singles.back(); }
  friend bool operator==(Tombstone const&, Tombstone const&) = default;
};

// Of two of one identity: covers what either does. Commutative, idempotent. Where both go up to the
// same generation the larger and later file counts. May be too long to be kept: see
// check_tombstone().
Tombstone merged(Tombstone const& tombstone, Tombstone const& other);
// Fails: invalid (singles that are not as they must be), exhausted (more than
// limits::tombstone_singles_max).
Result<void> check_tombstone(Tombstone const& tombstone);

// "Retention leaves this checkpoint alone", or no longer. Whoever has two of one identity goes by
// the later one.
struct Pin {
  CheckpointKey key;
  bool is_pinned = false;
  std::int64_t changed_ms = 0;  // wall clock
  friend bool operator==(Pin const&, Pin const&) = default;
};

// Which of two pins of one identity counts; at the same moment the one that pins.
bool is_later(Pin const& pin, Pin const& other);

std::string serialize(Pin const& pin);
Result<Pin> parse_pin(std::span<std::byte const> bytes);

std::string serialize(Tombstone const& tombstone);
Result<Tombstone> parse_tombstone(std::span<std::byte const> bytes);

}  // namespace grove
