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

// May lie above port_max.
std::uint64_t port_of_rank(std::span<DeviceConfig const> existing, Rank rank) {
  if (auto const* device = find_rank(existing, rank)) return device->port;
  return std::uint64_t{first_worker_port} - 1 + rank.value;
}

// One port for each joiner; `ranks` are theirs.
Result<std::vector<std::uint16_t>> plan_ports(std::span<DeviceConfig const> existing,
                                              std::span<Joiner const> joiners,
                                              std::span<std::optional<Rank> const> ranks,
                                              std::span<TakenAddress const> taken) {
  std::set<std::pair<std::string, std::uint64_t>> addresses;
  for (auto const& address : taken) addresses.insert({address.ip, address.port});
  for (auto const& joiner : joiners) {
    if (!joiner.port || !addresses.contains({joiner.ip, *joiner.port})) continue;
    return fail(ErrorKind::conflict, "port {} of {} ({}) is taken; give another with --port",
                *joiner.port, joiner.host, joiner.ip);
  }
  std::vector<std::uint16_t> ports;
  for (std::size_t i = 0; i < joiners.size(); ++i) {
    std::uint64_t port = joiners[i].port.value_or(0);
    if (port == 0) port = port_of_rank(existing, *ranks[i]);
    while (!addresses.insert({joiners[i].ip, port}).second) ++port;
    if (port > port_max) {
      return fail(ErrorKind::exhausted, "no port is left for rank {} on {}; give one with --port",
                  ranks[i]->value, joiners[i].host);
    }
    ports.push_back(static_cast<std::uint16_t>(port));
  }
  return ports;
}

}  // namespace

Result<std::vector<DeviceConfig>> plan_join(std::span<DeviceConfig const> existing,
                                            std::span<Joiner const> joiners,
                                            std::span<TakenAddress const> taken) {
  std::vector<std::optional<Rank>> ranks(joiners.size());
  std::set<Rank> held;
  for (std::size_t i = 0; i < joiners.size(); ++i) {
    ranks[i] = joiners[i].remembered;
    if (!ranks[i] || held.insert(*ranks[i]).second) continue;
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
          return device.host == joiners[i].host && !held.contains(device.rank);
        });
    if (mine == existing.end()) continue;
    ranks[i] = mine->rank;
    held.insert(mine->rank);
  }
  Rank next{1};
  for (auto& rank : ranks) {
    if (rank) continue;
    while (held.contains(next)) ++next.value;
    rank = next;
    held.insert(next);
  }
  TRY(auto const ports, plan_ports(existing, joiners, ranks, taken));
  std::vector<DeviceConfig> devices;
  for (std::size_t i = 0; i < joiners.size(); ++i) {
    devices.push_back(
        {.host = joiners[i].host, .ip = joiners[i].ip, .rank = *ranks[i], .port = ports[i]});
  }
  return devices;
}

}  // namespace grove
