// The worker's interface (docs/worker-interface.md) as typed calls: the only place that knows its
// URLs. One attempt each; retries are the caller's (transfer/push.h).
// Exposes no type of plan/, so that workers can use it for pulls.
// Threads: the HttpClient's executor.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/limits.h"
#include "format/manifest.h"
#include "format/ref.h"
#include "net/asio.h"
#include "net/http_client.h"
#include "transfer/worker_messages.h"

namespace grove {

// Whether what a worker read within the last minutes it reads again.
enum class Reread { unless_recent, always };

class WorkerClient {
 public:
  // `job` is the lease this client's calls belong to; empty where they keep nothing. `http` must
  // outlive the client.
  WorkerClient(HttpClient& http, WorkerAddress address, std::string job = {});

  WorkerAddress const& address() const { return address_; }
  // Calls from now on go there; rank and id expected stay.
  void move_to(Endpoint endpoint) { address_.endpoint = std::move(endpoint); }

  // Whoever answers at the address within `patience`, as it says of itself.
  Awaitable<Result<WorkerHealth>> who_answers(
      std::chrono::milliseconds patience = limits::health_timeout, std::string coordinator = {});
  // Fails with `unavailable` when another rank (or another id than expected) answers there, since
  // the right worker may be found elsewhere later. Fills in the id when it was not known.
  // `coordinator`: the id of the one that looks after the worker, empty for anybody else.
  Awaitable<Result<WorkerHealth>> health(std::string coordinator = {});
  Awaitable<Result<std::vector<Digest>>> missing(std::span<Digest const> digests);
  Awaitable<Result<void>> put_chunk(Digest digest, std::span<std::byte const> encoded);
  // The encoded chunk as it came: decode_chunk proves it.
  Awaitable<Result<Buffer>> get_chunk(Digest digest);
  // The same as a difference to `base` (format/delta.h), of which the worker makes the whole chunk.
  // Fails: conflict (it cannot be, for this base or now: send the chunk whole), or as put_chunk().
  Awaitable<Result<void>> put_delta(Digest digest, Digest base, std::span<std::byte const> encoded);
  // The chunk as a difference to `base`, as it came: decode_delta proves it.
  // Fails: conflict (ask for the chunk whole), or as get_chunk().
  Awaitable<Result<Buffer>> get_delta(Digest digest, Digest base);
  // One outcome per chunk, in the order given. When the call itself breaks, the chunks without an
  // outcome get that error. A chunk with a base comes as a delta where both workers can; whether it
  // did is not told.
  Awaitable<std::vector<PullOutcome>> pull(WorkerAddress from, std::span<WantedChunk const> wanted);
  Awaitable<Result<void>> sync();
  Awaitable<Result<void>> put_list(Digest digest, std::span<std::byte const> bytes);
  Awaitable<Result<void>> put_manifest(Digest digest, std::span<std::byte const> bytes);
  // Proven against its name; one that is longer than `bytes_max` is not read.
  Awaitable<Result<ShardList>> get_list(Digest digest,
                                        std::uint64_t bytes_max = limits::list_bytes_max);
  Awaitable<Result<Manifest>> get_manifest(Digest digest);  // likewise
  // The chunks the worker lacks; empty: the ref is durable.
  Awaitable<Result<std::vector<Digest>>> put_ref(Ref ref);
  // Takes as long as the witnesses read. Without `newer` each of them must hold this very ref,
  // whole; with it what it `holds` of that newer generation. `witnesses` must live until it
  // returns. Fails: conflict (not proven, or another coordinator deletes).
  Awaitable<Result<void>> delete_ref(Ref ref, std::string coordinator,
                                     std::span<DeletionWitness const> witnesses,
                                     std::optional<Generation> newer = std::nullopt);
  // Ends this job's lease: what only it had brought and no ref reaches is removed at once.
  Awaitable<Result<void>> release();
  // Ends it and removes nothing: all is referred to, or may be collected with the rest.
  Awaitable<Result<void>> end_lease();
  // Re-reads what it has not verified for so long, at a pace that disturbs no transfer; without a
  // period everything, at full speed. Takes as long as the disk does. Ends when cancelled.
  Awaitable<Result<ScrubSummary>> scrub(std::optional<std::chrono::milliseconds> unverified_for);
  // Forgets what the tombstone covers, for `coordinator`.
  Awaitable<Result<void>> put_tombstone(Tombstone tombstone, std::string coordinator);
  Awaitable<Result<void>> put_pin(Pin pin);
  // Whether it is to be emptied.
  Awaitable<Result<void>> put_drain(bool is_draining);
  // What should exist, as file_sync says it.
  Awaitable<Result<void>> put_expected(std::span<std::byte const> json);
  // All pages; of one identity where given.
  Awaitable<Result<InventoryPage>> inventory(std::optional<CheckpointKey> only);
  // The refs to manifests, of identities that begin with `prefix`: which generations of them are
  // complete. Cut off after limits::manifests_listed_max.
  Awaitable<Result<InventoryPage>> manifests_under(std::string prefix);
  // All pages, after the worker has read all chunks of these refs from its disk.
  Awaitable<Result<InventoryPage>> proven_inventory(CheckpointKey only, Reread reread);
  // What it has of these refs of one generation, after it has read them from its disk, or did a
  // short while ago: as a witness for a deletion by `coordinator`. Fails: conflict (it deletes, or
  // is a witness, for another coordinator).
  Awaitable<Result<std::vector<RefReport>>> witness(CheckpointKey key, Generation generation,
                                                    std::vector<RefName> names,
                                                    std::string coordinator);

 private:
  struct Paging {
    std::size_t refs_count_max = SIZE_MAX;
    std::chrono::milliseconds patience = limits::commit_timeout;  // with each page
  };
  Awaitable<Result<InventoryPage>> all_pages(std::string query, Paging paging);
  Awaitable<Result<void>> put_json(std::string target, std::string json);
  Awaitable<Result<void>> end_job(std::string target);
  Awaitable<Result<void>> put_encoded(std::string target, std::span<std::byte const> encoded);
  Awaitable<Result<Buffer>> get_encoded(std::string target);
  // A worker proves what it sends: other bytes come of the wire, and are asked for once more.
  Awaitable<Result<Buffer>> get_object(std::string target, Digest digest, std::uint64_t bytes_max);

  HttpClient& http_;
  WorkerAddress address_;
  std::string job_;
};

}  // namespace grove
