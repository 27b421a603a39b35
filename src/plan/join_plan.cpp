#include "plan/join_plan.h"

#include <algorithm>
#include <set>
#include <utility>

namespace grove {
namespace {

constexpr std::uint16_t port_max = 65535;

DeviceConfig const* find_rank(std::span<DeviceConfig const> existing, Rank rank) {
  auto const found = std::find_if(existing.begin(), existing.end(),
                                  [&](DeviceConfig const& device) { return device.rank == rank; });
  return found == existing.end() ? nullptr : &*found;
}

std::uint32_t port_of_rank(std::span<DeviceConfig const> existing, Rank rank) {
  if (auto const* device = find_rank(existing, rank)) return device->port;
  return std::min<std::uint32_t>(first_worker_port - 1 + rank.value, port_max);
}

}  // namespace

Result<std::vector<DeviceConfig>> plan_join(std::span<DeviceConfig const> existing,
                                            std::span<Joiner const> joiners) {
  std::vector<std::optional<Rank>> ranks(joiners.size());
  std::set<Rank> taken;
  for (std::size_t i = 0; i < joiners.size(); ++i) {
    ranks[i] = joiners[i].remembered;
    if (!ranks[i] || taken.insert(*ranks[i]).second) continue;
    auto const first = std::find(ranks.begin(), ranks.end(), ranks[i]) - ranks.begin();
    return fail(ErrorKind::conflict,
                "{} and {} both have the data of rank {}; one of them is a copy: give it an empty "
                "--data folder",
                joiners[static_cast<std::size_t>(first)].host, joiners[i].host, ranks[i]->value);
  }
  for (std::size_t i = 0; i < joiners.size(); ++i) {
    if (ranks[i]) continue;
    auto const mine =
        std::find_if(existing.begin(), existing.end(), [&](DeviceConfig const& device) {
          return device.host == joiners[i].host && !taken.contains(device.rank);
        });
    if (mine == existing.end()) continue;
    ranks[i] = mine->rank;
    taken.insert(mine->rank);
  }
  Rank next{1};
  for (auto& rank : ranks) {
    if (rank) continue;
    while (taken.contains(next)) ++next.value;
    rank = next;
    taken.insert(next);
  }
  std::vector<DeviceConfig> devices;
  std::set<std::pair<std::string, std::uint32_t>> addresses;
  for (std::size_t i = 0; i < joiners.size(); ++i) {
    std::uint32_t port = joiners[i].port.value_or(0);
    if (port == 0) port = port_of_rank(existing, *ranks[i]);
    while (!addresses.insert({joiners[i].ip, port}).second) ++port;
    if (port > port_max) {
      return fail(ErrorKind::exhausted, "no port is left for rank {} on {}; give one with --port",
                  ranks[i]->value, joiners[i].host);
    }
    devices.push_back({.host = joiners[i].host,
                       .ip = joiners[i].ip,
                       .rank = *ranks[i],
                       .port = static_cast<std::uint16_t>(port)});
  }
  return devices;
}

}  // namespace grove
