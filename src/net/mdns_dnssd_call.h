// One call to the system's responder through the dns_sd API: a question or a registration that
// stays open, and whose answers arrive as callbacks on the executor.
// Threads: all on the executor.
#pragma once

#include <functional>
#include <memory>

#include <dns_sd.h>

#include "base/error.h"
#include "net/asio.h"

namespace grove {

// AWDL is what AirDrop speaks: Apple's devices find each other by it without a network.
#ifdef __APPLE__
inline constexpr DNSServiceFlags dnssd_flags =
    kDNSServiceFlagsIncludeP2P | kDNSServiceFlagsIncludeAWDL;
#else
inline constexpr DNSServiceFlags dnssd_flags = 0;
#endif

class DnssdCall {
 public:
  // Calls one of DNSServiceBrowse() and its like.
  using Open = std::function<DNSServiceErrorType(DNSServiceRef*)>;

  // `on_lost` is called once when the responder goes away. Fails: unavailable, `action` says what.
  static Result<DnssdCall> open(asio::any_io_executor const& executor, std::string_view action,
                                Open const& open, std::function<void()> on_lost);
  // No callback comes after this. Not from within one of its own.
  ~DnssdCall();
  DnssdCall(DnssdCall&&) noexcept = default;
  DnssdCall& operator=(DnssdCall&&) = delete;

 private:
  struct State;
  explicit DnssdCall(std::shared_ptr<State> state);
  static void watch(std::shared_ptr<State> const& state);

  std::shared_ptr<State> state_;
};

}  // namespace grove
