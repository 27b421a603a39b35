// A DNS label for this process's addresses in multicast DNS. One of its own for every process: a
// label that two share, or that this machine's avahi-daemon has, would be in conflict.
// Threads: any.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace grove {

// "pi4-1.lan" and 5001 → "grove-pi4-1-5001": the first label of `host_name`, lower-case, whatever
// no label may hold replaced by "-", cut so that all of it has at most 63 bytes (RFC 1035, 2.3.4).
std::string mdns_host_label(std::string_view host_name, std::uint16_t port);

// This machine's name; "localhost" when it has none.
std::string machine_name();

}  // namespace grove
