// How much a client or a server has moved. Threads: its owner's executor.
#pragma once

#include <cstdint>

namespace grove {

// Bytes of bodies so far: what crossed the link, less heads.
struct HttpTraffic {
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
};

}  // namespace grove
