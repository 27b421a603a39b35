// This machine's addresses as they should be announced, and when to look again. (Avahi would
// announce them itself, but with reverse entries, which conflict with those of an avahi-daemon.)
// Threads: own_addresses() any; the rest on one thread.
#pragma once

#include <set>
#include <tuple>

#include "base/descriptor.h"
#include "net/asio.h"

namespace grove {

struct OwnAddress {
  int interface = 0;
  asio::ip::address address;  // without a scope

  friend bool operator<(OwnAddress const& left, OwnAddress const& right) {
    return std::tie(left.interface, left.address) < std::tie(right.interface, right.address);
  }
};

// Of every interface that is up and carries multicast, and of the loopback; without point-to-point
// links. Link-local ones only where an interface has no others of that family.
// Fails: unavailable.
Result<std::set<OwnAddress>> own_addresses();

bool is_loopback_interface(int interface);

// Readable after addresses or interfaces have come or gone.
class AddressChanges {
 public:
  // Fails: unavailable.
  static Result<AddressChanges> watch();
  int fd() const { return socket_.get(); }
  void drain();

 private:
  explicit AddressChanges(Descriptor socket) : socket_(std::move(socket)) {}
  Descriptor socket_;
};

}  // namespace grove
