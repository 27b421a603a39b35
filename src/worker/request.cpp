#include "worker/request.h"

#include <chrono>
#include <utility>

namespace grove {
namespace {

// A job is named by a random id; this is room enough, and bounds what leases can take.
constexpr std::size_t job_bytes_max = 128;

}  // namespace

Result<void> admit(Holdings& holdings, HttpRequest const& request) {
  auto const worker = request.param("worker");
  if (worker && *worker != holdings.folder.id()) {
    return fail(ErrorKind::conflict,
                "request for another worker: this is rank {} with the id {}; look its address up "
                "again",
                holdings.folder.rank().value, holdings.folder.id());
  }
  auto const job = request.param("job");
  if (job && job->size() > job_bytes_max) {
    return fail(ErrorKind::invalid, "job: longer than {} bytes", job_bytes_max);
  }
  pin(holdings, request, {});
  return ok();
}

void pin(Holdings& holdings, HttpRequest const& request, std::span<Digest const> digests) {
  auto const job = request.param("job");
  if (!job || job->empty()) return;
  holdings.leases.pin(*job, digests, std::chrono::steady_clock::now());
}

void note_own(Holdings& holdings, HttpRequest const& request, Ref const& ref) {
  auto const job = request.param("job");
  if (!job || job->empty()) return;
  holdings.leases.note(*job, ref, std::chrono::steady_clock::now());
}

Result<std::optional<Digest>> base_param(HttpRequest const& request) {
  auto const text = request.param("base");
  if (!text) return std::optional<Digest>{};
  TRY(auto const base, Digest::parse(*text));
  return std::optional(base);
}

Result<Digest> digest_argument(HttpRequest const& request, std::size_t index) {
  return Digest::parse(request.args().at(index));
}

Result<CheckpointKey> key_argument(HttpRequest const& request, std::size_t index) {
  return CheckpointKey::parse(request.args().at(index));
}

Result<Ref> ref_arguments(HttpRequest const& request) {
  TRY(auto key, key_argument(request, 0));
  TRY(auto const generation, parse_generation(request.args().at(1)));
  TRY(auto const name, RefName::parse(request.args().at(2)));
  return Ref{.key = std::move(key), .generation = generation, .name = name, .target = {}};
}

Awaitable<Result<void>> send_done(HttpResponder& responder) {
  co_return co_await responder.send(204, {}, {});
}

Awaitable<Result<void>> done_or_failed(Holdings& holdings, Result<void> kept,
                                       HttpResponder& responder) {
  if (!kept) {
    holdings.check_store(kept.error());
    co_return kept.error();
  }
  co_return co_await send_done(responder);
}

Awaitable<Result<void>> send_json(HttpResponder& responder, std::string json) {
  co_return co_await responder.send_text(200, "application/json", std::move(json));
}

}  // namespace grove
