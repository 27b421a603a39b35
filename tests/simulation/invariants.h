// What must be true of the made-up cluster, whatever goes wrong; each with a name, and a count of
// how often it was looked at. A violation is an exception that says what and where.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#include "ledger.h"
#include "plan/keeping.h"
#include "world.h"

namespace grove::simulation {

enum class Invariant {
  done_means_copies,  // a store that says Done has its copies on different workers, there and
                      // durable
  last_copy_stays,    // only faults take the last sound copy of what was acknowledged
  gathers_exactly,  // a gather gives what a store meant to commit, and none older than acknowledged
  room_is_kept,     // no disk holds more than fits
  drops_are_proven,  // a copy is dropped only where enough others have it
  plan_is_sane,      // copies go from who has them to who lacks them, and answers, and stays
  keeps_the_newest,  // retention and newer generations never take the newest safe one of a run
  forgotten_stays,   // what was forgotten on purpose is nowhere once all have answered
  becomes_whole,  // without further faults everything gets its copies back, and then nothing moves
};
inline constexpr std::size_t invariants_count = 9;
std::string_view to_string(Invariant invariant);

struct Violation : std::runtime_error {
  Violation(Invariant what, std::string const& text);
  Invariant invariant;
};

struct Checks {
  Checks(World& its_world, Ledger& its_ledger) : world(its_world), ledger(its_ledger) {}

  void that(Invariant invariant, bool holds, std::string_view otherwise);

  // After every step, before anything goes wrong.
  void after_step();
  // After a fault: what it took is nobody's mistake.
  void explain_losses();
  // Whether anybody remembers what was forgotten.
  void explain_tombstones();
  // When all workers answer again, nobody lies, and nothing goes wrong any more.
  void when_quiet();

  // `losses_before`: what `losses` was when its store began.
  void note_done(CheckpointKey const& key, Generation generation, std::uint64_t losses_before);
  // `remembered`: what remembered() was when its gather began.
  void note_gathered(Manifest const& manifest, std::optional<Generation> remembered);
  void note_retention(Forgetting const& what, std::span<StoredGeneration const> stored);
  void note_superseded(Forgetting const& what, std::span<StoredGeneration const> stored);

  // Whether a manifest of a newer generation of it is on a worker.
  bool knows_newer(CheckpointKey const& key, Generation generation) const;
  // Up to which generation of it is forgotten, as far as the workers that answer know.
  std::optional<Generation> remembered(CheckpointKey const& key) const;
  // How many sound copies there really are of the shard that has the fewest; of the manifest too.
  std::size_t fewest_copies(Acknowledged const& done) const;

  World& world;
  Ledger& ledger;
  std::array<std::uint64_t, invariants_count> counts{};
  std::uint64_t losses = 0;  // faults that may have taken a copy
};

}  // namespace grove::simulation
