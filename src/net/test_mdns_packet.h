// Writes DNS messages as hostile or broken senders would, and sends them; for tests.
// Threads: values.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include "net/asio.h"

namespace grove {

using Bytes = std::vector<std::byte>;

inline void append(Bytes& bytes, unsigned value, int size) {
  while (size-- > 0) bytes.push_back(static_cast<std::byte>(value >> (8 * size)));
}

// "a.b" as labels; none of them may hold a dot.
inline Bytes dns_name(std::string_view dotted) {
  Bytes bytes;
  while (!dotted.empty()) {
    auto const label = dotted.substr(0, dotted.find('.'));
    append(bytes, static_cast<unsigned>(label.size()), 1);
    for (char const c : label) bytes.push_back(static_cast<std::byte>(c));
    dotted.remove_prefix(std::min(label.size() + 1, dotted.size()));
  }
  append(bytes, 0, 1);
  return bytes;
}

inline constexpr unsigned dns_a = 1;
inline constexpr unsigned dns_cname = 5;
inline constexpr unsigned dns_ptr = 12;
inline constexpr unsigned dns_txt = 16;
inline constexpr unsigned dns_srv = 33;
inline constexpr unsigned dns_dname = 39;

// A response; each record takes a name as it stands on the wire.
struct DnsPacket {
  DnsPacket() { append(bytes, 0x8400, 4), bytes.resize(12); }

  DnsPacket& answer(Bytes const& name, unsigned type, Bytes const& data, unsigned ttl = 120) {
    bytes.insert(bytes.end(), name.begin(), name.end());
    append(bytes, type, 2);
    append(bytes, 1, 2);  // IN
    append(bytes, ttl, 4);
    append(bytes, static_cast<unsigned>(data.size()), 2);
    bytes.insert(bytes.end(), data.begin(), data.end());
    count(6, ++answers);
    return *this;
  }
  DnsPacket& question(Bytes const& name, unsigned type) {
    bytes.insert(bytes.end(), name.begin(), name.end());
    append(bytes, type, 2);
    append(bytes, 1, 2);
    count(4, ++questions);
    return *this;
  }
  // Claims `value` of what the header counts at `offset`.
  DnsPacket& count(std::size_t offset, unsigned value) {
    bytes[offset] = static_cast<std::byte>(value >> 8);
    bytes[offset + 1] = static_cast<std::byte>(value);
    return *this;
  }

  Bytes bytes;
  unsigned questions = 0;
  unsigned answers = 0;
};

inline Bytes srv_data(std::string_view host, unsigned port) {
  Bytes bytes(4);
  append(bytes, port, 2);
  Bytes const name = dns_name(host);
  bytes.insert(bytes.end(), name.begin(), name.end());
  return bytes;
}

inline Bytes txt_data(std::vector<std::string> const& strings) {
  Bytes bytes;
  for (auto const& text : strings) {
    append(bytes, static_cast<unsigned>(text.size()), 1);
    for (char const c : text) bytes.push_back(static_cast<std::byte>(c));
  }
  return bytes;
}

inline Bytes a_data(std::string const& address) {
  Bytes bytes;
  append(bytes, asio::ip::make_address_v4(address).to_uint(), 4);
  return bytes;
}

// An mDNS responder's port on this machine's loopback, in both families.
class MdnsSender {
 public:
  MdnsSender() {
    open(AF_INET);
    open(AF_INET6);
  }
  ~MdnsSender() {
    for (int const fd : sockets_) ::close(fd);
  }
  MdnsSender(MdnsSender const&) = delete;
  MdnsSender& operator=(MdnsSender const&) = delete;

  void send(Bytes const& packet) const {
    sockaddr_in v4{AF_INET, htons(5353), {::inet_addr("224.0.0.251")}, {}};
    sockaddr_in6 v6{AF_INET6, htons(5353), 0, {}, 1};
    ::inet_pton(AF_INET6, "ff02::fb", &v6.sin6_addr);
    ::sendto(sockets_[0], packet.data(), packet.size(), 0, reinterpret_cast<sockaddr*>(&v4),
             sizeof v4);
    ::sendto(sockets_[1], packet.data(), packet.size(), 0, reinterpret_cast<sockaddr*>(&v6),
             sizeof v6);
  }

 private:
  void open(int family) {
    int const fd = ::socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    sockets_.push_back(fd);
    int const one = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    sockaddr_storage any{};
    any.ss_family = static_cast<sa_family_t>(family);
    reinterpret_cast<sockaddr_in*>(&any)->sin_port = htons(5353);  // at the same place in both
    if (family == AF_INET6) ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    in_addr const loopback{htonl(INADDR_LOOPBACK)};
    if (family == AF_INET) {
      ::setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &loopback, sizeof loopback);
    }
    socklen_t const size = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    EXPECT_EQ(::bind(fd, reinterpret_cast<sockaddr*>(&any), size), 0) << std::strerror(errno);
  }

  std::vector<int> sockets_;
};

}  // namespace grove
