// What `grove join` and a waiting `grove start -n` say to each other, both directions (format:
// docs/worker-interface.md#joining). POST /join on the master's port, answered line by line as
// JSON; an empty line every heartbeat_period says that the other side is still there. Threads:
// pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/config.h"
#include "base/error.h"
#include "net/mdns.h"

namespace grove {

inline constexpr char const* master_service_type = "_smolt-master._tcp";
inline constexpr std::uint16_t master_port_default = 5000;

struct JoinRequest {
  std::string host;  // the machine's name, as the config will have it
  std::string id;    // of its data folder, else random: the same joiner has the same
  std::optional<Rank> remembered;
  std::optional<std::uint16_t> port;
};
std::string serialize_join(JoinRequest const& request);
// Fails: invalid, naming the field.
Result<JoinRequest> parse_join(std::string_view json);

struct JoinProgress {
  std::size_t joined = 0;
  std::size_t wanted = 0;
};
struct JoinGrant {
  Rank rank;
  std::string config;  // the whole config.yaml
};
// One line of the answer, without its newline: progress, and as the last one a grant or an error.
struct JoinLine {
  std::optional<JoinProgress> progress;
  std::optional<JoinGrant> grant;
};
std::string serialize_progress(JoinProgress const& progress);
std::string serialize_grant(JoinGrant const& grant);
// Fails: invalid; passes on the error of a line that is one.
Result<JoinLine> parse_join_line(std::string_view json);

MdnsService announce_master(std::string const& host, std::uint16_t port, std::size_t wanted);

}  // namespace grove
