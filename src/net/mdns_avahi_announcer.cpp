#include "net/mdns_avahi_announcer.h"

#include <cstring>
#include <utility>

#include <avahi-common/alternative.h>
#include <avahi-common/error.h>
#include <avahi-common/malloc.h>
#include <avahi-common/strlst.h>
#include <spdlog/spdlog.h>

namespace grove {

namespace {

using namespace std::chrono_literals;

// A cable that is plugged in makes several changes.
constexpr std::chrono::milliseconds settle_time = 200ms;
// Probing and the first announcement take about a second. Avahi 0.8 forgets a group whose interface
// goes meanwhile: it would never be announced.
constexpr std::chrono::milliseconds registration_timeout = 5s;

AvahiAddress to_avahi(asio::ip::address const& address) {
  AvahiAddress result{};
  if (address.is_v4()) {
    result.proto = AVAHI_PROTO_INET;
    result.data.ipv4.address = htonl(address.to_v4().to_uint());
  } else {
    result.proto = AVAHI_PROTO_INET6;
    auto const bytes = address.to_v6().to_bytes();
    std::memcpy(result.data.ipv6.address, bytes.data(), bytes.size());
  }
  return result;
}

// "name" → "name #2" for a service, "name-2" for a host.
std::string another(std::string const& name, char* (*alternative)(char const*)) {
  char* const next = alternative(name.c_str());
  std::string result = next != nullptr ? next : name;
  avahi_free(next);
  return result;
}

}  // namespace

AvahiAnnouncer::AvahiAnnouncer(AvahiServer* server, AvahiPoll const* api, AddressChanges changes,
                               std::string host_label)
    : server_(server),
      host_label_(std::move(host_label)),
      look_again_(api, [this] { look_after(); }),
      changes_(std::move(changes)),
      changed_(api, changes_.fd(), [this] {
        changes_.drain();
        look_again_.expire_within(settle_time);
      }) {
  look_after_addresses();
}

void AvahiAnnouncer::add(MdnsService service) {
  ServiceEntry& entry = services_.emplace_back();
  entry.service = std::move(service);
  announce_service(entry);
}

void AvahiAnnouncer::look_after() {
  if (is_host_renamed_) rename_host();
  look_after_addresses();
  look_after_services();
}

void AvahiAnnouncer::look_after_addresses() {
  auto const now = own_addresses();
  if (!now) {
    spdlog::warn("{}", now.error().message);
    look_again_.expire_within(registration_timeout);
    return;
  }
  std::erase_if(addresses_, [&](auto const& item) {
    bool const is_gone = !now.value().contains(item.first);
    if (is_gone && item.second.group != nullptr) avahi_s_entry_group_free(item.second.group);
    return is_gone;
  });
  for (auto const& own : now.value()) {
    auto const [place, is_new] = addresses_.try_emplace(own);
    if (is_new || is_stuck(place->second)) announce_address(own, place->second);
  }
}

void AvahiAnnouncer::look_after_services() {
  for (auto& entry : services_) {
    if (entry.is_renamed) {
      entry.service.instance = another(entry.service.instance, &avahi_alternative_service_name);
      entry.is_renamed = false;
      spdlog::info("mDNS: the service name is taken; using \"{}\"", entry.service.instance);
      announce_service(entry);
    } else if (is_stuck(entry)) {
      announce_service(entry);
    }
  }
}

void AvahiAnnouncer::rename_host() {
  is_host_renamed_ = false;
  host_label_ = another(host_label_, &avahi_alternative_host_name);
  spdlog::info("mDNS: the host name is taken; using {}", host_name());
  for (auto& [own, entry] : addresses_) announce_address(own, entry);
  for (auto& entry : services_) announce_service(entry);  // it names the host
}

void AvahiAnnouncer::announce_address(OwnAddress const& own, Entry& entry) {
  if (!empty(entry)) return;
  AvahiAddress address = to_avahi(own.address);
  // In both families, so that whoever hears the service in one can reach it by either.
  int const error =
      avahi_server_add_address(server_, entry.group, own.interface, AVAHI_PROTO_UNSPEC,
                               AVAHI_PUBLISH_NO_REVERSE, host_name().c_str(), &address);
  if (error < 0) {
    spdlog::warn("mDNS: cannot announce {}: {}", own.address.to_string(), avahi_strerror(error));
    return;
  }
  commit(entry, host_name());
}

void AvahiAnnouncer::announce_service(ServiceEntry& entry) {
  if (!empty(entry)) return;
  AvahiStringList* text = nullptr;
  for (auto const& [key, value] : entry.service.txt) {
    auto const pair = key + "=" + value;
    auto const* const bytes = reinterpret_cast<std::uint8_t const*>(pair.data());
    text = avahi_string_list_add_arbitrary(text, bytes, pair.size());
  }
  int const error = avahi_server_add_service_strlst(
      server_, entry.group, AVAHI_IF_UNSPEC, AVAHI_PROTO_UNSPEC, {}, entry.service.instance.c_str(),
      entry.service.type.c_str(), "local", host_name().c_str(), entry.service.port, text);
  avahi_string_list_free(text);
  if (error == AVAHI_ERR_COLLISION) {  // with another service of this process
    entry.is_renamed = true;
    look_again_.expire_within(0ms);
  } else if (error < 0) {
    spdlog::warn("mDNS: cannot announce \"{}\": {}", entry.service.instance, avahi_strerror(error));
  } else {
    commit(entry, entry.service.instance);
  }
}

bool AvahiAnnouncer::empty(Entry& entry) {
  if (entry.group != nullptr) {
    avahi_s_entry_group_reset(entry.group);
    return true;
  }
  auto const callback = [](AvahiServer*, AvahiSEntryGroup* group, AvahiEntryGroupState state,
                           void* self) {
    static_cast<AvahiAnnouncer*>(self)->on_group(group, state);
  };
  entry.group = avahi_s_entry_group_new(server_, callback, this);
  return entry.group != nullptr;
}

void AvahiAnnouncer::commit(Entry& entry, std::string_view what) {
  int const error = avahi_s_entry_group_commit(entry.group);
  if (error < 0) spdlog::warn("mDNS: cannot announce \"{}\": {}", what, avahi_strerror(error));
  entry.began = std::chrono::steady_clock::now();
  look_again_.expire_within(registration_timeout);
}

bool AvahiAnnouncer::is_stuck(Entry const& entry) const {
  return entry.group != nullptr &&
         avahi_s_entry_group_get_state(entry.group) == AVAHI_ENTRY_GROUP_REGISTERING &&
         std::chrono::steady_clock::now() - entry.began >= registration_timeout;
}

void AvahiAnnouncer::on_group(AvahiSEntryGroup* group, AvahiEntryGroupState state) {
  if (state != AVAHI_ENTRY_GROUP_COLLISION) return;
  auto const is_its = [&](ServiceEntry const& entry) { return entry.group == group; };
  auto const service = std::ranges::find_if(services_, is_its);
  if (service != services_.end()) {
    service->is_renamed = true;
  } else {
    is_host_renamed_ = true;
  }
  look_again_.expire_within(0ms);
}

}  // namespace grove
