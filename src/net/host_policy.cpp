#include "net/host_policy.h"

#include <boost/asio/ip/host_name.hpp>

#include "net/url.h"

namespace grove {
namespace {

// A listener on "::" sees IPv4 clients as "::ffff:192.168.1.7".
asio::ip::address unmapped(asio::ip::address const& address) {
  if (!address.is_v6() || !address.to_v6().is_v4_mapped()) return address;
  return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
}

}  // namespace

HostPolicy::HostPolicy(std::vector<std::string> const& hosts)
    : names_{"localhost", "127.0.0.1", "::1"} {
  error_code error;
  auto const machine = asio::ip::host_name(error);
  auto const own = parse_host(machine);
  if (!error && own) {
    names_.insert(own.value());
    names_.insert(own.value() + ".local");  // the same machine's name in mDNS
  }
  for (auto const& host : hosts) {
    auto const name = parse_host(host);
    // An IPv6 address may stand in a config without its brackets.
    names_.insert(name ? name.value() : host);
  }
}

bool HostPolicy::allows_host(std::string_view host_header, asio::ip::address const& local) const {
  auto const host = parse_host(host_header);
  if (!host) return false;
  if (names_.contains(host.value())) return true;
  error_code error;
  auto const address = asio::ip::make_address(host.value(), error);
  return !error && address == unmapped(local);
}

bool HostPolicy::allows_origin(std::string_view origin, asio::ip::address const& local) const {
  auto const scheme_end = origin.find("://");
  if (scheme_end == origin.npos) return false;  // "null" too: a sandboxed page
  return allows_host(origin.substr(scheme_end + 3), local);
}

}  // namespace grove
