// The JSON of the worker's interface (docs/worker-interface.md), both directions: the client writes
// what the handlers read and the other way round, so the two cannot drift apart.
// Not here: URLs (transfer/worker_client.h), reports that only people read (worker/).
// Every parser fails with `invalid`, naming the field. Threads: pure.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/config.h"
#include "base/digest.h"
#include "base/error.h"
#include "format/manifest.h"
#include "format/ref.h"
#include "net/http_client.h"

namespace grove {

// A worker as somebody expects it: where, and who must answer there.
struct WorkerAddress {
  Rank rank;
  std::string id;  // 32 hex digits; empty: not known yet, any id will do
  Endpoint endpoint;
};

struct WorkerHealth {
  Rank rank;
  std::string id;
  std::string host;
  std::string version;
  std::uint32_t format = 0;
  std::uint64_t free_bytes = 0;
  std::uint64_t total_bytes = 0;
  std::uint64_t reserved_bytes = 0;
  std::string inventory;
  bool is_draining = false;   // it is to be emptied (PUT /drain)
  std::int64_t clock_ms = 0;  // its wall clock; 0: it does not say
  std::uint64_t coordinators =
      0;                      // that asked for its health within the last seconds, by their ids
  std::string file_system{};  // of its data folder: type and mount options, "ext4 rw,relatime"
};

struct RefReport {
  Ref ref;
  std::uint64_t missing_count = 0;  // 0: every chunk it names is there
  std::uint64_t bytes = 0;
  std::optional<std::int64_t> verified_ms;
};

struct InventoryPage {
  std::vector<RefReport> refs;
  std::vector<Tombstone> tombstones;
  std::vector<Pin> pins{};
  std::string next;
};

// A chunk that somebody lacks, and the chunk it is a change of, where that is known: whoever has
// both may send the difference.
struct WantedChunk {
  Digest digest;
  std::optional<Digest> base = std::nullopt;

  friend bool operator==(WantedChunk const&, WantedChunk const&) = default;
};
// Without bases: they come whole.
std::vector<WantedChunk> wanted_whole(std::span<Digest const> digests);

struct PullOutcome {
  Digest chunk;
  std::optional<Error> error;  // none: the worker has the chunk now
};

// Called for each outcome of a pull as it arrives.
using PullObserver = std::function<void(PullOutcome const&)>;

std::string serialize_health(WorkerHealth const& health);
Result<WorkerHealth> parse_health(std::string_view json);

std::string serialize_inventory(InventoryPage const& page);
Result<InventoryPage> parse_inventory(std::string_view json);

std::string serialize_address(WorkerAddress const& address);  // the "from" object of a pull
Result<WorkerAddress> parse_address(std::string_view json);

// {"<field>": [digest, …]}; at most limits::digests_per_call_max when parsed.
std::string serialize_digests(std::string_view field, std::span<Digest const> digests);
Result<std::vector<Digest>> parse_digests(std::string_view field, std::string_view json);

// The body of POST /pull: whom to ask, for what. The bases, where there are any, stand in a list of
// their own beside the chunks.
struct PullRequest {
  WorkerAddress from;
  std::vector<WantedChunk> chunks;  // at most limits::digests_per_call_max
};
std::string serialize_pull(WorkerAddress const& from, std::span<WantedChunk const> chunks);
Result<PullRequest> parse_pull(std::string_view json);

// One line of a pull's answer, without its newline.
std::string serialize_outcome(PullOutcome const& outcome);
// Passes on the error of a line that says the whole call failed.
Result<PullOutcome> parse_outcome(std::string_view json);

std::string serialize_ref_target(Digest const& target);  // the body of PUT /refs
Result<Digest> parse_ref_target(std::string_view json);

// The body of DELETE /refs: why what is deleted may go. Without `newer` each witness must hold the
// very same ref, whole; with it what it is said to hold of that newer generation.
struct DeletionWitness {
  WorkerAddress address;
  std::vector<RefName> holds{};  // of `newer`: at least one; without it none
};
struct DeletionGrounds {
  std::vector<DeletionWitness> witnesses;  // none: of an unfinished generation
  std::optional<Generation> newer{};
};
std::string serialize_deletion(std::span<DeletionWitness const> witnesses,
                               std::optional<Generation> newer);
Result<DeletionGrounds> parse_deletion(std::string_view json);

// The bodies of PUT /pins and PUT /drain.
std::string serialize_pin_body(Pin const& pin);
Result<Pin> parse_pin_body(CheckpointKey key, std::string_view json);
std::string serialize_drain(bool is_draining);
Result<bool> parse_drain(std::string_view json);

// The body of PUT /tombstones; the key is in the path.
std::string serialize_tombstone_body(Tombstone const& tombstone);
Result<Tombstone> parse_tombstone_body(CheckpointKey key, std::string_view json);

// The 409 of PUT /refs: an error with the chunks to send again beside it.
std::string serialize_missing(Error const& error, std::span<Digest const> missing);

// What a scrub ends with.
struct ScrubSummary {
  std::uint64_t chunks_read = 0;
  std::uint64_t bytes_read = 0;
  std::uint64_t damaged_count = 0;
  std::uint64_t refs_verified = 0;
  std::uint64_t refs_not_whole = 0;  // that lack something, damaged now or before
  std::uint64_t missing_count = 0;   // chunks, lists and manifests that these lack
};
Result<ScrubSummary> parse_scrub(std::string_view json);

// What a long call ends with when it fails after its 200.
std::string serialize_failure(Error const& error);
// The error in `json`, if it is such a document.
std::optional<Error> parse_failure(std::string_view json);

// The error of an answer that is not a 2xx: its "detail" and "kind", or, where a stranger
// answered, one that names the status.
Error parse_error_reply(unsigned status, std::string_view body);

}  // namespace grove
