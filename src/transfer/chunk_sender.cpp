#include "transfer/chunk_sender.h"

#include <utility>

#include "base/limits.h"
#include "format/chunk.h"
#include "format/delta.h"

namespace grove {
namespace {

using Clock = std::chrono::steady_clock;

struct Encoded {
  std::optional<Buffer> bytes;
  CodecPace::Seconds took{};
};

// Nothing where no codec makes the chunk smaller: it is sealed in place then.
Encoded encode_whole(ReadChunk& chunk) {
  auto const begun = Clock::now();
  Encoded encoded;
  auto const choice = choose_codec(chunk.raw(), chunk.slice.values);
  if (choice.codec == Codec::raw) {
    seal_raw_chunk(chunk.buffer.span());
  } else {
    encoded.bytes = encode_chunk(chunk.raw(), choice.codec);
  }
  encoded.took = Clock::now() - begun;
  return encoded;
}

// Nothing where the delta would not be worth it. Fails: as DeltaBases::read.
// `encodes`: what travels without it would be coded.
Result<Encoded> encode_against(ReadChunk const& chunk, DeltaBases& bases, DeltaBase const& base,
                               Switch compression, bool encodes) {
  Buffer earlier(base.raw_bytes);
  TRY(bases.read(base, earlier.span()));
  auto const begun = Clock::now();
  auto const whole =
      compression == Switch::off ? CodecChoice{} : choose_codec(chunk.raw(), chunk.slice.values);
  auto const bytes_max = static_cast<std::size_t>(delta_share_max * (encodes ? whole.ratio : 1) *
                                                  static_cast<double>(chunk.raw().size()));
  Encoded encoded;
  encoded.bytes =
      encode_delta(chunk.raw(), earlier.span(), chunk.slice.values, whole.codec, bytes_max);
  encoded.took = Clock::now() - begun;
  return encoded;
}

// The worker cannot use the delta, whatever is wrong: with its base, with ours, on the way.
bool is_refusal(Error const& error) {
  return error.kind == ErrorKind::conflict || error.kind == ErrorKind::corrupt;
}

}  // namespace

std::optional<DeltaBase> ChunkSender::base_of(ChunkSlice const& slice) const {
  bool const pays =
      options_.delta == Switch::on || (options_.delta == Switch::automatic && pace_.pays());
  if (options_.bases == nullptr || !pays) return std::nullopt;
  return options_.bases->find(slice);
}

bool ChunkSender::encodes() const {
  return options_.compression == Switch::on ||
         (options_.compression == Switch::automatic && pace_.pays());
}

Awaitable<Result<void>> ChunkSender::send(WorkerClient& worker, ReadChunk& chunk,
                                          std::optional<DeltaBase> base) {
  if (base) {
    CO_TRY(auto const is_sent, co_await send_delta(worker, chunk, *base));
    if (is_sent) co_return ok();
  }
  co_return co_await send_whole(worker, chunk);
}

Awaitable<Result<bool>> ChunkSender::send_delta(WorkerClient& worker, ReadChunk const& chunk,
                                                DeltaBase base) {
  auto& bases = *options_.bases;
  CO_TRY(auto permit, co_await room_.acquire(base.raw_bytes + chunk.buffer.size()));
  auto encoded = co_await offload_.run([&, encodes = encodes()] {
    return encode_against(chunk, bases, base, options_.compression, encodes);
  });
  permit.release(base.raw_bytes);
  if (encoded.has_error()) {  // the earlier file is not what it was
    bases.note(chunk.slice, DeltaOutcome::refused);
    co_return false;
  }
  auto const& delta = encoded.value().bytes;
  if (!delta) {  // mostly found by a sample, which says nothing of the codec's speed
    bases.note(chunk.slice, DeltaOutcome::no_profit);
    co_return false;
  }
  pace_.encoded(chunk.ref.raw_bytes, encoded.value().took);
  permit.release(chunk.buffer.size() - delta->size());
  auto const sent = co_await put(worker, chunk.ref.digest, base.digest, delta->span());
  if (sent.has_error()) {
    if (!is_refusal(sent.error())) co_return sent.error();
    bases.note(chunk.slice, DeltaOutcome::refused);
    co_return false;
  }
  bases.note(chunk.slice, DeltaOutcome::sent);
  totals_.deltas_saved_bytes += chunk.buffer.size() - delta->size();
  co_return true;
}

Awaitable<Result<void>> ChunkSender::send_whole(WorkerClient& worker, ReadChunk& chunk) {
  bool const encodes = options_.compression == Switch::on ||
                       (options_.compression == Switch::automatic && pace_.encodes_next());
  if (!encodes) {
    co_await offload_.run([&] { seal_raw_chunk(chunk.buffer.span()); });
    co_return co_await put(worker, chunk.ref.digest, {}, chunk.buffer.span());
  }
  CO_TRY(auto permit, co_await room_.acquire(chunk.buffer.size()));
  auto const encoded = co_await offload_.run([&] { return encode_whole(chunk); });
  if (!encoded.bytes) {
    permit.release_all();
    co_return co_await put(worker, chunk.ref.digest, {}, chunk.buffer.span());
  }
  pace_.encoded(chunk.ref.raw_bytes, encoded.took);
  auto const saved_bytes = chunk.buffer.size() - encoded.bytes->size();
  permit.release(saved_bytes);
  CO_TRY(co_await put(worker, chunk.ref.digest, {}, encoded.bytes->span()));
  totals_.encoding_saved_bytes += saved_bytes;
  co_return ok();
}

Awaitable<Result<void>> ChunkSender::put(WorkerClient& worker, Digest digest,
                                         std::optional<Digest> base,
                                         std::span<std::byte const> encoded) {
  if (options_.throttle != nullptr) co_await options_.throttle->pay(encoded.size());
  pace_.send_began(Clock::now());
  Result<void> sent = ok();
  if (base) {
    sent = co_await worker.put_delta(digest, *base, encoded);
  } else {
    sent = co_await worker.put_chunk(digest, encoded);
  }
  pace_.send_ended(sent.has_value() ? encoded.size() : 0, Clock::now());
  if (sent.has_value()) totals_.sent_bytes += encoded.size();
  co_return sent;
}

}  // namespace grove
