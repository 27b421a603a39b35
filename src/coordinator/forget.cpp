#include "coordinator/forget.h"

#include <algorithm>
#include <utility>

#include "coordinator/locate.h"
#include "coordinator/moved_workers.h"

namespace grove {
namespace {

WorkerAddress address_of_member(Config const& config, Member const& member) {
  auto address = address_of(config.workers[member.worker_index]);
  if (member.health) address.id = member.health->id;
  return address;
}

// Whose refs go in one pass: the manifest goes last everywhere, so that what is cut off in between
// is still a generation.
enum class Pass { shards, manifests };

// Why a generation may go: what each witness holds of the newer one, as far as is known.
struct Grounds {
  std::vector<DeletionWitness> witnesses;  // none: the generation was never finished
  std::optional<Generation> newer;
};

Grounds grounds_of(Config const& config, std::span<Member const> members,
                   std::span<WorkerInventory const> inventories, CheckpointKey const& key,
                   Superseded const& by) {
  Grounds grounds;
  if (by.witnesses.empty()) return grounds;
  grounds.newer = by.newer;
  for (auto const& inventory : inventories) {
    if (std::ranges::find(by.witnesses, inventory.worker_index) == by.witnesses.end()) continue;
    DeletionWitness witness{.address = address_of_member(config, members[inventory.worker_index])};
    for (auto const& held : inventory.refs) {
      bool const is_newer = held.ref.key == key && held.ref.generation == by.newer;
      if (is_newer) witness.holds.push_back(held.ref.name);
    }
    if (!witness.holds.empty()) grounds.witnesses.push_back(std::move(witness));
  }
  return grounds;
}

Awaitable<Result<void>> forget_refs(Services const& services, Config const& config,
                                    std::span<Member const> members,
                                    std::span<WorkerInventory const> inventories,
                                    CheckpointKey const& key, Generation generation, Pass pass,
                                    Grounds const& grounds) {
  for (auto const& inventory : inventories) {
    WorkerClient worker(services.http, address_of_member(config, members[inventory.worker_index]),
                        {});
    for (auto const& held : inventory.refs) {
      bool const is_shard = held.ref.name.shard.has_value();
      if (held.ref.key != key || held.ref.generation != generation) continue;
      if (is_shard != (pass == Pass::shards)) continue;
      CO_TRY(co_await worker.delete_ref(held.ref, services.coordinator_id, grounds.witnesses,
                                        grounds.newer));
    }
  }
  co_return ok();
}

// The newest complete generation that was not forgotten, of those that the view knows.
std::optional<GenerationView> newest_complete(std::vector<GenerationView> const& known,
                                              std::optional<Generation> forgotten) {
  for (auto const& generation : known) {
    if (generation.manifests.empty() || generation.generation <= forgotten) continue;
    return generation;
  }
  return std::nullopt;
}

class Forget {
 public:
  Forget(Services& services, Config config, ForgetRequest request)
      : services_(services), config_(std::move(config)), request_(std::move(request)) {}

  Awaitable<Result<std::string>> run() {
    co_await follow_moved_workers(services_, config_, LookUp::on_network, [](std::string) {});
    view_ = co_await survey(services_, config_, request_.key);
    if (view_.alive_count() == 0) {
      co_return fail(ErrorKind::unavailable, "no worker answers: {}", view_.summary());
    }
    known_ = generations_of(request_.key, view_.inventories);
    auto const forgotten = view_.forgotten();
    auto const up_to = forgotten.find(request_.key);
    std::optional<Generation> before;
    if (up_to != forgotten.end()) before = up_to->second;
    std::erase_if(known_, [&](GenerationView const& it) { return it.generation <= before; });
    newest_ = newest_complete(known_, before);
    if (known_.empty()) {
      co_return fail(ErrorKind::not_found, "{} is not stored on any worker that answers ({})",
                     request_.key.identity(), view_.summary());
    }
    CO_TRY(check_allowed());
    if (request_.only && !is_last()) co_return co_await forget_older();
    co_return co_await forget_all();
  }

 private:
  bool is_last() const { return newest_ && newest_->generation == request_.only; }

  Result<void> check_allowed() const {
    if (request_.only) {
      bool const is_known = std::ranges::any_of(
          known_, [&](GenerationView const& it) { return it.generation == *request_.only; });
      if (!is_known) {
        return fail(ErrorKind::not_found, "generation {} of {} is not stored; grove ls lists them",
                    request_.only->value, request_.key.identity());
      }
    }
    if (request_.force || !newest_ || (request_.only && !is_last())) return ok();
    bool const is_pinned =
        std::ranges::any_of(view_.pins, [](Pin const& pin) { return pin.is_pinned; });
    return fail(
        ErrorKind::conflict,
        "generation {} is the last complete one of {}{}: --force (force=true) forgets it for "
        "good",
        newest_->generation.value, request_.key.identity(), is_pinned ? ", which is pinned" : "");
  }

  Awaitable<Result<std::string>> forget_older() {
    Superseded by;
    if (newest_ && newest_->generation > *request_.only) {
      by = {.newer = newest_->generation,
            .witnesses =
                manifest_holders(view_.inventories, request_.key, newest_->generation)};
    }
    CO_TRY(co_await forget_generation(services_, config_, view_.members, view_.inventories,
                                      request_.key, *request_.only, std::move(by)));
    services_.metrics.add(Count::forgotten, {"asked"});
    co_return fmt::format("generation {} of {} is forgotten", request_.only->value,
                          request_.key.identity());
  }

  Awaitable<Result<std::string>> forget_all() {
    Tombstone tombstone{
        .key = request_.key, .up_to = known_.front().generation, .file_bytes = 0, .mtime_ns = 0};
    if (newest_) {
      // So that the watcher knows the file that it must not bring back.
      auto const manifest = co_await fetch_manifest(services_, config_, *newest_);
      if (manifest.has_value()) {
        tombstone.file_bytes = manifest.value().file_bytes;
        tombstone.mtime_ns = manifest.value().mtime_ns;
      }
    }
    auto const told = co_await tell(services_, config_, view_.members, tombstone);
    auto const wanted = std::min<std::size_t>(config_.redundancy, config_.workers.size());
    if (told.told.size() < wanted) {
      co_return fail(
          ErrorKind::unavailable,
          "{} workers were told to forget {}, {} must be, so that it does not come back{}",
          told.told.size(), request_.key.identity(), wanted, told.later(config_));
    }
    services_.metrics.add(Count::forgotten, {"asked"});
    co_return fmt::format("{} is forgotten up to generation {} on {} of {} workers{}",
                          request_.key.identity(), tombstone.up_to.value, told.told.size(),
                          config_.workers.size(), told.later(config_));
  }

  Services& services_;
  Config config_;
  ForgetRequest request_;
  ClusterView view_;
  std::vector<GenerationView> known_;  // newest first; not those forgotten before
  std::optional<GenerationView> newest_;
};

}  // namespace

std::vector<std::size_t> manifest_holders(std::span<WorkerInventory const> inventories,
                                          CheckpointKey const& key, Generation generation) {
  std::vector<std::size_t> holders;
  for (auto const& inventory : inventories) {
    bool const has_it = std::ranges::any_of(inventory.refs, [&](HeldRef const& held) {
      return held.ref.key == key && held.ref.generation == generation && !held.ref.name.shard &&
             held.is_sound;
    });
    if (has_it) holders.push_back(inventory.worker_index);
  }
  return holders;
}

Awaitable<Result<void>> forget_generation(Services const& services, Config const& config,
                                          std::span<Member const> members,
                                          std::span<WorkerInventory const> inventories,
                                          CheckpointKey key, Generation generation,
                                          Superseded by) {
  auto const grounds = grounds_of(config, members, inventories, key, by);
  CO_TRY(co_await forget_refs(services, config, members, inventories, key, generation, Pass::shards,
                              grounds));
  co_return co_await forget_refs(services, config, members, inventories, key, generation,
                                 Pass::manifests, grounds);
}

Awaitable<Result<std::string>> forget_as_asked(Services& services, Jobs& jobs, Config config,
                                               ForgetRequest request) {
  if (jobs.is_storing(request.key.identity())) {
    co_return fail(ErrorKind::conflict, "{} is being stored: forget it when that has ended",
                   request.key.identity());
  }
  Forget forget(services, std::move(config), std::move(request));
  co_return co_await forget.run();
}

}  // namespace grove
