// Which Host and Origin a request may carry. A page in the user's browser can make it send requests
// to any address, also under a name of the page's own that was pointed here (DNS rebinding); both
// show in these two headers, which the page cannot forge.
// Threads: immutable after construction.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "net/asio.h"

namespace grove {

class HostPolicy {
 public:
  // Allows `hosts`, this machine's names, and the loopback's, on any port.
  explicit HostPolicy(std::vector<std::string> const& hosts);

  // `local` is the address the connection came in on: always one of ours.
  bool allows_host(std::string_view host_header, asio::ip::address const& local) const;
  bool allows_origin(std::string_view origin, asio::ip::address const& local) const;

 private:
  std::set<std::string> names_;
};

}  // namespace grove
