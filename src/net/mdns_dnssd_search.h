// One search for services through dns_sd: every find on each interface is resolved, and each of its
// addresses handed over. Bounded whatever is said on the network: mdns_sightings_max finds are
// known, few of them are resolved at once, and each for a short time.
// Threads: all on the executor.
#pragma once

#include <array>
#include <chrono>
#include <deque>
#include <list>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "net/mdns.h"
#include "net/mdns_dnssd_call.h"
#include "net/signal.h"

namespace grove {

class DnssdSearch {
 public:
  // `changed` is notified whenever step() has something to do; both outlive the search.
  DnssdSearch(asio::any_io_executor executor, std::string type, Signal& changed);
  DnssdSearch(DnssdSearch const&) = delete;
  DnssdSearch& operator=(DnssdSearch const&) = delete;

  // Fails: unavailable.
  Result<void> start();
  // Goes on with what has come. Returns when to call it again if nothing comes.
  // Fails: unavailable (the responder has gone away).
  Result<std::chrono::steady_clock::time_point> step();
  // The next usable sighting, if there is one.
  std::optional<MdnsSighting> take();

 private:
  using Place = std::pair<std::uint32_t, std::string>;  // interface, instance

  // A service being resolved: first its host, port and text, then the host's addresses.
  struct Find {
    DnssdSearch* search;
    Place place;
    std::chrono::steady_clock::time_point deadline;
    std::optional<DnssdCall> resolving;
    std::array<std::optional<DnssdCall>, 2> asking;  // IPv4, IPv6
    std::array<bool, 2> has_address{};
    std::optional<MdnsSighting> resolved;  // without an address
    bool has_failed = false;
  };

  void on_found(DNSServiceFlags flags, std::uint32_t interface, char const* instance);
  void on_resolved(Find& find, char const* host, std::uint16_t port, std::string_view text);
  void on_address(Find& find, std::size_t family, std::string_view data);
  void resolve(Place place);
  void ask_for_addresses(Find& find);
  bool is_over(Find const& find) const;

  asio::any_io_executor executor_;
  std::string type_;
  Signal& changed_;
  bool is_lost_ = false;
  std::set<Place> known_;
  std::deque<Place> waiting_;
  std::list<Find> finds_;
  std::deque<MdnsSighting> sightings_;
  std::optional<DnssdCall> browsing_;
};

}  // namespace grove
