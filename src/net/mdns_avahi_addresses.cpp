#include "net/mdns_avahi_addresses.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <map>
#include <optional>
#include <system_error>
#include <utility>

#include <ifaddrs.h>
#include <net/if.h>

namespace grove {

namespace {

std::string cause() {
  return std::generic_category().message(errno);
}

bool carries_mdns(unsigned flags) {
  bool const is_local = (flags & IFF_LOOPBACK) != 0;
  return (flags & IFF_UP) != 0 && (flags & IFF_POINTOPOINT) == 0 &&
         (is_local || (flags & IFF_MULTICAST) != 0);
}

std::optional<asio::ip::address> address_of(sockaddr const* socket_address) {
  if (socket_address->sa_family == AF_INET) {
    sockaddr_in in;
    std::memcpy(&in, socket_address, sizeof in);
    return asio::ip::address_v4(ntohl(in.sin_addr.s_addr));
  }
  if (socket_address->sa_family == AF_INET6) {
    sockaddr_in6 in;
    std::memcpy(&in, socket_address, sizeof in);
    asio::ip::address_v6::bytes_type bytes;
    std::memcpy(bytes.data(), &in.sin6_addr, bytes.size());
    return asio::ip::address_v6(bytes);
  }
  return std::nullopt;
}

bool is_link_local(asio::ip::address const& address) {
  if (address.is_v6()) return address.to_v6().is_link_local();
  return address.to_v4().to_uint() >> 16 == 0xA9FE;  // 169.254.0.0/16
}

using InterfaceList = std::unique_ptr<ifaddrs, decltype(&::freeifaddrs)>;

InterfaceList interfaces() {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) list = nullptr;
  return {list, &::freeifaddrs};
}

}  // namespace

Result<std::set<OwnAddress>> own_addresses() {
  auto const list = interfaces();
  if (!list) {
    return fail(ErrorKind::unavailable,
                "mDNS: cannot list this machine's addresses: {}; check the rights of this process",
                cause());
  }
  std::set<OwnAddress> addresses;
  std::map<std::pair<int, bool>, OwnAddress> link_local;  // one of each interface and family
  for (ifaddrs const* item = list.get(); item != nullptr; item = item->ifa_next) {
    if (item->ifa_addr == nullptr || !carries_mdns(item->ifa_flags)) continue;
    auto const address = address_of(item->ifa_addr);
    int const interface = static_cast<int>(::if_nametoindex(item->ifa_name));
    if (!address || interface == 0) continue;
    OwnAddress const own{interface, *address};
    if (is_link_local(*address)) {
      link_local.try_emplace({interface, address->is_v6()}, own);
    } else {
      addresses.insert(own);
    }
  }
  for (auto const& own : addresses) link_local.erase({own.interface, own.address.is_v6()});
  for (auto const& [place, own] : link_local) addresses.insert(own);
  return addresses;
}

bool is_loopback_interface(int interface) {
  std::array<char, IF_NAMESIZE> name{};
  if (::if_indextoname(static_cast<unsigned>(interface), name.data()) == nullptr) return false;
  auto const list = interfaces();
  for (ifaddrs const* item = list.get(); item != nullptr; item = item->ifa_next) {
    if (std::string_view(item->ifa_name) == name.data()) {
      return (item->ifa_flags & IFF_LOOPBACK) != 0;
    }
  }
  return false;
}

Result<AddressChanges> AddressChanges::watch() {
  Descriptor socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
  sockaddr_nl groups{};
  groups.nl_family = AF_NETLINK;
  groups.nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR;
  sockaddr generic;
  static_assert(sizeof generic >= sizeof groups);
  std::memcpy(&generic, &groups, sizeof groups);
  if (socket.get() < 0 || ::bind(socket.get(), &generic, sizeof groups) != 0) {
    return fail(ErrorKind::unavailable,
                "mDNS: cannot watch this machine's addresses: {}; check the rights of this process",
                cause());
  }
  return AddressChanges(std::move(socket));
}

void AddressChanges::drain() {
  std::array<std::byte, 8192> message;
  while (::recv(fd(), message.data(), message.size(), MSG_DONTWAIT) > 0) {
  }
}

}  // namespace grove
