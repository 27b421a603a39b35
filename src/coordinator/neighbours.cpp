#include "coordinator/neighbours.h"

#include "net/host_label.h"

namespace grove {

Result<Mdns*> Neighbours::mdns() {
  if (!mdns_) {
    TRY(mdns_, Mdns::start(executor_, mdns_host_label(machine_name(), port_)));
  }
  return mdns_.get();
}

Awaitable<void> Neighbours::stop() {
  if (!mdns_) co_return;
  co_await mdns_->stop();
  mdns_.reset();
}

}  // namespace grove
