#include "faults.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "protocol.h"

namespace grove::simulation {
namespace {

constexpr std::size_t story_max = 40;
constexpr std::int64_t year_ms = 365ll * 86'400'000;

template <typename Map>
auto pick(Map& map, World& world) {
  return std::next(map.begin(), static_cast<std::ptrdiff_t>(world.below(map.size())));
}

}  // namespace

std::string_view to_string(Fault fault) {
  constexpr std::array<std::string_view, faults_count> names{
      "worker_killed", "worker_back",    "coordinator_killed", "power_cut",
      "disk_lost",     "chunks_rot",     "manifest_rots",      "ref_damaged",
      "disk_full",     "link_cut",       "link_back",          "clock_jumps",
      "worker_lies",   "config_changes", "drain_toggled",      "second_coordinator"};
  return names[static_cast<std::size_t>(fault)];
}

Faults::Faults(World& world, Ledger& ledger, Checks& checks, double rate,
               std::function<void()> second)
    : world_(world), ledger_(ledger), checks_(checks), rate_(rate), second_(std::move(second)) {}

std::uint64_t Faults::total() const {
  return std::accumulate(counts_.begin(), counts_.end(), std::uint64_t{0});
}

std::string Faults::story() const {
  std::string text;
  for (auto const& line : story_) text += "  " + line + "\n";
  return text;
}

void Faults::note(Fault fault, std::string detail) {
  ++counts_[static_cast<std::size_t>(fault)];
  story_.push_back(fmt::format("{} {}", to_string(fault), detail));
  if (story_.size() > story_max) story_.pop_front();
}

void Faults::strike() {
  world_.true_ms += static_cast<std::int64_t>(world_.below(60'000));
  world_.clock_ms += static_cast<std::int64_t>(world_.below(60'000));
  while (!is_second_ && world_.chance(rate_)) {
    // What comes back comes back more often than any other thing happens: else soon nobody is
    // there.
    auto const dice = world_.below(faults_count + 6);
    apply(dice < faults_count ? static_cast<Fault>(dice)
          : dice % 2 == 0     ? Fault::worker_back
                              : Fault::link_back);
  }
}

// One that does not fit now does not count.
void Faults::apply(Fault fault) {
  auto const index = world_.any_worker();
  auto& worker = world_.workers[index];
  auto& disk = worker.disk;
  auto const name = fmt::format("worker {}", index);
  switch (fault) {
    case Fault::worker_killed:
    case Fault::power_cut:
      if (!worker.is_running) return;
      if (worker.is_reachable) worker.away_since_ms = world_.true_ms;
      if (fault == Fault::power_cut) worker.lose_power();
      worker.is_running = false;
      return note(fault, name);
    case Fault::worker_back:
      if (worker.is_running) return;
      worker.restart();
      return note(fault, name);
    case Fault::coordinator_killed:
      note(fault, "");
      throw CoordinatorKilled();
    case Fault::disk_lost:
      disk = world_.fresh_disk();
      worker.is_lying = false;
      checks_.explain_losses();
      return note(fault, name);
    case Fault::chunks_rot:
      if (disk.chunks.empty()) return;
      pick(disk.chunks, world_)->second.is_rotten = true;
      checks_.explain_losses();
      return note(fault, name);
    case Fault::manifest_rots:
      if (disk.manifests.empty()) return;
      disk.rotten_manifests.insert(pick(disk.manifests, world_)->first);
      checks_.explain_losses();
      return note(fault, name);
    case Fault::ref_damaged:
      if (disk.refs.empty()) return;
      disk.refs.erase(pick(disk.refs, world_));
      checks_.explain_losses();
      return note(fault, name);
    case Fault::disk_full:
      disk.capacity_bytes = disk.used_bytes() + world_.below(30);
      return note(fault, name);
    case Fault::link_cut:
      if (!worker.is_reachable) return;
      if (worker.is_running) worker.away_since_ms = world_.true_ms;
      worker.is_reachable = false;
      return note(fault, name);
    case Fault::link_back:
      if (worker.is_reachable) return;
      worker.is_reachable = true;
      return note(fault, name);
    case Fault::clock_jumps:
      world_.clock_ms =
          std::max<std::int64_t>(1, world_.clock_ms + (world_.chance(0.5) ? 1 : -1) * year_ms);
      return note(fault, fmt::format("to {}", world_.clock_ms));
    case Fault::worker_lies: {
      bool const is_one_lying =
          std::ranges::any_of(world_.workers, [](Worker const& other) { return other.is_lying; });
      if (is_one_lying && !worker.is_lying) return;
      worker.is_lying = !worker.is_lying;
      checks_.explain_losses();
      return note(fault, name);
    }
    case Fault::config_changes:
      change_config();
      return;
    case Fault::drain_toggled: {
      bool const is_one_draining = std::ranges::any_of(
          world_.workers, [](Worker const& other) { return other.disk.is_draining; });
      if (is_one_draining && !disk.is_draining) return;
      disk.is_draining = !disk.is_draining;
      return note(fault, name);
    }
    case Fault::second_coordinator:
      note(fault, "");
      is_second_ = true;
      second_();
      is_second_ = false;
      return;
  }
}

void Faults::change_config() {
  if (world_.chance(0.5) && world_.config.size() > world_.redundancy + 1) {
    auto const gone = world_.below(world_.config.size());
    note(Fault::config_changes, fmt::format("worker {} leaves", world_.config[gone]));
    world_.config.erase(world_.config.begin() + static_cast<std::ptrdiff_t>(gone));
    checks_.explain_losses();
  } else if (world_.config.size() < 8) {
    world_.workers.emplace_back();
    world_.workers.back().disk = world_.fresh_disk();
    auto const place = world_.below(world_.config.size() + 1);
    world_.config.insert(world_.config.begin() + static_cast<std::ptrdiff_t>(place),
                         world_.workers.size() - 1);
    note(Fault::config_changes, fmt::format("worker {} comes", world_.workers.size() - 1));
  }
}

void Faults::end() {
  for (auto& worker : world_.workers) {
    if (!worker.is_running) worker.restart();
    worker.is_reachable = true;
    worker.is_lying = false;
    worker.disk.is_draining = false;
    worker.disk.capacity_bytes = std::max<std::uint64_t>(worker.disk.capacity_bytes, 1'000'000);
    // A scrub has read everything.
    for (auto const& [place, target] : std::map(worker.disk.refs)) {
      worker.reread(std::get<0>(place));
    }
  }
}

}  // namespace grove::simulation
