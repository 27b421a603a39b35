// What goes wrong, and when: a seeded schedule. Every kind is counted, so that one that never
// happens is seen.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>

#include "invariants.h"
#include "ledger.h"
#include "world.h"

namespace grove::simulation {

enum class Fault {
  worker_killed,
  worker_back,
  coordinator_killed,
  power_cut,
  disk_lost,
  chunks_rot,
  manifest_rots,
  ref_damaged,
  disk_full,
  link_cut,
  link_back,
  clock_jumps,
  worker_lies,
  config_changes,
  drain_toggled,
  second_coordinator,
};
inline constexpr std::size_t faults_count = 16;
std::string_view to_string(Fault fault);

class Faults {
 public:
  // `second` runs something of another coordinator's.
  Faults(World& world, Ledger& ledger, Checks& checks, double rate, std::function<void()> second);

  // To be called between any two steps. Throws CoordinatorKilled.
  void strike();
  // Ends all of it: everybody runs, answers and tells the truth.
  void end();

  std::array<std::uint64_t, faults_count> const& counts() const { return counts_; }
  std::uint64_t total() const;
  // The last ones, a line each.
  std::string story() const;

 private:
  void apply(Fault fault);
  void change_config();
  void note(Fault fault, std::string detail);

  World& world_;
  Ledger& ledger_;
  Checks& checks_;
  double rate_;
  std::function<void()> second_;
  bool is_second_ = false;
  std::array<std::uint64_t, faults_count> counts_{};
  std::deque<std::string> story_;
};

}  // namespace grove::simulation
