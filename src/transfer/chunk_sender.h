// How one chunk travels to one worker: as a delta where both sides hold its base, else in the codec
// that suits it, or raw. Encoding runs on pool threads while other chunks are on their way; whether
// it pays is measured (plan/codec_pace.h). What all sends of a job took is counted here.
// Not here: which chunks a worker lacks (transfer/push.h), which chunk is whose base
// (plan/delta_base.h), the codecs (format/codec.h, format/delta.h).
// Threads: the job's executor; several sends may run at once.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/buffer.h"
#include "base/config.h"
#include "base/error.h"
#include "net/asio.h"
#include "net/offload.h"
#include "net/semaphore.h"
#include "net/throttle.h"
#include "plan/codec_pace.h"
#include "transfer/chunk_source.h"
#include "transfer/delta_bases.h"
#include "transfer/worker_client.h"

namespace grove {

// Of one job, over all workers.
struct SentTotals {
  std::uint64_t sent_bytes = 0;     // as they travelled, without HTTP's heads
  std::uint64_t present_bytes = 0;  // raw; of chunks that a worker had already
  std::uint64_t encoding_saved_bytes = 0;
  std::uint64_t deltas_saved_bytes = 0;
};

class ChunkSender {
 public:
  struct Options {
    Switch compression = Switch::automatic;
    Switch delta = Switch::automatic;
    DeltaBases* bases = nullptr;   // none: everything travels whole
    Throttle* throttle = nullptr;  // of the job; none: as fast as it goes
  };

  // `offload`, `room`, the bases and the throttle must outlive the sender. `room`: bytes that
  // chunks are encoded into, and of bases.
  ChunkSender(Offload& offload, Semaphore& room, Options options)
      : offload_(offload), room_(room), options_(options) {}

  // The base that a delta of this chunk would have; none where deltas do not pay now.
  std::optional<DeltaBase> base_of(ChunkSlice const& slice) const;

  // One try; `base` is one that the worker says it holds. A delta that the worker refuses is
  // followed by the whole chunk. `chunk` may be sealed in place; its raw bytes stay as they are.
  // Fails: as WorkerClient::put_chunk; cancelled.
  Awaitable<Result<void>> send(WorkerClient& worker, ReadChunk& chunk,
                               std::optional<DeltaBase> base);

  // A worker had so many raw bytes that it was offered, before this store sent it any.
  void note_present(std::uint64_t bytes) { totals_.present_bytes += bytes; }
  SentTotals const& totals() const { return totals_; }

 private:
  bool encodes() const;
  Awaitable<Result<void>> send_whole(WorkerClient& worker, ReadChunk& chunk);
  // False: send it whole.
  Awaitable<Result<bool>> send_delta(WorkerClient& worker, ReadChunk const& chunk, DeltaBase base);
  // `base`: of a delta.
  Awaitable<Result<void>> put(WorkerClient& worker, Digest digest, std::optional<Digest> base,
                              std::span<std::byte const> encoded);

  Offload& offload_;
  Semaphore& room_;
  Options options_;
  CodecPace pace_;
  SentTotals totals_;
};

}  // namespace grove
