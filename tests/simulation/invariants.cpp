#include "invariants.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "plan/placement.h"
#include "plan/retention.h"

namespace grove::simulation {
namespace {

bool has_sound(Worker const& worker, CheckpointKey const& key, Generation generation,
               RefName const& name, Digest const& target) {
  auto const ref = worker.disk.refs.find({key, generation, name});
  if (ref == worker.disk.refs.end() || ref->second != target) return false;
  if (!name.shard) {
    return worker.disk.manifests.contains(target) && !worker.disk.rotten_manifests.contains(target);
  }
  auto const held = worker.disk.chunks.find(target);
  return held != worker.disk.chunks.end() && held->second.is_durable && !held->second.is_rotten;
}

}  // namespace

std::string_view to_string(Invariant invariant) {
  constexpr std::array<std::string_view, invariants_count> names{
      "done_means_copies", "last_copy_stays",  "gathers_exactly",
      "room_is_kept",      "drops_are_proven", "plan_is_sane",
      "keeps_the_newest",  "forgotten_stays",  "becomes_whole"};
  return names[static_cast<std::size_t>(invariant)];
}

Violation::Violation(Invariant what, std::string const& text)
    : std::runtime_error(fmt::format("{}: {}", to_string(what), text)), invariant(what) {}

void Checks::that(Invariant invariant, bool holds, std::string_view otherwise) {
  ++counts[static_cast<std::size_t>(invariant)];
  if (!holds) throw Violation(invariant, std::string(otherwise));
}

std::size_t Checks::fewest_copies(Acknowledged const& done) const {
  auto const key = CheckpointKey::parse(done.manifest.identity).value();
  auto const count_of = [&](RefName const& name, Digest const& target) {
    return static_cast<std::size_t>(std::ranges::count_if(world.config, [&](std::size_t index) {
      return has_sound(world.workers[index], key, done.manifest.generation, name, target);
    }));
  };
  auto fewest = count_of(RefName{}, done.digest);
  for (std::uint32_t shard = 0; shard < done.manifest.shards.size(); ++shard) {
    auto const name = RefName{ShardIndex{shard}};
    fewest = std::min(fewest, count_of(name, done.manifest.shards[shard].list));
  }
  return fewest;
}

void Checks::after_step() {
  for (auto const& [key, generations] : ledger.done) {
    for (auto const& [generation, done] : generations) {
      if (done.may_be_lost) continue;
      that(Invariant::last_copy_stays, fewest_copies(done) > 0,
           fmt::format("the last copy of a shard or manifest of {} generation {} is gone",
                       key.identity(), generation.value));
    }
  }
  for (auto const& worker : world.workers) {
    that(Invariant::room_is_kept, worker.disk.used_bytes() <= worker.disk.capacity_bytes,
         "a disk holds more than fits");
  }
}

void Checks::explain_losses() {
  ++losses;
  // A worker that lies is as good as lost, and passes for a witness: another loss is one too many.
  bool const is_one_lying =
      std::ranges::any_of(world.workers, [](Worker const& worker) { return worker.is_lying; });
  std::size_t const too_few = is_one_lying ? 1 : 0;
  for (auto& [key, generations] : ledger.done) {
    for (auto& [generation, done] : generations) {
      if (fewest_copies(done) <= too_few) done.may_be_lost = true;
    }
  }
  explain_tombstones();
}

void Checks::explain_tombstones() {
  for (auto const& entry : ledger.forgotten) {
    auto const& key = entry.first;
    auto const up_to = entry.second;
    bool const is_known = std::ranges::any_of(world.config, [&](std::size_t index) {
      auto const& tombstones = world.workers[index].disk.tombstones;
      auto const found = tombstones.find(key);
      return found != tombstones.end() && found->second.up_to >= up_to;
    });
    if (!is_known) ledger.forgetting_may_fail.insert(key);
  }
}

void Checks::note_done(CheckpointKey const& key, Generation generation,
                       std::uint64_t losses_before) {
  auto& done = ledger.done.at(key).at(generation);
  auto const copies = fewest_copies(done);
  // The clock went back, and nobody who answered knew of a newer generation, or that this number
  // was forgotten: that will win (docs/promises.md, known gaps).
  bool const is_behind = std::ranges::any_of(world.workers, [&](Worker const& worker) {
    auto const tombstone = worker.disk.tombstones.find(key);
    return tombstone != worker.disk.tombstones.end() && tombstone->second.up_to >= generation;
  });
  bool const is_disturbed =
      is_behind || knows_newer(key, generation) || losses != losses_before ||
      std::ranges::any_of(world.workers, [](Worker const& worker) { return worker.is_lying; });
  that(Invariant::done_means_copies, is_disturbed || copies >= done.manifest.redundancy,
       fmt::format("{} generation {} was acknowledged with {} durable copies", key.identity(),
                   generation.value, copies));
  if (copies == 0 || is_behind || knows_newer(key, generation)) done.may_be_lost = true;
}

bool Checks::knows_newer(CheckpointKey const& key, Generation generation) const {
  return std::ranges::any_of(world.workers, [&](Worker const& worker) {
    return std::ranges::any_of(worker.disk.refs, [&](auto const& entry) {
      auto const& [of_key, of_generation, name] = entry.first;
      return of_key == key && of_generation > generation && !name.shard;
    });
  });
}

std::optional<Generation> Checks::remembered(CheckpointKey const& key) const {
  std::optional<Generation> up_to;
  for (auto const index : world.config) {
    auto const& worker = world.workers[index];
    auto const found = worker.disk.tombstones.find(key);
    if (worker.answers() && found != worker.disk.tombstones.end()) {
      up_to = std::max(up_to, std::optional(found->second.up_to));
    }
  }
  return up_to;
}

void Checks::note_gathered(Manifest const& manifest, std::optional<Generation> remembered) {
  that(Invariant::forgotten_stays, !remembered || manifest.generation > *remembered,
       "a gather gave what was forgotten");
  that(Invariant::gathers_exactly, ledger.attempted.contains(sha256(serialize(manifest))),
       "a gather gave what nobody has stored");
  bool const all_answer = std::ranges::all_of(world.config, [&](std::size_t index) {
    return world.workers[index].answers() && !world.workers[index].is_lying;
  });
  auto const newest = ledger.newest(CheckpointKey::parse(manifest.identity).value());
  if (!all_answer || !newest) return;
  auto const& done = ledger.done.at(CheckpointKey::parse(manifest.identity).value()).at(*newest);
  that(Invariant::gathers_exactly, done.may_be_lost || manifest.generation >= *newest,
       "a gather gave an older generation silently");
}

void Checks::note_retention(Forgetting const& what, std::span<StoredGeneration const> stored) {
  auto const place = run_step_of(what.key);
  bool const is_newer_kept = std::ranges::any_of(stored, [&](StoredGeneration const& it) {
    auto const other = run_step_of(it.key);
    return it.is_safe && place && other && other->run == place->run && other->step > place->step;
  });
  that(Invariant::keeps_the_newest, is_newer_kept,
       "retention takes a step though no newer one of its run is safe");
}

void Checks::note_superseded(Forgetting const& what, std::span<StoredGeneration const> stored) {
  bool const is_newer_safe = std::ranges::any_of(stored, [&](StoredGeneration const& it) {
    return it.key == what.key && it.generation > what.generation && it.is_safe;
  });
  that(Invariant::keeps_the_newest, is_newer_safe,
       "a generation goes though no newer one of its checkpoint is safe");
}

void Checks::when_quiet() {
  for (auto const& [key, generations] : ledger.done) {
    for (auto const& [generation, done] : generations) {
      if (done.may_be_lost) continue;
      auto const& manifest = done.manifest;
      that(Invariant::becomes_whole, fewest_copies(done) >= manifest.redundancy,
           fmt::format("{} generation {} has too few copies after the repair", key.identity(),
                       generation.value));
      auto const ring = place_copies(static_cast<std::uint32_t>(manifest.shards.size()),
                                     world.config.size(), manifest.redundancy);
      for (auto const& copy : ring.value()) {
        auto const& home = world.workers[world.config[copy.worker_index]];
        that(Invariant::becomes_whole,
             has_sound(home, key, generation, RefName{copy.shard},
                       manifest.shards[copy.shard.value].list),
             fmt::format("shard {} of {} is not at home after the repair", copy.shard.value,
                         key.identity()));
      }
    }
  }
  for (auto const& entry : ledger.forgotten) {
    auto const& key = entry.first;
    auto const up_to = entry.second;
    if (ledger.forgetting_may_fail.contains(key)) continue;
    for (auto const index : world.config) {
      bool const has_any =
          std::ranges::any_of(world.workers[index].disk.refs, [&](auto const& held) {
            return std::get<0>(held.first) == key && std::get<1>(held.first) <= up_to;
          });
      that(Invariant::forgotten_stays, !has_any, key.identity() + " is back");
    }
  }
}

}  // namespace grove::simulation
