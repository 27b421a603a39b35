#include "net/mdns_avahi_loop.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <system_error>
#include <utility>

#include <avahi-common/timeval.h>
#include <pthread.h>

#include "base/limits.h"
#include "net/mdns_packet.h"

namespace grove {

namespace {

// Before the loop goes round once more, for its timers and for what was posted.
constexpr int packets_looked_at_max = 64;

int socket_option(int fd, int option) {
  int value = 0;
  socklen_t size = sizeof value;
  return ::getsockopt(fd, SOL_SOCKET, option, &value, &size) == 0 ? value : -1;
}

bool is_packet_socket(int fd) {
  int const domain = socket_option(fd, SO_DOMAIN);
  return (domain == AF_INET || domain == AF_INET6) && socket_option(fd, SO_TYPE) == SOCK_DGRAM;
}

// Throws packets away until one is harmless. True when there is one for Avahi to read.
bool has_harmless_packet(int fd) {
  std::array<std::byte, limits::mdns_packet_bytes_max> packet;
  for (int looked_at = 0; looked_at < packets_looked_at_max; ++looked_at) {
    ssize_t const bytes =
        ::recv(fd, packet.data(), packet.size(), MSG_PEEK | MSG_TRUNC | MSG_DONTWAIT);
    if (bytes < 0) return false;
    auto const size = static_cast<std::size_t>(bytes);
    if (size <= packet.size() && is_harmless_mdns_packet(std::span(packet).first(size)))
      return true;
    std::ignore =
        ::recv(fd, packet.data(), packet.size(), MSG_DONTWAIT);  // it was there to peek at
  }
  return false;
}

// Avahi's poll. What happened at its sockets is handed on only where a harmless packet waits: its
// callbacks assert that there is something to read.
int poll_for_avahi(pollfd* descriptors, unsigned int count, int timeout, void*) {
  int const ready = ::poll(descriptors, count, timeout);
  if (ready <= 0) return ready;
  for (pollfd& descriptor : std::span(descriptors, count)) {
    if (descriptor.revents == 0 || !is_packet_socket(descriptor.fd)) continue;
    if ((descriptor.revents & POLLERR) != 0) {
      std::ignore = socket_option(descriptor.fd, SO_ERROR);  // asking is what clears it
    }
    descriptor.revents = has_harmless_packet(descriptor.fd) ? short{POLLIN} : short{0};
  }
  return ready;
}

void on_watch(AvahiWatch*, int, AvahiWatchEvent, void* callback) {
  (*static_cast<std::function<void()>*>(callback))();
}

}  // namespace

Result<std::unique_ptr<AvahiLoop>> AvahiLoop::make() {
  PollOwner poll(avahi_simple_poll_new(), &avahi_simple_poll_free);
  Descriptor wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!poll || wake.get() < 0) {
    return fail(ErrorKind::unavailable, "mDNS: no event loop: {}; raise the limit of open files",
                std::generic_category().message(errno));
  }
  avahi_simple_poll_set_func(poll.get(), &poll_for_avahi, nullptr);
  return std::unique_ptr<AvahiLoop>(new AvahiLoop(std::move(poll), std::move(wake)));
}

AvahiLoop::AvahiLoop(PollOwner poll, Descriptor wake)
    : poll_(std::move(poll)), wake_(std::move(wake)) {}

AvahiLoop::~AvahiLoop() {
  if (thread_.joinable()) thread_.join();
}

void AvahiLoop::start() {
  // Signals are for the program's own threads. A new thread has its maker's mask.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  thread_ = std::thread([this] { run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void AvahiLoop::post(std::function<void()> work) {
  std::lock_guard const lock(mutex_);
  posted_.push_back(std::move(work));
  std::uint64_t const one = 1;
  std::ignore = ::write(wake_.get(), &one, sizeof one);  // fails only where it is awake anyway
}

void AvahiLoop::run() {
  AvahiReadable const woken(api(), wake_.get(), [this] {
    std::uint64_t count = 0;
    std::ignore = ::read(wake_.get(), &count, sizeof count);
  });
  while (!is_over_) {
    // It serves one callback a round, and the sockets may keep it from ever coming to `woken`: what
    // was posted is looked for in every round.
    run_posted();
    if (is_over_) break;
    GROVE_ASSERT(avahi_simple_poll_iterate(poll_.get(), -1) == 0);
  }
}

void AvahiLoop::run_posted() {
  std::vector<std::function<void()>> works;
  {
    std::lock_guard const lock(mutex_);
    works.swap(posted_);
  }
  for (auto const& work : works) work();
}

AvahiReadable::AvahiReadable(AvahiPoll const* api, int fd, std::function<void()> on_readable)
    : api_(api),
      on_readable_(std::move(on_readable)),
      watch_(api->watch_new(api, fd, AVAHI_WATCH_IN, &on_watch, &on_readable_)) {}

AvahiTimer::AvahiTimer(AvahiPoll const* api, std::function<void()> on_expired)
    : api_(api), on_expired_(std::move(on_expired)) {
  auto const callback = [](AvahiTimeout*, void* timer) {
    auto* const self = static_cast<AvahiTimer*>(timer);
    self->is_set_ = false;
    self->on_expired_();
  };
  timeout_ = api->timeout_new(api, nullptr, callback, this);
}

void AvahiTimer::expire_within(std::chrono::milliseconds delay) {
  auto const expiry = std::chrono::steady_clock::now() + delay;
  if (is_set_ && expiry_ <= expiry) return;
  is_set_ = true;
  expiry_ = expiry;
  timeval at;
  avahi_elapse_time(&at, static_cast<unsigned>(delay.count()), 0);
  api_->timeout_update(timeout_, &at);
}

}  // namespace grove
