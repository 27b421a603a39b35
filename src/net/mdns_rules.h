// What DNS-SD (RFC 6763) and host names (RFC 1123) allow, and what of a foreign answer is fit to be
// shown: for every implementation of net/mdns.h.
// Threads: pure functions.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/error.h"
#include "net/mdns.h"

namespace grove {

// Each fails: invalid.
Result<void> check_host_label(std::string_view label);
Result<void> check_service_type(std::string_view type);
Result<void> check_service(MdnsService const& service);

// Takes one string of a text record, "key=value" or "key", unless the key is there already or one
// of them is not fit to be shown: not UTF-8, or with control characters.
void add_text_pair(std::map<std::string, std::string>& txt, std::string_view pair);

// True for a name that is fit to be shown, a port, and an address that one host can have. A
// loopback address is another machine's unless it was heard `on_loopback`.
bool is_usable(MdnsSighting const& sighting, bool on_loopback);

}  // namespace grove
