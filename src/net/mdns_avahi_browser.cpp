#include "net/mdns_avahi_browser.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include <avahi-common/error.h>
#include <avahi-common/strlst.h>

#include "base/limits.h"
#include "net/mdns_avahi_addresses.h"
#include "net/mdns_rules.h"

namespace grove {

namespace {

asio::ip::address from_avahi(AvahiAddress const& address, AvahiIfIndex interface) {
  if (address.proto == AVAHI_PROTO_INET) {
    return asio::ip::address_v4(ntohl(address.data.ipv4.address));
  }
  asio::ip::address_v6::bytes_type bytes;
  std::memcpy(bytes.data(), address.data.ipv6.address, bytes.size());
  asio::ip::address_v6 result(bytes);
  if (result.is_link_local()) result.scope_id(static_cast<unsigned>(interface));
  return result;
}

}  // namespace

Result<std::unique_ptr<AvahiBrowser>> AvahiBrowser::start(AvahiServer* server,
                                                          std::string const& type,
                                                          OnSighting on_sighting) {
  std::unique_ptr<AvahiBrowser> self(new AvahiBrowser(server, type, std::move(on_sighting)));
  auto const callback = [](AvahiSServiceBrowser*, AvahiIfIndex interface, AvahiProtocol protocol,
                           AvahiBrowserEvent event, char const* instance, char const*, char const*,
                           AvahiLookupResultFlags, void* browser) {
    auto* const browsing = static_cast<AvahiBrowser*>(browser);
    if (event == AVAHI_BROWSER_NEW) browsing->on_new(interface, protocol, instance);
    if (event == AVAHI_BROWSER_REMOVE) browsing->on_removed(interface, protocol, instance);
  };
  // In two steps: avahi_s_service_browser_new() asserts that the first has gone well.
  self->browser_ = avahi_s_service_browser_prepare(server, AVAHI_IF_UNSPEC, AVAHI_PROTO_UNSPEC,
                                                   type.c_str(), "local", {}, callback, self.get());
  if (self->browser_ == nullptr) {
    return fail(ErrorKind::internal, "mDNS: cannot look for {}: {}", type,
                avahi_strerror(avahi_server_errno(server)));
  }
  avahi_s_service_browser_start(self->browser_);
  return self;
}

AvahiBrowser::AvahiBrowser(AvahiServer* server, std::string type, OnSighting on_sighting)
    : server_(server), type_(std::move(type)), on_sighting_(std::move(on_sighting)) {}

AvahiBrowser::~AvahiBrowser() {
  while (!finds_.empty()) forget(finds_.begin());
  if (browser_ != nullptr) avahi_s_service_browser_free(browser_);
}

void AvahiBrowser::on_new(AvahiIfIndex interface, AvahiProtocol protocol, char const* instance) {
  if (sightings_count_ == limits::mdns_sightings_max) return;
  if (finds_.size() == limits::mdns_sightings_max) forget(finds_.begin());
  Find& find = finds_.emplace_back(Find{this, interface, protocol, instance, nullptr});
  auto const callback = [](AvahiSServiceResolver*, AvahiIfIndex, AvahiProtocol,
                           AvahiResolverEvent event, char const*, char const*, char const*,
                           char const* host_name, AvahiAddress const* address, std::uint16_t port,
                           AvahiStringList* text, AvahiLookupResultFlags, void* found) {
    auto* const self = static_cast<Find*>(found);
    AvahiBrowser* const browser = self->browser;
    if (event == AVAHI_RESOLVER_FOUND) {
      browser->on_resolved(*self, host_name, address, port, text);
    }
    auto const is_it = [&](Find const& other) { return &other == self; };
    browser->forget(std::ranges::find_if(browser->finds_, is_it));
  };
  find.resolver =
      avahi_s_service_resolver_prepare(server_, interface, protocol, instance, type_.c_str(),
                                       "local", protocol, {}, callback, &find);
  if (find.resolver == nullptr) {  // a name that DNS-SD does not allow
    finds_.pop_back();
  } else {
    avahi_s_service_resolver_start(find.resolver);
  }
}

void AvahiBrowser::on_removed(AvahiIfIndex interface, AvahiProtocol protocol,
                              char const* instance) {
  auto const is_it = [&](Find const& find) {
    return find.interface == interface && find.protocol == protocol && find.instance == instance;
  };
  auto const find = std::ranges::find_if(finds_, is_it);
  if (find != finds_.end()) forget(find);
}

void AvahiBrowser::on_resolved(Find const& find, char const* host_name, AvahiAddress const* address,
                               std::uint16_t port, AvahiStringList* text) {
  if (address == nullptr || sightings_count_ == limits::mdns_sightings_max) return;
  MdnsSighting sighting;
  sighting.instance = find.instance;
  sighting.host_name = host_name;
  sighting.address = from_avahi(*address, find.interface);
  sighting.port = port;
  // Avahi keeps the strings in the opposite order.
  AvahiStringList* const strings = avahi_string_list_reverse(avahi_string_list_copy(text));
  for (AvahiStringList* item = strings; item != nullptr; item = avahi_string_list_get_next(item)) {
    add_text_pair(sighting.txt, {reinterpret_cast<char const*>(avahi_string_list_get_text(item)),
                                 avahi_string_list_get_size(item)});
  }
  avahi_string_list_free(strings);
  if (!is_usable(sighting, is_loopback_interface(find.interface))) return;
  ++sightings_count_;
  on_sighting_(std::move(sighting));
}

void AvahiBrowser::forget(std::list<Find>::iterator find) {
  avahi_s_service_resolver_free(find->resolver);
  finds_.erase(find);
}

}  // namespace grove
