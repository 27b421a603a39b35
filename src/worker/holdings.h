// What one worker process holds open: its folder, its stores, the jobs' leases, the pool for
// blocking work, and the bounds on what it keeps in memory. Every call and the upkeep work on this.
//
// Memory: chunk bodies are waited for before they are read, from the network or from the disk, so a
// worker holds at most worker_bodies_max of them. Bodies that come in and bodies that go out have
// room of their own: a pull waits for the source's outgoing room while it holds incoming room here,
// so with one room for both a ring of workers could wait for itself. A delta waits once, for all
// that it will take (limits::delta_bodies_max): who holds room never waits for more of the same.
// Threads: made anywhere; used on the executor, blocking work through `offload`.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/config.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/metrics.h"
#include "net/http_client.h"
#include "net/offload.h"
#include "net/task_group.h"
#include "store/chunk_store.h"
#include "store/collector.h"
#include "store/data_folder.h"
#include "store/pin_store.h"
#include "store/ref_store.h"
#include "worker/scrub_pace.h"

namespace grove {

// Called when the disk did not take what it was given: the process must end with an error status
// and be started again, from what is durable.
using FatalHandler = std::function<void(Error const&)>;

struct WorkerOptions {
  Config config;
  Rank rank;
  std::filesystem::path data;
  EmptyFolder empty = EmptyFolder::refuse;
  std::string listen_address = "0.0.0.0";
  std::uint16_t port_override = 0;  // 0: the config's port
  FatalHandler on_fatal;            // none: the worker ends the process itself
  bool is_announced = false;        // by mDNS
};

struct Holdings {
  Holdings(asio::any_io_executor worker_executor, WorkerOptions options, DataFolder data_folder,
           std::uint64_t reserved_bytes);
  Holdings(Holdings const&) = delete;
  Holdings& operator=(Holdings const&) = delete;

  // Opens the folder and reads the index of refs. Blocking.
  // Fails: as DataFolder::open and RefStore::open; invalid (the config has no such rank).
  static Result<std::unique_ptr<Holdings>> open(asio::any_io_executor executor,
                                                WorkerOptions options);

  // config.yaml, read afresh; while it cannot be read, the last one that could.
  Awaitable<Config> current_config();

  // To be called when something could not be written: calls on_fatal with `error` if nothing that
  // was written is trusted any longer.
  void check_store(Error const& error);

  static constexpr std::uint64_t incoming_bytes_max =
      limits::worker_bodies_max / 2 * limits::encoded_chunk_bytes_max;
  static constexpr std::uint64_t outgoing_bytes_max =
      limits::worker_bodies_max * limits::encoded_chunk_bytes_max - incoming_bytes_max;

  asio::any_io_executor executor;
  Config config;
  DataFolder folder;
  std::string const file_system;  // that the folder lies on
  ChunkStore chunks;
  std::unique_ptr<RefStore> refs;
  std::unique_ptr<PinStore> pins;
  Leases leases;
  std::optional<Collector> collector;
  FatalHandler on_fatal;
  Metrics metrics{Role::worker};

  HttpClient http;         // for pulls and witnesses
  Semaphore incoming;      // bytes of chunk bodies: PUT, pull
  Semaphore outgoing;      // bytes of chunk bodies: GET, exports
  Semaphore lists;         // bytes of shard lists
  Semaphore sweeps;        // one collection at a time
  Semaphore scrubs;        // one scrub that somebody waits for at a time
  Semaphore paced_scrubs;  // and one of what is due, which may take hours
  Semaphore proofs;        // one re-reading for a witness at a time

  TransferActivity transfers;
  std::atomic<bool> is_draining = false;  // as the folder says (worker/mark_calls.h)
  std::atomic<bool> is_stopping = false;

  // Which coordinators look after this worker: when each last asked for its health.
  std::map<std::string, std::chrono::steady_clock::time_point> coordinators;

  // For whom something was deleted here last, or vouched for: not soon after for a second
  // coordinator (worker/deletion.h).
  struct DeletionClaim {
    std::string coordinator;
    std::chrono::steady_clock::time_point time;
  };
  std::optional<DeletionClaim> deletion_claim;

  // Last, since their work uses the others. What waits for the disk to sync, and what takes minutes
  // (the four above), has threads of its own: reads, and /health, go on beside it.
  Offload background;
  Offload commits;
  Offload offload;  // all other blocking work
};

}  // namespace grove
