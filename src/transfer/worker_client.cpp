#include "transfer/worker_client.h"

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/bytes.h"
#include "base/limits.h"
#include "transfer/outcome_lines.h"

namespace grove {
namespace {

constexpr std::string_view json_type = "application/json";
constexpr std::string_view bytes_type = "application/octet-stream";
// Identities may be 4000 bytes long and tombstones come all at once.
constexpr std::uint64_t inventory_page_bytes_max = 32 * limits::mib;

// An error that a worker told us about, or that its answer is: with where it happened.
Error at(Endpoint const& endpoint, Error error) {
  error.message = fmt::format("{}: {}", endpoint.text(), error.message);
  return error;
}

Result<HttpReply> checked(Endpoint const& endpoint, Result<HttpReply> reply) {
  if (!reply || reply.value().is_success()) return reply;
  return at(endpoint, parse_error_reply(reply.value().status, reply.value().text()));
}

// The query of a call that changes something: whose lease it renews, whom it is meant for.
std::string with_query(std::string target, WorkerAddress const& address, std::string const& job) {
  char separator = target.find('?') == std::string::npos ? '?' : '&';
  auto const add = [&](std::string_view name, std::string const& value) {
    if (value.empty()) return;
    target += separator;
    target += name;
    target += '=';
    target += percent_encode(value);
    separator = '&';
  };
  add("job", job);
  add("worker", address.id);
  return target;
}

std::string chunk_target(Digest const& digest) {
  return "/chunks/" + digest.hex();
}

std::string delta_target(Digest const& digest, Digest const& base) {
  return chunk_target(digest) + "?base=" + base.hex();
}

std::string ref_target(Ref const& ref) {
  return fmt::format("/refs/{}/{}/{}", percent_encode(ref.key.identity()), ref.generation.value,
                     ref.name.text());
}

HttpCall json_call(http::verb method, std::string target, std::string const& body) {
  HttpCall call;
  call.method = method;
  call.target = std::move(target);
  call.content_type = json_type;
  call.body = bytes_of(body);
  return call;
}

HttpCall bytes_call(std::string target, std::span<std::byte const> body) {
  HttpCall call;
  call.method = http::verb::put;
  call.target = std::move(target);
  call.content_type = bytes_type;
  call.body = body;
  return call;
}

}  // namespace

WorkerClient::WorkerClient(HttpClient& http, WorkerAddress address, std::string job)
    : http_(http), address_(std::move(address)), job_(std::move(job)) {}

Awaitable<Result<WorkerHealth>> WorkerClient::who_answers(std::chrono::milliseconds patience,
                                                          std::string coordinator) {
  HttpCall call;
  call.target = "/health";
  if (!coordinator.empty()) call.target += "?coordinator=" + percent_encode(coordinator);
  call.connect_timeout = patience;
  call.idle_timeout = patience;
  auto const reply =
      checked(address_.endpoint, co_await http_.call(address_.endpoint, std::move(call)));
  if (!reply) co_return reply.error();
  auto health = parse_health(reply.value().text());
  if (!health) co_return at(address_.endpoint, health.error());
  co_return health;
}

Awaitable<Result<WorkerHealth>> WorkerClient::health(std::string coordinator) {
  auto health = co_await who_answers(limits::health_timeout, std::move(coordinator));
  if (!health) co_return health;
  if (health.value().rank != address_.rank) {
    co_return fail(ErrorKind::unavailable,
                   "{}: answers as rank {}, not {}; check the addresses in config.yaml",
                   address_.endpoint.text(), health.value().rank.value, address_.rank.value);
  }
  if (!address_.id.empty() && health.value().id != address_.id) {
    co_return fail(ErrorKind::unavailable,
                   "{}: answers as another worker ({}) than expected ({}); check its --data folder",
                   address_.endpoint.text(), health.value().id, address_.id);
  }
  address_.id = health.value().id;
  co_return health;
}

Awaitable<Result<std::vector<Digest>>> WorkerClient::missing(std::span<Digest const> digests) {
  std::vector<Digest> missing;
  while (!digests.empty()) {
    auto const batch = digests.first(std::min(digests.size(), limits::digests_per_call_max));
    digests = digests.subspan(batch.size());
    auto const body = serialize_digests("chunks", batch);
    auto call = json_call(http::verb::post, with_query("/chunks/missing", address_, job_), body);
    auto const reply =
        checked(address_.endpoint, co_await http_.call(address_.endpoint, std::move(call)));
    if (!reply) co_return reply.error();
    auto const part = parse_digests("missing", reply.value().text());
    if (!part) co_return at(address_.endpoint, part.error());
    missing.insert(missing.end(), part.value().begin(), part.value().end());
  }
  co_return missing;
}

Awaitable<Result<void>> WorkerClient::put_chunk(Digest digest, std::span<std::byte const> encoded) {
  co_return co_await put_encoded(chunk_target(digest), encoded);
}

Awaitable<Result<void>> WorkerClient::put_delta(Digest digest, Digest base,
                                                std::span<std::byte const> encoded) {
  co_return co_await put_encoded(delta_target(digest, base), encoded);
}

Awaitable<Result<Buffer>> WorkerClient::get_chunk(Digest digest) {
  co_return co_await get_encoded(chunk_target(digest));
}

Awaitable<Result<Buffer>> WorkerClient::get_delta(Digest digest, Digest base) {
  co_return co_await get_encoded(delta_target(digest, base));
}

Awaitable<Result<void>> WorkerClient::put_encoded(std::string target,
                                                  std::span<std::byte const> encoded) {
  auto call = bytes_call(with_query(std::move(target), address_, job_), encoded);
  CO_TRY(checked(address_.endpoint, co_await http_.call(address_.endpoint, std::move(call))));
  co_return ok();
}

Awaitable<Result<Buffer>> WorkerClient::get_encoded(std::string target) {
  HttpCall call;
  call.target = std::move(target);
  // A delta may take as much as a chunk.
  call.reply_bytes_max = limits::encoded_chunk_bytes_max;
  auto reply = checked(address_.endpoint, co_await http_.call(address_.endpoint, std::move(call)));
  if (!reply) co_return reply.error();
  co_return std::move(reply.value().body);
}

Awaitable<std::vector<PullOutcome>> WorkerClient::pull(WorkerAddress from,
                                                       std::span<WantedChunk const> wanted) {
  std::vector<PullOutcome> outcomes;
  outcomes.reserve(wanted.size());
  while (!wanted.empty()) {
    auto const batch = wanted.first(std::min(wanted.size(), limits::digests_per_call_max));
    wanted = wanted.subspan(batch.size());
    auto const body = serialize_pull(from, batch);
    auto call = json_call(http::verb::post, with_query("/pull", address_, job_), body);
    OutcomeLines lines;
    ReplySink sink = [&](std::span<std::byte const> bytes) -> Awaitable<Result<void>> {
      auto taken = lines.take(bytes);
      if (!taken) co_return at(address_.endpoint, taken.error());
      co_return ok();
    };
    auto const reply =
        checked(address_.endpoint,
                co_await http_.call_streamed(address_.endpoint, std::move(call), std::move(sink)));
    auto const rest = reply ? fail(ErrorKind::internal, "{}: pull ended without an outcome",
                                   address_.endpoint.text())
                            : reply.error();
    auto part = lines.outcomes(batch, rest);
    std::move(part.begin(), part.end(), std::back_inserter(outcomes));
  }
  co_return outcomes;
}

Awaitable<Result<void>> WorkerClient::sync() {
  HttpCall call;
  call.method = http::verb::post;
  call.target = with_query("/sync", address_, job_);
  auto const reply =
      checked(address_.endpoint, co_await http_.call(address_.endpoint, std::move(call)));
  if (!reply) co_return reply.error();
  auto const text = reply.value().text();
  if (auto failure = parse_failure(text)) co_return at(address_.endpoint, *failure);
  if (text.find("\"synced\":true") == std::string_view::npos) {
    co_return fail(ErrorKind::internal, "{}: sync was not confirmed", address_.endpoint.text());
  }
  co_return ok();
}

Awaitable<Result<void>> WorkerClient::release() {
  co_return co_await end_job("/gc?release=" + percent_encode(job_));
}

Awaitable<Result<void>> WorkerClient::end_lease() {
  co_return co_await end_job("/gc?end=" + percent_encode(job_));
}

Awaitable<Result<void>> WorkerClient::end_job(std::string target) {
  HttpCall call;
  call.method = http::verb::post;
  call.target = with_query(std::move(target), address_, {});
  auto const reply =
      checked(address_.endpoint, co_await http_.call(address_.endpoint, std::move(call)));
  if (!reply) co_return reply.error();
  if (auto failure = parse_failure(reply.value().text())) {
    co_return at(address_.endpoint, *failure);
  }
  co_return ok();
}

Awaitable<Result<void>> WorkerClient::put_list(Digest digest, std::span<std::byte const> bytes) {
  auto call = bytes_call(with_query("/shardlists/" + digest.hex(), address_, job_), bytes);
  call.idle_timeout = limits::commit_timeout;
  CO_TRY(checked(address_.endpoint, co_await http_.call(address_.endpoint, std::move(call))));
  co_return ok();
}

Awaitable<Result<void>> WorkerClient::put_manifest(Digest digest,
                                                   std::span<std::byte const> bytes) {
  auto call = bytes_call(with_query("/manifests/" + digest.hex(), address_, job_), bytes);
  call.idle_timeout = limits::commit_timeout;
  CO_TRY(checked(address_.endpoint, co_await http_.call(address_.endpoint, std::move(call))));
  co_return ok();
}

Awaitable<Result<Buffer>> WorkerClient::get_object(std::string target, Digest digest,
                                                   std::uint64_t bytes_max) {
  for (int tries_left = 2; tries_left > 0; --tries_left) {
    HttpCall call;
    call.target = target;
    call.reply_bytes_max = bytes_max;
    CO_TRY(auto reply,
           checked(address_.endpoint, co_await http_.call(address_.endpoint, std::move(call))));
    if (sha256(reply.body.span()) == digest) co_return std::move(reply.body);
  }
  co_return fail(ErrorKind::corrupt, "{}: sent other bytes than {} names", address_.endpoint.text(),
                 digest.short_hex());
}

Awaitable<Result<ShardList>> WorkerClient::get_list(Digest digest, std::uint64_t bytes_max) {
  CO_TRY(auto const bytes, co_await get_object("/shardlists/" + digest.hex(), digest, bytes_max));
  auto list = parse_shard_list(bytes.span());
  if (!list) co_return at(address_.endpoint, list.error());
  co_return list;
}

Awaitable<Result<Manifest>> WorkerClient::get_manifest(Digest digest) {
  CO_TRY(auto const bytes,
         co_await get_object("/manifests/" + digest.hex(), digest, limits::manifest_bytes_max));
  auto manifest = parse_manifest(bytes.span());
  if (!manifest) co_return at(address_.endpoint, manifest.error());
  co_return manifest;
}

Awaitable<Result<std::vector<Digest>>> WorkerClient::put_ref(Ref ref) {
  auto const body = serialize_ref_target(ref.target);
  auto call = json_call(http::verb::put, with_query(ref_target(ref), address_, job_), body);
  call.idle_timeout = limits::commit_timeout;
  auto reply = co_await http_.call(address_.endpoint, std::move(call));
  if (reply && reply.value().status == 409) {
    auto missing = parse_digests("missing", reply.value().text());
    if (missing && !missing.value().empty()) co_return missing;
  }
  auto const success = checked(address_.endpoint, std::move(reply));
  if (!success) co_return success.error();
  co_return std::vector<Digest>{};
}

Awaitable<Result<void>> WorkerClient::delete_ref(Ref ref, std::string coordinator,
                                                 std::span<DeletionWitness const> witnesses,
                                                 std::optional<Generation> newer) {
  auto const body = serialize_deletion(witnesses, newer);
  auto target = ref_target(ref) + "?coordinator=" + percent_encode(coordinator);
  auto call = json_call(http::verb::delete_, with_query(std::move(target), address_, job_), body);
  call.idle_timeout = limits::commit_timeout;
  auto const reply =
      checked(address_.endpoint, co_await http_.call(address_.endpoint, std::move(call)));
  if (!reply) co_return reply.error();
  if (auto failure = parse_failure(reply.value().text())) {
    co_return at(address_.endpoint, *failure);
  }
  co_return ok();
}

Awaitable<Result<ScrubSummary>> WorkerClient::scrub(
    std::optional<std::chrono::milliseconds> unverified_for) {
  HttpCall call;
  call.method = http::verb::post;
  std::string target = "/scrub";
  if (unverified_for) target += fmt::format("?unverified_for_ms={}", unverified_for->count());
  call.target = with_query(std::move(target), address_, {});
  call.reply_bytes_max = inventory_page_bytes_max;
  auto const reply =
      checked(address_.endpoint, co_await http_.call(address_.endpoint, std::move(call)));
  if (!reply) co_return reply.error();
  auto const text = reply.value().text();
  if (auto failure = parse_failure(text)) co_return at(address_.endpoint, *failure);
  auto summary = parse_scrub(text);
  if (!summary) co_return at(address_.endpoint, summary.error());
  co_return summary;
}

Awaitable<Result<void>> WorkerClient::put_expected(std::span<std::byte const> json) {
  HttpCall call;
  call.method = http::verb::put;
  call.target = with_query("/expected", address_, {});
  call.content_type = json_type;
  call.body = json;
  call.idle_timeout = limits::commit_timeout;
  CO_TRY(checked(address_.endpoint, co_await http_.call(address_.endpoint, std::move(call))));
  co_return ok();
}

Awaitable<Result<void>> WorkerClient::put_tombstone(Tombstone tombstone, std::string coordinator) {
  auto target = "/tombstones/" + percent_encode(tombstone.key.identity()) +
                "?coordinator=" + percent_encode(coordinator);
  co_return co_await put_json(std::move(target), serialize_tombstone_body(tombstone));
}

Awaitable<Result<void>> WorkerClient::put_pin(Pin pin) {
  auto target = "/pins/" + percent_encode(pin.key.identity());
  co_return co_await put_json(std::move(target), serialize_pin_body(pin));
}

Awaitable<Result<void>> WorkerClient::put_drain(bool is_draining) {
  co_return co_await put_json("/drain", serialize_drain(is_draining));
}

Awaitable<Result<void>> WorkerClient::put_json(std::string target, std::string json) {
  auto call = json_call(http::verb::put, with_query(std::move(target), address_, {}), json);
  call.idle_timeout = limits::commit_timeout;
  CO_TRY(checked(address_.endpoint, co_await http_.call(address_.endpoint, std::move(call))));
  co_return ok();
}

Awaitable<Result<InventoryPage>> WorkerClient::inventory(std::optional<CheckpointKey> only) {
  std::string query;
  if (only) query = "&identity=" + percent_encode(only->identity());
  co_return co_await all_pages(std::move(query), Paging());
}

Awaitable<Result<InventoryPage>> WorkerClient::manifests_under(std::string prefix) {
  auto query = "&name=manifest&prefix=" + percent_encode(prefix);
  Paging const paging{.refs_count_max = limits::manifests_listed_max,
                      .patience = limits::idle_timeout};
  co_return co_await all_pages(std::move(query), paging);
}

Awaitable<Result<InventoryPage>> WorkerClient::proven_inventory(CheckpointKey only, Reread reread) {
  auto query = fmt::format("&verify={}&identity={}", reread == Reread::always ? "now" : "true",
                           percent_encode(only.identity()));
  co_return co_await all_pages(std::move(query), Paging());
}

Awaitable<Result<std::vector<RefReport>>> WorkerClient::witness(CheckpointKey key,
                                                                Generation generation,
                                                                std::vector<RefName> names,
                                                                std::string coordinator) {
  auto query = fmt::format(
      "&verify=true&identity={}&generation={}&coordinator={}&name=", percent_encode(key.identity()),
      generation.value, percent_encode(coordinator));
  for (auto const& name : names) query += name.text() + ',';
  query.pop_back();
  CO_TRY(auto page, co_await all_pages(std::move(query), Paging()));
  co_return std::move(page.refs);
}

Awaitable<Result<InventoryPage>> WorkerClient::all_pages(std::string query, Paging paging) {
  InventoryPage all;
  std::string after;
  do {
    HttpCall call;
    call.target = "/refs?after=" + percent_encode(after) + query;
    call.reply_bytes_max = inventory_page_bytes_max;
    call.idle_timeout = paging.patience;
    auto const reply =
        checked(address_.endpoint, co_await http_.call(address_.endpoint, std::move(call)));
    if (!reply) co_return reply.error();
    if (auto failure = parse_failure(reply.value().text())) {
      co_return at(address_.endpoint, *failure);
    }
    auto page = parse_inventory(reply.value().text());
    if (!page) co_return at(address_.endpoint, page.error());
    if (!page.value().next.empty() && page.value().next == after) {
      co_return fail(ErrorKind::internal, "{}: the inventory does not end",
                     address_.endpoint.text());
    }
    std::move(page.value().refs.begin(), page.value().refs.end(), std::back_inserter(all.refs));
    std::move(page.value().tombstones.begin(), page.value().tombstones.end(),
              std::back_inserter(all.tombstones));
    std::move(page.value().pins.begin(), page.value().pins.end(), std::back_inserter(all.pins));
    auto const count = all.refs.size() + all.tombstones.size() + all.pins.size();
    if (count > limits::inventory_refs_max) {
      co_return fail(ErrorKind::exhausted, "{}: names more than {} refs; check what it holds",
                     address_.endpoint.text(), limits::inventory_refs_max);
    }
    after = page.value().next;
  } while (!after.empty() && all.refs.size() < paging.refs_count_max);
  co_return all;
}

}  // namespace grove
