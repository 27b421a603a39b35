// Request targets and host names: percent-decoding, query parameters, "host:port".
// Not here: which hosts are ours (host_policy.h), which path goes where (http_router.h).
// Threads: pure functions.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace grove {

// Percent-encodes one path segment or query value.
std::string percent_encode(std::string_view text);

// Fails: invalid ('%' without two hex digits behind it).
Result<std::string> percent_decode(std::string_view text);

struct Target {
  std::string path;  // begins with '/', still encoded, every escape in it is well formed
  std::vector<std::pair<std::string, std::string>> params;  // decoded, in order

  // The first parameter of that name.
  std::optional<std::string> param(std::string_view name) const;
};

// "/store-shard?ckpt_path=a%20b+c" → path and parameters; in those '+' is a space, as in a form.
// Characters that should have been encoded are taken as they are. Fails: invalid.
Result<Target> parse_target(std::string_view text);

// The host of a Host header or of an origin, without its port, lower-case, brackets removed:
// "Pi4-1:8000" → "pi4-1", "[::1]:80" → "::1". Fails: invalid.
Result<std::string> parse_host(std::string_view text);

// "192.168.1.3:5003", "[::1]:5003".
std::string join_host_port(std::string_view host, std::uint16_t port);

}  // namespace grove
