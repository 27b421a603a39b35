#include "worker/shard_calls.h"

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/limits.h"
#include "worker/byte_range.h"
#include "worker/shard_export.h"

namespace grove {
namespace {

using Headers = std::vector<std::pair<std::string, std::string>>;

constexpr std::string_view bytes_type = "application/octet-stream";

Result<ShardWanted> wanted_of(HttpRequest const& request) {
  TRY(auto key, key_argument(request, 0));
  TRY(auto const name, RefName::parse(request.args().at(1)));
  if (!name.shard) return fail(ErrorKind::invalid, "shard: must be a number");
  std::optional<Generation> generation;
  if (auto const text = request.param("generation")) {
    TRY(generation, parse_generation(*text));
  }
  return ShardWanted{.key = std::move(key), .shard = *name.shard, .generation = generation};
}

Headers headers_of(ShardExport const& shard) {
  return {
      {"Accept-Ranges", "bytes"},
      {"Content-Disposition", shard.is_safetensors() ? "attachment; filename=\"shard.safetensors\""
                                                     : "attachment; filename=\"shard\""}};
}

Awaitable<Result<void>> refuse_range(std::uint64_t size, HttpResponder& responder) {
  Headers headers{{"Content-Range", content_range(UnsatisfiableRange{}, size)}};
  CO_TRY(co_await responder.start(416, bytes_type, 0, std::move(headers)));
  co_return co_await responder.finish();
}

Awaitable<Result<void>> stream(Holdings& holdings, ShardExport const& shard, ByteRange range,
                               HttpResponder& responder) {
  std::uint64_t offset = range.begin;
  while (offset < range.end) {
    // A piece is a chunk as it lies on the disk and, where it has a codec, decoded beside it.
    CO_TRY(auto const permit,
           co_await holdings.outgoing.acquire(2 * limits::encoded_chunk_bytes_max));
    CO_TRY(auto const piece,
           co_await holdings.offload.run([&] { return shard.read(offset, range.end); }));
    CO_TRY(co_await responder.write(piece.bytes));
    offset += piece.bytes.size();
  }
  co_return co_await responder.finish();
}

}  // namespace

Awaitable<Result<void>> get_shard(Holdings& holdings, HttpRequest& request,
                                  HttpResponder& responder) {
  CO_TRY(auto const wanted, wanted_of(request));
  CO_TRY(auto const shard, co_await holdings.offload.run([&] {
    return ShardExport::open(holdings.chunks, *holdings.refs, holdings.folder.tmp(), wanted);
  }));
  auto const asked = request.header("Range");
  auto const answer = asked ? parse_range(*asked, shard.bytes()) : RangeAnswer{WholeContent{}};
  if (std::holds_alternative<UnsatisfiableRange>(answer)) {
    co_return co_await refuse_range(shard.bytes(), responder);
  }
  unsigned status = 200;
  ByteRange range{.begin = 0, .end = shard.bytes()};
  auto headers = headers_of(shard);
  if (auto const* part = std::get_if<ByteRange>(&answer)) {
    status = 206;
    range = *part;
    headers.emplace_back("Content-Range", content_range(range, shard.bytes()));
  }
  CO_TRY(co_await responder.start(status, bytes_type, range.end - range.begin, std::move(headers)));
  co_return co_await stream(holdings, shard, range, responder);
}

}  // namespace grove
