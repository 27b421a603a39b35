#include "net/mdns_dnssd_search.h"

#include <algorithm>
#include <cstring>

#include <arpa/inet.h>

#include "base/limits.h"
#include "net/mdns_rules.h"

namespace grove {

namespace {

using namespace std::chrono_literals;

// Avahi's library opens a thread and a connection to the bus for each call, a find has two calls,
// and the bus allows 256 connections to a user.
constexpr std::size_t finds_at_once_max = 32;
// A responder answers within 120 ms (RFC 6762 section 6), and is asked again after a second.
constexpr std::chrono::milliseconds find_patience = 1500ms;

constexpr std::array<std::uint16_t, 2> record_types{kDNSServiceType_A, kDNSServiceType_AAAA};

std::optional<asio::ip::address> address_from(std::string_view data, std::uint32_t interface) {
  asio::ip::address_v4::bytes_type v4;
  asio::ip::address_v6::bytes_type v6;
  if (data.size() == v4.size()) {
    std::memcpy(v4.data(), data.data(), v4.size());
    return asio::ip::address_v4(v4);
  }
  if (data.size() != v6.size()) return std::nullopt;
  std::memcpy(v6.data(), data.data(), v6.size());
  asio::ip::address_v6 address(v6);
  if (address.is_link_local()) address.scope_id(interface);
  return address;
}

// Strings with their length before them; one that would end after the record ends the reading.
std::map<std::string, std::string> text_pairs(std::string_view text) {
  std::map<std::string, std::string> pairs;
  while (!text.empty()) {
    std::size_t const size = static_cast<unsigned char>(text.front());
    text.remove_prefix(1);
    if (size > text.size()) break;
    add_text_pair(pairs, text.substr(0, size));
    text.remove_prefix(size);
  }
  return pairs;
}

std::string_view bytes(std::uint16_t size, void const* data) {
  return {static_cast<char const*>(data), size};
}

}  // namespace

DnssdSearch::DnssdSearch(asio::any_io_executor executor, std::string type, Signal& changed)
    : executor_(std::move(executor)), type_(std::move(type)), changed_(changed) {}

Result<void> DnssdSearch::start() {
  auto const on_reply = [](DNSServiceRef, DNSServiceFlags flags, std::uint32_t interface,
                           DNSServiceErrorType error, char const* instance, char const*,
                           char const*, void* self) {
    auto& search = *static_cast<DnssdSearch*>(self);
    if (error == kDNSServiceErr_NoError) {
      search.on_found(flags, interface, instance);
    } else {
      search.is_lost_ = true;
    }
    search.changed_.notify_all();
  };
  auto const open = [&](DNSServiceRef* ref) {
    return DNSServiceBrowse(ref, dnssd_flags, kDNSServiceInterfaceIndexAny, type_.c_str(), "local",
                            on_reply, this);
  };
  auto const on_lost = [this] {
    is_lost_ = true;
    changed_.notify_all();
  };
  TRY(auto browsing, DnssdCall::open(executor_, "look for " + type_, open, on_lost));
  browsing_.emplace(std::move(browsing));
  return ok();
}

Result<std::chrono::steady_clock::time_point> DnssdSearch::step() {
  if (is_lost_) {
    return fail(ErrorKind::unavailable,
                "mDNS: looking for {}: the system's responder has gone; start it again", type_);
  }
  for (Find& find : finds_) {
    if (find.resolved && find.resolving) ask_for_addresses(find);
  }
  finds_.remove_if([&](Find const& find) { return is_over(find); });
  while (!waiting_.empty() && finds_.size() < finds_at_once_max) {
    resolve(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  auto next = std::chrono::steady_clock::now() + find_patience;
  for (Find const& find : finds_) next = std::min(next, find.deadline);
  return next;
}

std::optional<MdnsSighting> DnssdSearch::take() {
  if (sightings_.empty()) return std::nullopt;
  MdnsSighting sighting = std::move(sightings_.front());
  sightings_.pop_front();
  return sighting;
}

// Avahi tells of an instance once in each family.
void DnssdSearch::on_found(DNSServiceFlags flags, std::uint32_t interface, char const* instance) {
  Place const place(interface, instance);
  if ((flags & kDNSServiceFlagsAdd) == 0) {
    known_.erase(place);
    std::erase(waiting_, place);
  } else if (known_.size() < limits::mdns_sightings_max && known_.insert(place).second) {
    waiting_.push_back(place);
  }
}

void DnssdSearch::resolve(Place place) {
  auto const deadline = std::chrono::steady_clock::now() + find_patience;
  Find& find = finds_.emplace_back(Find{this, std::move(place), deadline, {}, {}, {}, {}});
  auto const on_reply = [](DNSServiceRef, DNSServiceFlags, std::uint32_t, DNSServiceErrorType error,
                           char const*, char const* host, std::uint16_t port,
                           std::uint16_t text_bytes, unsigned char const* text, void* found) {
    auto& self = *static_cast<Find*>(found);
    if (error == kDNSServiceErr_NoError) {
      self.search->on_resolved(self, host, ntohs(port), bytes(text_bytes, text));
    } else {
      self.has_failed = true;
    }
    self.search->changed_.notify_all();
  };
  auto const open = [&](DNSServiceRef* ref) {
    return DNSServiceResolve(ref, dnssd_flags, find.place.first, find.place.second.c_str(),
                             type_.c_str(), "local", on_reply, &find);
  };
  auto call = DnssdCall::open(executor_, "resolve a service", open, [&find] {
    find.has_failed = true;
    find.search->changed_.notify_all();
  });
  if (call) {
    find.resolving.emplace(std::move(call).value());
  } else {
    finds_.pop_back();  // a name that DNS-SD does not allow
  }
}

void DnssdSearch::on_resolved(Find& find, char const* host, std::uint16_t port,
                              std::string_view text) {
  if (text.size() > limits::mdns_record_bytes_max) {
    find.has_failed = true;
    return;
  }
  std::string_view host_name = host;
  if (host_name.ends_with('.')) host_name.remove_suffix(1);
  MdnsSighting sighting;
  sighting.instance = find.place.second;
  sighting.host_name = host_name;
  sighting.port = port;
  sighting.txt = text_pairs(text);
  find.resolved = std::move(sighting);
}

void DnssdSearch::ask_for_addresses(Find& find) {
  find.resolving.reset();
  for (std::size_t family = 0; family < record_types.size(); ++family) {
    auto const on_reply = [](DNSServiceRef, DNSServiceFlags flags, std::uint32_t,
                             DNSServiceErrorType error, char const*, std::uint16_t type,
                             std::uint16_t, std::uint16_t size, void const* data, std::uint32_t,
                             void* found) {
      auto& self = *static_cast<Find*>(found);
      if (error != kDNSServiceErr_NoError || (flags & kDNSServiceFlagsAdd) == 0) return;
      self.search->on_address(self, type == kDNSServiceType_A ? 0 : 1, bytes(size, data));
      self.search->changed_.notify_all();
    };
    auto const open = [&](DNSServiceRef* ref) {
      return DNSServiceQueryRecord(ref, dnssd_flags, find.place.first,
                                   find.resolved->host_name.c_str(), record_types[family],
                                   kDNSServiceClass_IN, on_reply, &find);
    };
    auto call = DnssdCall::open(executor_, "ask for an address", open, [&find] {
      find.has_failed = true;
      find.search->changed_.notify_all();
    });
    if (call) {
      find.asking[family].emplace(std::move(call).value());
    } else {
      find.has_failed = true;
    }
  }
}

void DnssdSearch::on_address(Find& find, std::size_t family, std::string_view data) {
  auto const address = address_from(data, find.place.first);
  if (!address || sightings_.size() == limits::mdns_sightings_max) return;
  MdnsSighting sighting = *find.resolved;
  sighting.address = *address;
  bool const on_loopback = false;  // a responder tells of this machine on its real interfaces
  if (!is_usable(sighting, on_loopback)) return;
  find.has_address[family] = true;
  sightings_.push_back(std::move(sighting));
}

// One address will do while others wait: most hosts have no second family, and nobody says so.
bool DnssdSearch::is_over(Find const& find) const {
  bool const has_any = find.has_address[0] || find.has_address[1];
  bool const has_both = find.has_address[0] && find.has_address[1];
  return find.has_failed || has_both || (has_any && !waiting_.empty()) ||
         std::chrono::steady_clock::now() >= find.deadline;
}

}  // namespace grove
