// net/mdns.h with Avahi's library: a server of our own on a thread of its own.
#include <algorithm>
#include <deque>
#include <optional>
#include <utility>

#include <avahi-common/error.h>
#include <avahi-core/core.h>
#include <avahi-core/log.h>
#include <spdlog/spdlog.h>

#include "base/limits.h"
#include "net/mdns.h"
#include "net/mdns_avahi_announcer.h"
#include "net/mdns_avahi_browser.h"
#include "net/mdns_avahi_loop.h"
#include "net/mdns_rules.h"
#include "net/task_group.h"

namespace grove {

namespace {

using ServerOwner = std::unique_ptr<AvahiServer, decltype(&avahi_server_free)>;

Result<ServerOwner> make_server(AvahiPoll const* api, std::string host_label) {
  // It complains of what others send, which is no news of ours.
  avahi_set_log_function(
      [](AvahiLogLevel, char const* text) { spdlog::debug("avahi: {}", printable(text)); });
  AvahiServerConfig config;
  avahi_server_config_init(&config);
  config.host_name = host_label.data();
  config.publish_addresses = 0;  // the announcer does it, without reverse entries
  config.publish_domain = 0;
  config.n_cache_entries_max = limits::mdns_records_max;
  int error = AVAHI_OK;
  auto const on_state = [](AvahiServer*, AvahiServerState, void*) {};  // it has no names to lose
  ServerOwner server(avahi_server_new(api, &config, on_state, nullptr, &error), &avahi_server_free);
  if (!server) {
    return fail(ErrorKind::unavailable,
                "mDNS: no socket at UDP port 5353: {}; check that no program keeps it to itself",
                avahi_strerror(error));
  }
  return server;
}

// Everything that lives on the loop's thread. The server goes before what it calls back, saying
// goodbye; what uses it goes before.
struct Responder {
  Responder(ServerOwner owned, AvahiPoll const* api, AddressChanges changes, std::string host_label)
      : announcer(owned.get(), api, std::move(changes), std::move(host_label)),
        server(std::move(owned)) {}

  AvahiAnnouncer announcer;
  ServerOwner server;
  std::map<std::uint64_t, std::unique_ptr<AvahiBrowser>> browsers;
};

// What a browse() is waiting for. On the executor.
struct Inbox {
  explicit Inbox(asio::any_io_executor executor) : changed(std::move(executor)) {}
  std::deque<MdnsSighting> sightings;
  std::optional<Error> failure;
  Signal changed;
};

class AvahiMdns : public Mdns {
 public:
  AvahiMdns(asio::any_io_executor executor, std::unique_ptr<AvahiLoop> loop,
            std::unique_ptr<Responder> responder)
      : executor_(std::move(executor)), loop_(std::move(loop)), responder_(std::move(responder)) {
    loop_->start();
  }
  ~AvahiMdns() override { GROVE_ASSERT(is_stopped_ && inboxes_.empty()); }

  Result<void> announce(MdnsService service) override {
    GROVE_ASSERT(!is_stopped_);
    TRY(check_service(service));
    loop_->post([responder = responder_.get(), service = std::move(service)] {
      responder->announcer.add(service);
    });
    return ok();
  }

  Awaitable<Result<void>> browse(std::string type, std::chrono::milliseconds duration,
                                 std::function<bool(MdnsSighting const&)> on_sighting) override {
    GROVE_ASSERT(!is_stopped_);
    CO_TRY(check_service_type(type));
    auto const deadline = std::chrono::steady_clock::now() + duration;
    Search const search(*this, type);
    std::size_t count = 0;
    while (true) {
      Inbox& inbox = *search.inbox;
      while (!inbox.sightings.empty()) {
        MdnsSighting const sighting = std::move(inbox.sightings.front());
        inbox.sightings.pop_front();
        if (!on_sighting(sighting)) co_return ok();
        if (++count == limits::mdns_sightings_max) co_return ok();
      }
      if (inbox.failure) co_return *inbox.failure;
      if (std::chrono::steady_clock::now() >= deadline) co_return ok();
      std::ignore = co_await inbox.changed.wait_until(deadline);  // the loop looks at what came
      bool const cancelled = co_await is_cancelled();
      if (cancelled || is_stopped_) {
        co_return fail(ErrorKind::cancelled, "looking for {}: cancelled", type);
      }
    }
  }

  Awaitable<void> stop() override {
    GROVE_ASSERT(!is_stopped_);
    is_stopped_ = true;
    for (auto const& inbox : inboxes_) inbox->changed.notify_all();
    auto start = [this](auto handler) {
      // The loop's thread is not to outlive the executor's work: see Offload.
      auto guard = asio::make_work_guard(asio::get_associated_executor(handler));
      auto finish = std::make_shared<std::pair<decltype(handler), decltype(guard)>>(
          std::move(handler), std::move(guard));
      loop_->post([this, finish] {
        responder_.reset();
        loop_->quit();
        asio::post(finish->second.get_executor(), std::move(finish->first));
        finish->second.reset();
      });
    };
    auto const token = asio::use_awaitable;
    co_await asio::async_initiate<asio::use_awaitable_t<> const, void()>(start, token);
  }

 private:
  // A browser on the loop's thread, for as long as it lives.
  struct Search {
    Search(AvahiMdns& owner, std::string const& type)
        : mdns(owner),
          id(++owner.searches_count_),
          inbox(std::make_shared<Inbox>(owner.executor_)) {
      mdns.inboxes_.push_back(inbox);
      mdns.loop_->post([responder = mdns.responder_.get(), executor = mdns.executor_, id = id,
                        inbox = inbox, type] {
        auto const on_sighting = [executor, inbox](MdnsSighting sighting) {
          asio::post(executor, [inbox, sighting = std::move(sighting)]() mutable {
            inbox->sightings.push_back(std::move(sighting));
            inbox->changed.notify_all();
          });
        };
        auto browser = AvahiBrowser::start(responder->server.get(), type, on_sighting);
        if (browser) {
          responder->browsers.emplace(id, std::move(browser).value());
          return;
        }
        asio::post(executor, [inbox, error = browser.error()] {
          inbox->failure = error;
          inbox->changed.notify_all();
        });
      });
    }
    ~Search() {
      std::erase(mdns.inboxes_, inbox);
      if (mdns.is_stopped_) return;  // it has gone with all of them
      mdns.loop_->post(
          [responder = mdns.responder_.get(), id = id] { responder->browsers.erase(id); });
    }
    Search(Search const&) = delete;
    Search& operator=(Search const&) = delete;

    AvahiMdns& mdns;
    std::uint64_t id;
    std::shared_ptr<Inbox> inbox;
  };

  asio::any_io_executor executor_;
  std::unique_ptr<AvahiLoop> loop_;
  std::unique_ptr<Responder> responder_;  // touched on the loop's thread only
  std::vector<std::shared_ptr<Inbox>> inboxes_;
  std::uint64_t searches_count_ = 0;
  bool is_stopped_ = false;
};

}  // namespace

Result<std::unique_ptr<Mdns>> Mdns::start(asio::any_io_executor executor, std::string host_label) {
  TRY(check_host_label(host_label));
  TRY(auto loop, AvahiLoop::make());
  // First: Avahi itself asserts that it can watch the addresses.
  TRY(auto changes, AddressChanges::watch());
  TRY(auto server, make_server(loop->api(), host_label));
  auto responder = std::make_unique<Responder>(std::move(server), loop->api(), std::move(changes),
                                               std::move(host_label));
  return std::unique_ptr<Mdns>(
      std::make_unique<AvahiMdns>(std::move(executor), std::move(loop), std::move(responder)));
}

}  // namespace grove
