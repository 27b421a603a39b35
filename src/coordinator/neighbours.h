// What a coordinator knows of its network beyond config.yaml: its mDNS, started when it is first
// needed, and where workers were last found that are not where the config says. In memory only, and
// only hints: every use asks the worker who it is.
// Threads: the coordinator's executor.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "base/config.h"
#include "base/error.h"
#include "net/asio.h"
#include "net/mdns.h"

namespace grove {

class Neighbours {
 public:
  // `port` makes this process's mDNS name its own among those of this machine.
  Neighbours(asio::any_io_executor executor, std::uint16_t port)
      : executor_(std::move(executor)), port_(port) {}

  // Fails: as Mdns::start; the next call tries again.
  Result<Mdns*> mdns();
  // Scans must have ended.
  Awaitable<void> stop();

  struct Place {
    std::string ip;
    std::uint16_t port = 0;
  };
  std::map<Rank, Place> moved;

  // Whether this trouble of looking is another than the last that was told; each job meets it.
  bool is_news(std::string const& trouble) { return std::exchange(told_, trouble) != trouble; }

 private:
  asio::any_io_executor executor_;
  std::uint16_t port_;
  std::unique_ptr<Mdns> mdns_;
  std::string told_;
};

}  // namespace grove
