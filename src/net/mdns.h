// Announces services on the local network and looks for others: multicast DNS (RFC 6762) with
// DNS-SD (RFC 6763). Two implementations, of which a program has one (GROVE_MDNS in CMake):
// - avahi (mdns_avahi.cpp): a responder of our own. No daemon is needed, and one that runs is no
//   obstacle.
// - dnssd (mdns_dnssd.cpp): the system's responder, which macOS has and does not share its port.
// Knows nothing of workers and coordinators.
//
// All that arrives is foreign: names, texts and addresses are what somebody on the network says,
// and nothing is true until it has been asked directly. Threads: everything on the executor it is
// given.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/error.h"
#include "net/asio.h"

namespace grove {

struct MdnsService {
  std::string type;      // "_smoltorrent._tcp"
  std::string instance;  // shown to people; another number is appended where it is taken
  std::uint16_t port = 0;
  std::map<std::string, std::string> txt;  // a pair is at most 255 bytes as "key=value"
};

// One instance as seen on one interface in one address family: the same instance is sighted several
// times on a machine with several of them.
struct MdnsSighting {
  std::string instance;
  std::string host_name;      // "grove-pi4-1-5001.local"
  asio::ip::address address;  // IPv6 link-local ones carry their scope
  std::uint16_t port = 0;
  std::map<std::string, std::string> txt;  // the first value of each key; invalid UTF-8 is left out
};

class Mdns {
 public:
  // `host_label` is the name whose addresses are announced ("grove-pi4-1-5001"): of its own for
  // every process, so that neither this machine's avahi-daemon nor a second process is in conflict
  // with it. (The system's responder announces the machine's own name instead.)
  // Fails: unavailable (no responder, no interface that carries multicast, no socket), invalid (not
  // a DNS label).
  static Result<std::unique_ptr<Mdns>> start(asio::any_io_executor executor,
                                             std::string host_label);
  virtual ~Mdns() = default;

  // Announces the service on every interface, also on those that come later and after addresses
  // have changed, until stop(). Returns before the network knows (about a second). Fails: invalid
  // (type, instance or a text that DNS-SD does not allow), internal.
  virtual Result<void> announce(MdnsService service) = 0;

  // Looks for services of `type` and calls `on_sighting` for each sighting, at first for those
  // already heard of, until it returns false or `duration` is over (both are ok()). At most
  // limits::mdns_sightings_max of them in one call: a flood of fakes ends the call early.
  // Fails: invalid (type), unavailable (the system's responder has gone), internal, cancelled.
  virtual Awaitable<Result<void>> browse(std::string type, std::chrono::milliseconds duration,
                                         std::function<bool(MdnsSighting const&)> on_sighting) = 0;

  // Says goodbye for what was announced, so that others forget it at once, and closes the sockets.
  // Must have been awaited, and all browse() calls have ended, before the object goes.
  virtual Awaitable<void> stop() = 0;
};

}  // namespace grove
