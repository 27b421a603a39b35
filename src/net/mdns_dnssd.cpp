// net/mdns.h with the system's responder, through the dns_sd API: mDNSResponder on macOS, and
// avahi-daemon with its compatibility library. Several processes share its host name.
#include <optional>
#include <utility>

#include <arpa/inet.h>
#include <spdlog/spdlog.h>

#include "base/limits.h"
#include "net/mdns.h"
#include "net/mdns_dnssd_call.h"
#include "net/mdns_dnssd_search.h"
#include "net/mdns_rules.h"
#include "net/task_group.h"

namespace grove {

namespace {

using namespace std::chrono_literals;

// Between attempts to announce where the responder has gone away.
constexpr std::chrono::milliseconds announce_again_period = 5s;
constexpr std::size_t instance_bytes_max = 63;  // a label: RFC 1035 section 2.3.4

// The strings of a text record, each after its length; empty for none. The service has passed
// check_service().
std::string text_record(MdnsService const& service) {
  std::string record;
  for (auto const& [key, value] : service.txt) {
    record += static_cast<char>(key.size() + 1 + value.size());
    record += key + "=" + value;
  }
  return record;
}

// "name" → "name #2", shortened where both do not fit into a label, between two characters.
std::string numbered(std::string name, int number) {
  auto const suffix = fmt::format(" #{}", number);
  while (name.size() + suffix.size() > instance_bytes_max) {
    bool is_inside_character = true;
    while (is_inside_character) {
      is_inside_character = (static_cast<unsigned char>(name.back()) & 0xC0) == 0x80;
      name.pop_back();
    }
  }
  return name + suffix;
}

// One announcement, until it is `lost`: to another of that name (conflict), or with the responder.
struct Registration {
  explicit Registration(asio::any_io_executor const& executor) : changed(executor) {}

  // Fails: conflict, unavailable.
  Result<void> open(asio::any_io_executor const& executor, MdnsService const& service) {
    auto const text = text_record(service);
    auto const on_reply = [](DNSServiceRef, DNSServiceFlags, DNSServiceErrorType error,
                             char const* name, char const*, char const*, void* registration) {
      auto& self = *static_cast<Registration*>(registration);
      if (error == kDNSServiceErr_NameConflict) {
        self.lose(ErrorKind::conflict);
      } else if (error != kDNSServiceErr_NoError) {
        self.lose(ErrorKind::unavailable);
      } else {
        spdlog::debug("mDNS: announced as \"{}\"", printable(name));
      }
    };
    auto const register_it = [&](DNSServiceRef* ref) {
      return DNSServiceRegister(ref, dnssd_flags, kDNSServiceInterfaceIndexAny,
                                service.instance.c_str(), service.type.c_str(), "local", nullptr,
                                htons(service.port), static_cast<std::uint16_t>(text.size()),
                                text.data(), on_reply, this);
    };
    auto const on_lost = [this] { lose(ErrorKind::unavailable); };
    auto const action = fmt::format("announce \"{}\"", service.instance);
    TRY(auto opened, DnssdCall::open(executor, action, register_it, on_lost));
    call.emplace(std::move(opened));
    return ok();
  }
  void lose(ErrorKind why) {
    lost = why;
    changed.notify_all();
  }

  Signal changed;
  std::optional<ErrorKind> lost;
  std::optional<DnssdCall> call;
};

class DnssdMdns : public Mdns {
 public:
  explicit DnssdMdns(asio::any_io_executor executor)
      : executor_(executor), announcements_(executor), changed_(std::move(executor)) {}
  ~DnssdMdns() override { GROVE_ASSERT(is_stopped_ && searches_count_ == 0); }

  Result<void> announce(MdnsService service) override {
    GROVE_ASSERT(!is_stopped_);
    TRY(check_service(service));
    announcements_.spawn("mDNS announcement", keep_announced(std::move(service)));
    return ok();
  }

  Awaitable<Result<void>> browse(std::string type, std::chrono::milliseconds duration,
                                 std::function<bool(MdnsSighting const&)> on_sighting) override {
    GROVE_ASSERT(!is_stopped_);
    CO_TRY(check_service_type(type));
    auto const deadline = std::chrono::steady_clock::now() + duration;
    Searching const searching(searches_count_);
    DnssdSearch search(executor_, type, changed_);
    CO_TRY(search.start());
    std::size_t count = 0;
    while (true) {
      CO_TRY(auto const next, search.step());
      while (auto const sighting = search.take()) {
        if (!on_sighting(*sighting)) co_return ok();
        if (++count == limits::mdns_sightings_max) co_return ok();
      }
      if (std::chrono::steady_clock::now() >= deadline) co_return ok();
      std::ignore = co_await changed_.wait_until(std::min(next, deadline));  // step() looks why
      bool const cancelled = co_await is_cancelled();
      if (cancelled || is_stopped_) {
        co_return fail(ErrorKind::cancelled, "looking for {}: cancelled", type);
      }
    }
  }

  Awaitable<void> stop() override {
    GROVE_ASSERT(!is_stopped_);
    is_stopped_ = true;
    changed_.notify_all();
    co_await announcements_.stop(1s);
  }

 private:
  struct Searching {
    explicit Searching(std::size_t& searches) : count(searches) { ++count; }
    ~Searching() { --count; }
    Searching(Searching const&) = delete;
    Searching& operator=(Searching const&) = delete;
    std::size_t& count;
  };

  Awaitable<void> keep_announced(MdnsService service) {
    std::string const wanted = service.instance;
    int number = 1;
    bool cancelled = false;
    while (!cancelled) {
      Registration registration(executor_);
      auto const opened = registration.open(executor_, service);
      if (opened) {
        std::ignore = co_await registration.changed.wait();  // `lost` tells why
      } else {
        registration.lost = opened.error().kind;
      }
      if (registration.lost == ErrorKind::conflict) {
        service.instance = numbered(wanted, ++number);
        spdlog::info("mDNS: the service name is taken; using \"{}\"", service.instance);
      } else if (registration.lost) {
        spdlog::warn("mDNS: the system's responder does not announce \"{}\"; trying again",
                     service.instance);
        std::ignore = co_await sleep_for(announce_again_period);  // cancelled or not, as asked next
      }
      cancelled = co_await is_cancelled();
    }
  }

  asio::any_io_executor executor_;
  TaskGroup announcements_;
  Signal changed_;  // of every search
  std::size_t searches_count_ = 0;
  bool is_stopped_ = false;
};

}  // namespace

Result<std::unique_ptr<Mdns>> Mdns::start(asio::any_io_executor executor, std::string host_label) {
  TRY(check_host_label(host_label));
  // Whether a responder runs is only known from a call that needs it.
  auto const ignore = [](DNSServiceRef, DNSServiceFlags, std::uint32_t, DNSServiceErrorType,
                         char const*, char const*, char const*, void*) {};
  auto const look = [&](DNSServiceRef* ref) {
    return DNSServiceBrowse(ref, 0, kDNSServiceInterfaceIndexAny, "_grove._tcp", "local", ignore,
                            nullptr);
  };
  TRY(DnssdCall::open(executor, "reach the system's responder", look, [] {}));
  return std::unique_ptr<Mdns>(std::make_unique<DnssdMdns>(std::move(executor)));
}

}  // namespace grove
