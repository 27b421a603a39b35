#include "net/mdns_dnssd_call.h"

#include <poll.h>

#include <string_view>
#include <utility>

#include <boost/asio/posix/stream_descriptor.hpp>

namespace grove {

namespace {

// Asked once more, since the library would wait for what has not come.
bool has_answer(int fd) {
  pollfd descriptor{fd, POLLIN, 0};
  return ::poll(&descriptor, 1, 0) == 1;
}

}  // namespace

struct DnssdCall::State {
  State(asio::any_io_executor const& executor, DNSServiceRef opened, std::function<void()> lost)
      : ref(opened), socket(executor, DNSServiceRefSockFD(opened)), on_lost(std::move(lost)) {}

  DNSServiceRef ref;
  asio::posix::stream_descriptor socket;  // which belongs to the library
  std::function<void()> on_lost;
};

Result<DnssdCall> DnssdCall::open(asio::any_io_executor const& executor, std::string_view action,
                                  Open const& open, std::function<void()> on_lost) {
  DNSServiceRef ref = nullptr;
  DNSServiceErrorType const error = open(&ref);
  if (error != kDNSServiceErr_NoError) {
    auto const kind =
        error == kDNSServiceErr_NameConflict ? ErrorKind::conflict : ErrorKind::unavailable;
    return fail(kind,
                "mDNS: cannot {}: dns_sd error {}; check that mDNSResponder or avahi-daemon runs",
                action, error);
  }
  auto state = std::make_shared<State>(executor, ref, std::move(on_lost));
  watch(state);
  return DnssdCall(std::move(state));
}

DnssdCall::DnssdCall(std::shared_ptr<State> state) : state_(std::move(state)) {}

DnssdCall::~DnssdCall() {
  if (!state_) return;
  std::ignore = state_->socket.release();  // the library closes it
  DNSServiceRefDeallocate(std::exchange(state_->ref, nullptr));
}

void DnssdCall::watch(std::shared_ptr<State> const& state) {
  auto const wait = asio::posix::stream_descriptor::wait_read;
  state->socket.async_wait(wait, [state](boost::system::error_code const& failed) {
    if (failed || state->ref == nullptr) return;
    boost::system::error_code error;
    state->socket.native_non_blocking(false, error);  // as the library has made it, not Asio
    bool const is_well = !error && (!has_answer(state->socket.native_handle()) ||
                                    DNSServiceProcessResult(state->ref) == kDNSServiceErr_NoError);
    if (is_well) {
      watch(state);
    } else {
      state->on_lost();
    }
  });
}

}  // namespace grove
