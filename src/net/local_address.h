// Which of this machine's addresses another machine sees.
// Threads: any.
#pragma once

#include <string>

#include "base/error.h"

namespace grove {

// The address that a packet to `ip` would leave with; none is sent.
// Fails: invalid (not an address), unavailable (no way there).
Result<std::string> local_address_towards(std::string const& ip);

}  // namespace grove
