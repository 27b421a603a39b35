// Which workers are there, as the watch (coordinator/worker_watch.h) last found them, for whoever
// must not wait for them: stores, the repair, GET /workers.
// Not here: asking them.
// Threads: the coordinator's executor.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/config.h"
#include "net/signal.h"

namespace grove {

enum class Presence {
  up,
  late,  // it did not answer once: it is asked again soon
  down,  // it did not answer twice in a row
  full,  // it answers, and takes nothing more
};

// "up"
std::string_view to_string(Presence presence);

// What follows from the next look: a worker that misses one is late, with the second it is down.
Presence next_presence(Presence before, bool answers, bool has_room);

class Presences {
 public:
  using Clock = std::chrono::steady_clock;

  explicit Presences(asio::any_io_executor executor) : changed_(std::move(executor)) {}

  struct State {
    Presence presence = Presence::up;
    Clock::time_point since;  // of the presence
    std::string detail;       // why it is not up
  };

  // A worker that was never looked at counts as up.
  void note(Rank rank, bool answers, bool has_room, std::string detail, Clock::time_point now);
  // Forgets all others: they left the config.
  void keep_only(std::vector<Rank> const& ranks);

  // nullptr: it was not looked at yet.
  State const* find(Rank rank) const;
  bool is_any_late() const;

  // Called at every change of a presence, before who waits on changed() goes on.
  std::function<void(Rank rank, State const& before, State const& now)> on_change;
  Signal& changed() { return changed_; }

 private:
  std::map<Rank, State> states_;
  Signal changed_;
};

// A change of a worker's presence in words, of which it is the subject: "is up again, after 62 s".
std::string words_of_change(Presences::State const& before, Presences::State const& now);

}  // namespace grove
