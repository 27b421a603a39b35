// The simulator: src/plan over a made-up cluster to which everything happens that can go wrong.
//
//   simulate [--faults N] [--seed FIRST] [--seconds N] [--only SEED]
//
// Runs episodes, a seed each from FIRST on, until so many faults have happened, or for so long.
// Prints how often each fault happened and each invariant was looked at; ends with 1 at the first
// violation, with its seed, which repeats it (--only), and where a fault or an invariant never came
// up.
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <string>

#include <fmt/format.h>

#include "faults.h"
#include "invariants.h"
#include "ledger.h"
#include "protocol.h"
#include "world.h"

namespace grove::simulation {
namespace {

constexpr std::size_t actions_per_episode = 60;
constexpr int rounds_to_be_whole = 20;

struct Totals {
  std::array<std::uint64_t, faults_count> faults{};
  std::array<std::uint64_t, invariants_count> checks{};
  std::uint64_t episodes = 0, done = 0, failed = 0;

  std::uint64_t faults_total() const {
    std::uint64_t total = 0;
    for (auto const count : faults) total += count;
    return total;
  }
};

class Episode {
 public:
  explicit Episode(std::uint64_t seed)
      : world_(seed),
        checks_(world_, ledger_),
        faults_(world_, ledger_, checks_, 0.1, [this] { act_as_another(); }),
        coordinator_(world_, ledger_, checks_, [this] {
          checks_.after_step();
          faults_.strike();
        }) {
    if (world_.chance(0.3)) retention_.keep_last = 1 + world_.below(3);
    if (world_.chance(0.2)) retention_.keep_every = 5;
    generations_ = static_cast<std::uint32_t>(1 + world_.below(2));
  }

  void run(Totals& totals) {
    for (std::size_t action = 0; action < actions_per_episode; ++action) {
      try {
        act();
      } catch (CoordinatorKilled const&) {
        // Another is started, which knows nothing.
      }
    }
    faults_.end();
    checks_.after_step();
    become_whole();
    for (std::size_t kind = 0; kind < faults_count; ++kind) {
      totals.faults[kind] += faults_.counts()[kind];
    }
    for (std::size_t kind = 0; kind < invariants_count; ++kind) {
      totals.checks[kind] += checks_.counts[kind];
    }
    ++totals.episodes;
    totals.done += done_count_;
    totals.failed += failed_count_;
  }

  std::string story() const { return faults_.story(); }

 private:
  std::string identity() {
    return fmt::format("run{}/step_{}/model.bin", world_.below(2), 1 + world_.below(8));
  }

  void count(Coordinator::Outcome outcome) {
    ++(outcome == Coordinator::Outcome::done ? done_count_ : failed_count_);
  }

  void act() {
    auto const dice = world_.below(100);
    if (dice < 40) return count(coordinator_.store(identity(), world_.below(6)));
    if (dice < 60) return count(coordinator_.gather(identity()));
    if (dice < 88) {
      std::ignore = coordinator_.repair(generations_, retention_);
      return;
    }
    if (dice < 94) return count(coordinator_.forget(identity()));
    auto& worker = world_.workers[world_.any_worker()];
    if (worker.is_running) worker.collect();
    checks_.after_step();
  }

  // Of checkpoints of its own: of the same one it would be told of the other's.
  void act_as_another() {
    Coordinator other(world_, ledger_, checks_, [this] { checks_.after_step(); });
    if (world_.chance(0.5)) {
      std::ignore =
          other.store(fmt::format("other/step_{}/model.bin", world_.below(3)), world_.below(6));
    } else {
      std::ignore = other.repair(generations_, retention_);
    }
  }

  void become_whole() {
    Coordinator calm(world_, ledger_, checks_, [this] { checks_.after_step(); });
    int round = 0;
    while (calm.repair(generations_, retention_) > 0) {
      checks_.that(Invariant::becomes_whole, ++round <= rounds_to_be_whole,
                   "the repair does not come to an end:\n" + calm.plans());
    }
    for (auto& worker : world_.workers) worker.collect();
    checks_.when_quiet();
    for (auto const& [key, generations] : ledger_.done) {
      if (generations.empty() || generations.rbegin()->second.may_be_lost) continue;
      // One that nobody was told of is newer: a gather gives that or says that it cannot.
      if (checks_.knows_newer(key, generations.rbegin()->first)) continue;
      checks_.that(Invariant::gathers_exactly,
                   calm.gather(key.identity()) == Coordinator::Outcome::done,
                   key.identity() + " was acknowledged and cannot be gathered");
    }
  }

  World world_;
  Ledger ledger_;
  Checks checks_;
  Faults faults_;
  Coordinator coordinator_;
  Retention retention_;
  std::uint32_t generations_ = 1;
  std::uint64_t done_count_ = 0, failed_count_ = 0;
};

// False, said, at a violation.
bool run_episode(std::uint64_t seed, Totals& totals) {
  Episode episode(seed);
  try {
    episode.run(totals);
    return true;
  } catch (Violation const& violation) {
    fmt::print("seed {}: {}\nbefore that:\n{}", seed, violation.what(), episode.story());
    return false;
  }
}

// False where something never happened.
bool report(Totals const& totals, std::uint64_t first, std::uint64_t next) {
  fmt::print("{} faults in {} episodes, seeds {} to {}; {} actions done, {} failed\n",
             totals.faults_total(), totals.episodes, first, next - 1, totals.done, totals.failed);
  bool is_complete = true;
  for (std::size_t kind = 0; kind < faults_count; ++kind) {
    fmt::print("  {:<22}{:>12}\n", to_string(static_cast<Fault>(kind)), totals.faults[kind]);
    is_complete = is_complete && totals.faults[kind] > 0;
  }
  for (std::size_t kind = 0; kind < invariants_count; ++kind) {
    fmt::print("  {:<22}{:>12} checks\n", to_string(static_cast<Invariant>(kind)),
               totals.checks[kind]);
    is_complete = is_complete && totals.checks[kind] > 0;
  }
  if (!is_complete) fmt::print("a fault or an invariant never came up\n");
  return is_complete;
}

}  // namespace
}  // namespace grove::simulation

int main(int argc, char** argv) {
  using namespace grove::simulation;
  std::uint64_t faults = 100'000, first = 1, only = 0;
  double seconds = 0;
  for (int index = 1; index + 1 < argc; index += 2) {
    std::string const option = argv[index];
    auto const value = std::strtoull(argv[index + 1], nullptr, 10);
    if (option == "--faults") faults = value;
    if (option == "--seed") first = value;
    if (option == "--only") only = value;
    if (option == "--seconds") seconds = static_cast<double>(value);
  }
  Totals totals;
  if (only > 0) return run_episode(only, totals) ? EXIT_SUCCESS : EXIT_FAILURE;
  auto const begun = std::chrono::steady_clock::now();
  auto next = first;
  for (;; ++next) {
    std::chrono::duration<double> const spent = std::chrono::steady_clock::now() - begun;
    if (seconds > 0 ? spent.count() >= seconds : totals.faults_total() >= faults) break;
    if (!run_episode(next, totals)) return EXIT_FAILURE;
  }
  return report(totals, first, next) ? EXIT_SUCCESS : EXIT_FAILURE;
}
