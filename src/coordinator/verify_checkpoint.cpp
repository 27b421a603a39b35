#include "coordinator/verify_checkpoint.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "coordinator/job_lines.h"
#include "coordinator/locate.h"
#include "coordinator/moved_workers.h"
#include "coordinator/verdict.h"
#include "coordinator/verification.h"

namespace grove {
namespace {

class CheckpointVerification : public Verification {
 public:
  CheckpointVerification(Services& services, Config config, ClusterView const& view,
                         Manifest const& manifest)
      : Verification(services, std::move(config)), view_(view), manifest_(manifest) {}

 private:
  Awaitable<void> verify(std::size_t index) override {
    auto const& member = view_.members[index];
    auto const& device = config().workers[index];
    auto const where = fmt::format("rank {} ({})", device.rank.value, device.host);
    if (!member.health) {
      add_line(fmt::format("  ✗ {} was not asked: {}", where, member.error.message));
      co_return;
    }
    auto address = address_of(device);
    address.id = member.health->id;
    WorkerClient worker(services_.http, std::move(address));
    auto const key = CheckpointKey::parse(manifest_.identity).value();
    auto const page = co_await worker.proven_inventory(key, Reread::always);
    if (page.has_error()) {
      add_line(fmt::format("  ✗ {} did not prove its copies: {}", where, page.error().message));
      co_return;
    }
    WorkerInventory proven{.worker_index = index, .refs = {}};
    for (auto const& report : page.value().refs) {
      if (report.ref.generation != manifest_.generation) continue;
      note(report, where);
      proven.refs.push_back({.ref = report.ref,
                             .is_sound = report.missing_count == 0,
                             .missing_count = report.missing_count,
                             .verified_ms = report.verified_ms});
    }
    proven_.push_back(std::move(proven));
  }

  void note(RefReport const& report, std::string const& where) {
    auto const what = report.ref.name.shard ? fmt::format("shard {}", report.ref.name.shard->value)
                                            : std::string("the header, and the manifest,");
    if (report.missing_count == 0) {
      add_line(
          fmt::format("  ✓ {} on {}: {} MB re-read from the disk, every chunk matches its SHA-256",
                      what, where, lines::megabytes(report.bytes)));
      return;
    }
    ++damaged_count_;
    add_line(fmt::format("  ✗ {} on {}: {} chunks are damaged or gone", what, where,
                         report.missing_count));
  }

  std::string last_line() const override {
    auto const copies = count_copies(manifest_, proven_, config().redundancy);
    auto const what =
        fmt::format("{} generation {}", manifest_.identity, manifest_.generation.value);
    auto const proven = fmt::format("{} of {} copies proven", copies.live, copies.wanted);
    if (copies.is_safe() && damaged_count_ == 0) {
      return fmt::format("Done: {}: {}; the SHA-256 of the file is {}", what, proven,
                         manifest_.sha256.hex());
    }
    if (copies.fewest == 0) {
      return lines::error(fmt::format("{}: {}; {} has none left", what, proven,
                                      copies.nowhere.empty() ? "the header" : "a shard"));
    }
    return lines::error(fmt::format("{}: {}; {}", what, proven, mended_by(services_)));
  }

  ClusterView const& view_;
  Manifest const& manifest_;
  std::vector<WorkerInventory> proven_;
  std::size_t damaged_count_ = 0;
};

}  // namespace

std::string mended_by(Services const& services) {
  return services.repairs_by_itself ? "what is missing is being made again from the other copies"
                                    : "grove repair makes what is missing from the other copies";
}

Awaitable<Result<void>> stream_checkpoint_verification(Services& services, Config config,
                                                       CheckpointKey key,
                                                       HttpResponder& responder) {
  co_await follow_moved_workers(services, config, LookUp::remembered, [](std::string) {});
  auto const view = co_await survey(services, config, key);
  Result<Manifest> manifest =
      fail(ErrorKind::not_found, "{} is not stored on any worker that answers ({})", key.identity(),
           view.summary());
  for (auto const& generation : generations_of(key, view.inventories)) {
    if (generation.manifests.empty()) continue;
    if (view.has_forgotten(key, generation.generation)) continue;
    manifest = co_await fetch_manifest(services, config, generation);
    break;
  }
  if (manifest.has_error()) {
    auto line = lines::error(manifest.error().message) + "\n";
    co_return co_await responder.send_text(200, "text/plain; charset=utf-8", std::move(line));
  }
  CheckpointVerification verification(services, std::move(config), view, manifest.value());
  co_return co_await verification.stream(responder);
}

}  // namespace grove
