// What workers say of themselves in multicast DNS, both directions: the worker writes what the
// coordinator reads, so the two cannot drift apart. Format: docs/worker-interface.md#announcement.
// An announcement is a hint and proves nothing: whoever is found is asked for its /health.
// Threads: pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/config.h"
#include "net/mdns.h"

namespace grove {

inline constexpr char const* worker_service_type = "_smoltorrent._tcp";

struct WorkerAnnouncement {
  Rank rank;
  std::string host;  // the name shown to people, as in config.yaml
  std::string id;    // of its data folder
};

MdnsService announce_worker(WorkerAnnouncement const& worker, std::uint16_t port);

// None where the texts are not a worker's: no rank, rank 0, a name that is empty or too long.
// The id may be missing (another implementation, a hand-made announcement): it is empty then.
std::optional<WorkerAnnouncement> read_announcement(MdnsSighting const& sighting);

}  // namespace grove
