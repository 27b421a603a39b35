#include "coordinator/forget.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "base/file.h"
#include "coordinator/locate.h"
#include "coordinator/moved_workers.h"
#include "coordinator/verdict.h"

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

class Forget {
 public:
  Forget(Services& services, Config config, ForgetRequest request)
      : services_(services), config_(std::move(config)), request_(std::move(request)) {}

  Awaitable<Result<std::string>> run() {
    co_await follow_moved_workers(services_, config_, LookUp::on_network, [](std::string) {});
    view_ = co_await survey(services_, config_, request_.key);
    CO_TRY(check_reach());
    known_ = generations_of(request_.key, view_.inventories);
    std::erase_if(known_, [&](GenerationView const& it) {
      return view_.has_forgotten(request_.key, it.generation);
    });
    if (known_.empty()) {
      co_return fail(ErrorKind::not_found, "{} is not stored on any worker that answers ({})",
                     request_.key.identity(), view_.summary());
    }
    co_await read_manifests();
    CO_TRY(request_.only ? check_one(*request_.only) : check_all());
    auto forgetting = request_.only ? forget_one(*request_.only) : forget_all();
    co_return co_await std::move(forgetting);
  }

 private:
  // A complete generation, as far as anybody who answers knows it.
  struct Complete {
    Generation generation;
    std::optional<Manifest> manifest;  // none: nobody gives it now
    bool is_safe = false;
  };

  std::size_t wanted() const {
    return std::min<std::size_t>(config_.redundancy, config_.workers.size());
  }

  // So that it does not come back, as many workers must be told as there are copies.
  Result<void> check_reach() const {
    if (view_.alive_count() >= wanted()) return ok();
    return fail(ErrorKind::unavailable,
                "{}; {} must, so that {} does not come back; nothing is changed", view_.summary(),
                wanted(), request_.key.identity());
  }

  Awaitable<void> read_manifests() {
    for (auto const& generation : known_) {
      if (generation.manifests.empty()) continue;
      auto& it = complete_.emplace_back();
      it.generation = generation.generation;
      auto manifest = co_await fetch_manifest(services_, config_, generation);
      if (manifest.has_error()) continue;
      it.is_safe = count_copies(manifest.value(), view_.inventories, config_.redundancy).is_safe();
      it.manifest = std::move(manifest).value();
    }
  }

  bool is_complete(Generation generation) const {
    return std::ranges::any_of(complete_,
                               [&](Complete const& it) { return it.generation == generation; });
  }

  // Another generation must be safe, unless this one did not end or a person insists.
  Result<void> check_one(Generation generation) const {
    bool const is_known = std::ranges::any_of(
        known_, [&](GenerationView const& it) { return it.generation == generation; });
    if (!is_known) {
      return fail(ErrorKind::not_found, "generation {} of {} is not stored; grove ls lists them",
                  generation.value, request_.key.identity());
    }
    bool const is_other_safe = std::ranges::any_of(
        complete_, [&](Complete const& it) { return it.generation != generation && it.is_safe; });
    if (request_.force || is_other_safe || !is_complete(generation)) return ok();
    if (complete_.size() == 1) return is_last(generation);
    return fail(ErrorKind::conflict,
                "no other generation of {} is safe (grove status): --force (force=true) forgets {} "
                "for good",
                request_.key.identity(), generation.value);
  }

  Result<void> check_all() const {
    if (request_.force) return ok();
    if (!complete_.empty()) return is_last(complete_.front().generation);
    // One that is complete may lie on those that do not answer.
    if (view_.sees_all(config_.redundancy)) return ok();
    return fail(ErrorKind::unavailable,
                "{}; the others may hold a complete generation of {}: --force (force=true) forgets "
                "it all the same",
                view_.summary(), request_.key.identity());
  }

  Error is_last(Generation generation) const {
    bool const is_pinned =
        std::ranges::any_of(view_.pins, [](Pin const& pin) { return pin.is_pinned; });
    return fail(
        ErrorKind::conflict,
        "generation {} is the last complete one of {}{}: --force (force=true) forgets it for "
        "good",
        generation.value, request_.key.identity(), is_pinned ? ", which is pinned" : "");
  }

  Awaitable<Result<std::string>> forget_one(Generation generation) {
    Tombstone tombstone{.key = request_.key, .up_to = {}};
    tombstone.singles.push_back(generation);
    CO_TRY(auto const told, co_await tell_enough(std::move(tombstone)));
    co_return fmt::format("generation {} of {} is forgotten{}", generation.value,
                          request_.key.identity(), told.later(config_));
  }

  Awaitable<Result<std::string>> forget_all() {
    Manifest const* manifest = nullptr;
    for (auto const& it : complete_) {
      if (manifest == nullptr && it.manifest) manifest = &*it.manifest;
    }
    auto const tombstone = co_await tombstone_of_all(services_, config_, request_.key,
                                                     known_.front().generation, manifest);
    CO_TRY(auto const told, co_await tell_enough(tombstone));
    co_return fmt::format("{} is forgotten up to generation {} on {} of {} workers{}",
                          request_.key.identity(), tombstone.up_to.value, told.told.size(),
                          config_.workers.size(), told.later(config_));
  }

  // Those that answered a moment ago were enough.
  Awaitable<Result<Told>> tell_enough(Tombstone tombstone) {
    auto told = co_await tell(services_, config_, view_.members, std::move(tombstone));
    if (told.told.size() < wanted()) {
      co_return fail(
          ErrorKind::unavailable,
          "{} workers were told to forget {}, {} must be, so that it does not come back{}",
          told.told.size(), request_.key.identity(), wanted(), told.later(config_));
    }
    services_.metrics.add(Count::forgotten, {"asked"});
    co_return told;
  }

  Services& services_;
  Config config_;
  ForgetRequest request_;
  ClusterView view_;
  std::vector<GenerationView> known_;  // newest first; not those forgotten before
  std::vector<Complete> complete_;     // of them, newest first
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
                                          CheckpointKey key, Generation generation, Superseded by) {
  auto const grounds = grounds_of(config, members, inventories, key, by);
  CO_TRY(co_await forget_refs(services, config, members, inventories, key, generation, Pass::shards,
                              grounds));
  co_return co_await forget_refs(services, config, members, inventories, key, generation,
                                 Pass::manifests, grounds);
}

Awaitable<Tombstone> tombstone_of_all(Services const& services, Config const& config,
                                      CheckpointKey key, Generation up_to,
                                      Manifest const* manifest) {
  Tombstone tombstone{.key = std::move(key), .up_to = up_to};
  if (manifest != nullptr) {
    tombstone.file_bytes = manifest->file_bytes;
    tombstone.mtime_ns = manifest->mtime_ns;
  }
  std::filesystem::path const relative(tombstone.key.identity());
  auto const file =
      co_await services.offload.run([&] { return stamp_beneath(config.ckpt_root, relative); });
  if (file.has_value()) {
    tombstone.file_bytes = file.value().size;
    tombstone.mtime_ns = file.value().mtime_ns;
  }
  co_return tombstone;
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
