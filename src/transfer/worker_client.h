// The worker's interface (docs/worker-interface.md) as typed calls: the only place that knows its
// URLs and JSON. One attempt each; retries are the caller's (transfer/push.h).
// Exposes no type of plan/, so that workers can use it for pulls.
// Threads: the HttpClient's executor.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/config.h"
#include "base/digest.h"
#include "base/error.h"
#include "format/manifest.h"
#include "format/ref.h"
#include "net/asio.h"
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
  std::string next;
};

struct PullOutcome {
  Digest chunk;
  std::optional<Error> error;  // none: the worker has the chunk now
};

// Called for each outcome of a pull as it arrives.
using PullObserver = std::function<void(PullOutcome const&)>;

// JSON of the calls above; the worker's handlers use the same functions from the other side.
std::string serialize_health(WorkerHealth const& health);
Result<WorkerHealth> parse_health(std::string_view json);
std::string serialize_inventory(InventoryPage const& page);
Result<InventoryPage> parse_inventory(std::string_view json);
std::string serialize_address(WorkerAddress const& address);  // the "from" object of a pull
Result<WorkerAddress> parse_address(std::string_view json);
std::string serialize_digests(std::string_view field, std::span<Digest const> digests);
Result<std::vector<Digest>> parse_digests(std::string_view field, std::string_view json);

class WorkerClient {
 public:
  // `job` is the lease this client's calls belong to. `http` must outlive the client.
  WorkerClient(HttpClient& http, WorkerAddress address, std::string job);

  WorkerAddress const& address() const { return address_; }

  // Fails with `unavailable` when another rank (or another id than expected) answers there, since
  // the right worker may be found elsewhere later. Fills in the id when it was not known.
  Awaitable<Result<WorkerHealth>> health();
  Awaitable<Result<std::vector<Digest>>> missing(std::span<Digest const> digests);
  Awaitable<Result<void>> put_chunk(Digest digest, std::span<std::byte const> encoded);
  // The encoded chunk as it came: decode_chunk proves it.
  Awaitable<Result<Buffer>> get_chunk(Digest digest);
  // One outcome per chunk, in any order. When the call itself breaks, the chunks without an
  // outcome get that error.
  Awaitable<std::vector<PullOutcome>> pull(WorkerAddress from, std::span<Digest const> digests);
  Awaitable<Result<void>> sync();
  Awaitable<Result<void>> put_list(Digest digest, std::span<std::byte const> bytes);
  Awaitable<Result<void>> put_manifest(Digest digest, std::span<std::byte const> bytes);
  Awaitable<Result<ShardList>> get_list(Digest digest);      // proven against its name
  Awaitable<Result<Manifest>> get_manifest(Digest digest);   // likewise
  // The chunks the worker lacks; empty: the ref is durable.
  Awaitable<Result<std::vector<Digest>>> put_ref(Ref ref);
  Awaitable<Result<void>> delete_ref(Ref ref, std::string coordinator,
                                     std::vector<WorkerAddress> witnesses);
  // All pages; of one identity where given.
  Awaitable<Result<InventoryPage>> inventory(std::optional<CheckpointKey> only);

 private:
  HttpClient& http_;
  WorkerAddress address_;
  std::string job_;
};

}  // namespace grove
