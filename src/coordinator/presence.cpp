#include "coordinator/presence.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace grove {

std::string_view to_string(Presence presence) {
  switch (presence) {
    case Presence::up:
      return "up";
    case Presence::late:
      return "late";
    case Presence::down:
      return "down";
    case Presence::full:
      return "full";
  }
  return "up";
}

Presence next_presence(Presence before, bool answers, bool has_room) {
  if (answers) return has_room ? Presence::up : Presence::full;
  bool const missed_one = before == Presence::late || before == Presence::down;
  return missed_one ? Presence::down : Presence::late;
}

void Presences::note(Rank rank, bool answers, bool has_room, std::string detail,
                     Clock::time_point now) {
  auto const [found, is_new] = states_.try_emplace(rank, State{.since = now, .detail = {}});
  auto const before = found->second;
  auto& state = found->second;
  state.presence = next_presence(before.presence, answers, has_room);
  state.detail = std::move(detail);
  if (state.presence == before.presence) return;
  state.since = now;
  if (on_change) on_change(rank, before, state);
  changed_.notify_all();
}

void Presences::keep_only(std::vector<Rank> const& ranks) {
  std::erase_if(states_, [&](auto const& entry) {
    return std::ranges::find(ranks, entry.first) == ranks.end();
  });
}

Presences::State const* Presences::find(Rank rank) const {
  auto const found = states_.find(rank);
  return found == states_.end() ? nullptr : &found->second;
}

bool Presences::is_any_late() const {
  return std::ranges::any_of(
      states_, [](auto const& entry) { return entry.second.presence == Presence::late; });
}

namespace {

// How one that was not up came to answer, or to have room.
std::string_view return_from(Presence before) {
  switch (before) {
    case Presence::down:
      return "is up again";
    case Presence::full:
      return "has room again";
    case Presence::late:
    case Presence::up:
      break;
  }
  return "answers again";
}

}  // namespace

std::string words_of_change(Presences::State const& before, Presences::State const& now) {
  auto const lasted = std::chrono::duration_cast<std::chrono::seconds>(now.since - before.since);
  auto const returned = fmt::format("{}, after {} s", return_from(before.presence), lasted.count());
  switch (now.presence) {
    case Presence::up:
      return returned;
    case Presence::late:
      return "is late: " + now.detail;
    case Presence::down:
      return "is down: " + now.detail;
    case Presence::full:
      break;
  }
  auto const full = fmt::format("is full: {}; free some space or lower reserve", now.detail);
  return before.presence == Presence::up ? full : returned + ", and " + full;
}

}  // namespace grove
