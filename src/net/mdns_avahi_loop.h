// Avahi's event loop on a thread of its own, so that a flood of packets costs a core at most and
// never keeps the program's event loop waiting. Everything of Avahi is touched on this thread only.
// Each datagram is looked at before Avahi sees it (net/mdns_packet.h).
// Threads: as each member says.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <avahi-common/simple-watch.h>

#include "base/descriptor.h"
#include "base/error.h"

namespace grove {

class AvahiLoop {
 public:
  // Does not run yet: Avahi may be touched on this thread until start(). Fails: unavailable.
  static Result<std::unique_ptr<AvahiLoop>> make();
  // After quit(), or without start(). Waits for the thread's end.
  ~AvahiLoop();
  AvahiLoop(AvahiLoop const&) = delete;
  AvahiLoop& operator=(AvahiLoop const&) = delete;

  AvahiPoll const* api() const { return avahi_simple_poll_get(poll_.get()); }

  void start();
  // Runs `work` on the loop's thread, soon and in order. Any thread, until quit().
  void post(std::function<void()> work);
  // The thread ends when the work or callback that called this returns. On the loop's thread.
  void quit() { is_over_ = true; }

 private:
  using PollOwner = std::unique_ptr<AvahiSimplePoll, decltype(&avahi_simple_poll_free)>;
  AvahiLoop(PollOwner poll, Descriptor wake);
  void run();
  void run_posted();

  PollOwner poll_;
  Descriptor wake_;   // an eventfd
  std::mutex mutex_;  // of posted_ alone
  std::vector<std::function<void()>> posted_;
  bool is_over_ = false;
  std::thread thread_;
};

// Calls back when `fd` is readable, for as long as it lives. On the loop's thread.
class AvahiReadable {
 public:
  AvahiReadable(AvahiPoll const* api, int fd, std::function<void()> on_readable);
  ~AvahiReadable() { api_->watch_free(watch_); }
  AvahiReadable(AvahiReadable const&) = delete;
  AvahiReadable& operator=(AvahiReadable const&) = delete;

 private:
  AvahiPoll const* api_;
  std::function<void()> on_readable_;
  AvahiWatch* watch_;
};

// Calls back once for each time it was set. On the loop's thread.
class AvahiTimer {
 public:
  AvahiTimer(AvahiPoll const* api, std::function<void()> on_expired);
  ~AvahiTimer() { api_->timeout_free(timeout_); }
  AvahiTimer(AvahiTimer const&) = delete;
  AvahiTimer& operator=(AvahiTimer const&) = delete;

  // Expires after `delay`, or earlier where that is set already.
  void expire_within(std::chrono::milliseconds delay);

 private:
  AvahiPoll const* api_;
  std::function<void()> on_expired_;
  AvahiTimeout* timeout_;
  bool is_set_ = false;
  std::chrono::steady_clock::time_point expiry_;
};

}  // namespace grove
