#include "plan/chunk_schedule.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/limits.h"

namespace grove {
namespace {

using Seconds = ChunkSchedule::Seconds;

// An owner that needs no longer than this for what waits is left to do it alone: help would gain
// little, and cost the order in which files are read and written.
constexpr Seconds help_after{0.5};
// … and than this many times as long as the helper has to do for its own lists.
constexpr double help_factor = 1.25;
// A holder is much slower when it takes so many times as long as another would.
constexpr double rescue_factor = 2;
// No request is so fast that its delay says anything before this: a busy machine has such pauses.
constexpr Seconds patience{0.25};
// A speed is known once so much was measured, in seconds of requests or in bytes; what is older
// than a few times `memory` does not count any more.
constexpr Seconds known_after{0.1};
constexpr double known_after_bytes = limits::chunk_bytes_max;
constexpr Seconds memory{2};

constexpr int failures_max = 2;

constexpr double unknown_speed = std::numeric_limits<double>::infinity();

// The one that is this worker, nullptr where there is none.
template <typename Holders>
auto* find_holder(Holders& holders, std::size_t worker) {
  auto const found = std::find_if(holders.begin(), holders.end(),
                                  [&](auto const& holder) { return holder.worker == worker; });
  return found == holders.end() ? nullptr : &*found;
}

}  // namespace

void ChunkSchedule::Worker::measure(double got_bytes, Seconds took) {
  auto const kept = std::exp(-took / memory);
  bytes = bytes * kept + got_bytes;
  seconds = seconds * kept + took.count();
}

ChunkSchedule::ListId ChunkSchedule::add(std::vector<std::size_t> const& holders,
                                         std::vector<std::uint32_t> chunk_bytes) {
  GROVE_ASSERT(!holders.empty());
  auto const id = next_id_++;
  auto& list = lists_[id];
  for (auto const worker : holders) {
    list.holders.push_back({.worker = worker, .has_failed = false, .given_count = 0, .lacks = {}});
    if (workers_.size() <= worker) workers_.resize(worker + 1);
  }
  for (auto const bytes : chunk_bytes) list.waiting_bytes += bytes;
  list.left_count = chunk_bytes.size();
  list.chunk_bytes = std::move(chunk_bytes);
  list.served_by = holders.front();
  for (auto const worker : holders) {
    if (list.left_count > 0 && workers_[worker].is_left_out) {
      fail_for(id, worker, Why::has_failed);
    }
  }
  return id;
}

void ChunkSchedule::remove(ListId list) {
  lists_.erase(list);
  std::erase_if(requests_, [&](auto const& each) { return each.second.choice.list == list; });
  std::erase_if(fallbacks_, [&](Fallback const& each) { return each.list == list; });
}

// --- choosing ---

ChunkSchedule::Holder const* ChunkSchedule::owner(List const& list) const {
  auto const found = std::find_if(list.holders.begin(), list.holders.end(),
                                  [&](Holder const& h) { return !workers_[h.worker].is_left_out; });
  return found == list.holders.end() ? nullptr : &*found;
}

std::optional<std::uint32_t> ChunkSchedule::first_waiting(List const& list, Holder const& holder) {
  for (auto const chunk : list.returned) {
    if (!holder.lacks.contains(chunk)) return chunk;
  }
  if (list.next < list.chunk_bytes.size()) return list.next;
  return std::nullopt;
}

// Bytes per second of one request to each worker, as far as it is known. A request that takes
// long says so before it ends.
std::vector<double> ChunkSchedule::speeds(Seconds now) const {
  std::vector<double> speeds;
  for (auto const& worker : workers_) {
    bool const is_known =
        worker.seconds >= known_after.count() || worker.bytes >= known_after_bytes;
    speeds.push_back(is_known ? worker.bytes / worker.seconds : unknown_speed);
  }
  for (auto const& [id, request] : requests_) {
    auto const elapsed = now - request.begun;
    if (elapsed < patience) continue;
    auto& speed = speeds[request.worker];
    speed = std::min(speed, request.bytes / elapsed.count());
  }
  return speeds;
}

std::optional<ChunkSchedule::Choice> ChunkSchedule::choose(std::size_t worker, Seconds now) const {
  if (worker >= workers_.size() || is_left_out(worker)) return std::nullopt;
  if (auto orphan = choose_orphan(worker)) return orphan;
  auto const known_speeds = speeds(now);
  if (auto waiting = choose_waiting(worker, known_speeds)) return waiting;
  return choose_rescue(worker, known_speeds, now);
}

std::optional<ChunkSchedule::Choice> ChunkSchedule::choose_orphan(std::size_t worker) const {
  for (auto const& [id, list] : lists_) {
    auto const* const holder = find_holder(list.holders, worker);
    if (holder == nullptr) continue;
    auto const* const own = owner(list);
    for (auto const chunk : list.returned) {
      if (own->lacks.contains(chunk) && !holder->lacks.contains(chunk)) return Choice{id, chunk};
    }
  }
  return std::nullopt;
}

std::optional<ChunkSchedule::Choice> ChunkSchedule::choose_waiting(
    std::size_t worker, std::vector<double> const& speeds) const {
  struct Backlog {
    double bytes = 0;
    double speed = 0;             // of all that is under way for its lists
    std::optional<Choice> first;  // that `worker` can take
  };
  std::map<std::size_t, Backlog> backlogs;  // by owner
  for (auto const& [id, list] : lists_) {
    auto const* const own = owner(list);
    if (own == nullptr) continue;
    auto& backlog = backlogs[own->worker];
    backlog.bytes += static_cast<double>(list.waiting_bytes);
    auto const* const holder = find_holder(list.holders, worker);
    if (holder == nullptr || backlog.first) continue;
    if (auto const chunk = first_waiting(list, *holder)) backlog.first = Choice{id, *chunk};
  }
  for (auto const& [id, request] : requests_) {
    auto const* const own = owner(lists_.at(request.choice.list));
    if (own != nullptr) backlogs[own->worker].speed += speeds[request.worker];
  }
  auto const own = backlogs[worker];
  auto longest = help_after;
  if (own.first) {
    longest = std::max(longest, Seconds(own.bytes / (own.speed + speeds[worker])) * help_factor);
  }
  Backlog const* furthest_behind = nullptr;
  for (auto const& [other, backlog] : backlogs) {
    if (other == worker || !backlog.first) continue;
    auto const time = Seconds(backlog.bytes / std::max(backlog.speed, speeds[other]));
    if (time <= longest) continue;
    longest = time;
    furthest_behind = &backlog;
  }
  return furthest_behind != nullptr ? furthest_behind->first : own.first;
}

std::size_t ChunkSchedule::requests_count(Choice choice) const {
  return static_cast<std::size_t>(
      std::count_if(requests_.begin(), requests_.end(),
                    [&](auto const& each) { return each.second.choice == choice; }));
}

std::optional<ChunkSchedule::Choice> ChunkSchedule::choose_rescue(std::size_t worker,
                                                                  std::vector<double> const& speeds,
                                                                  Seconds now) const {
  if (speeds[worker] == unknown_speed) return std::nullopt;
  std::optional<Choice> slowest;
  Seconds most_left{0};
  for (auto const& [id, request] : requests_) {
    auto const chunk = request.choice.chunk;
    auto const* const holder = find_holder(lists_.at(request.choice.list).holders, worker);
    if (request.worker == worker || holder == nullptr || holder->lacks.contains(chunk)) continue;
    auto const need = std::max(Seconds(request.bytes / speeds[worker]), patience);
    auto const elapsed = now - request.begun;
    auto const whole = Seconds(request.bytes / speeds[request.worker]);
    // One that is overdue is taken to need as long again.
    auto const left = elapsed < whole ? whole - elapsed : elapsed;
    bool const is_slow = std::max(whole, elapsed) > need * rescue_factor;
    if (!is_slow || left <= std::max(need, most_left)) continue;
    if (requests_count(request.choice) > 1) continue;  // two are enough
    most_left = left;
    slowest = request.choice;
  }
  return slowest;
}

ChunkSchedule::RequestId ChunkSchedule::begin(std::size_t worker, Choice choice, Seconds now) {
  auto& list = lists_.at(choice.list);
  auto const bytes = list.chunk_bytes.at(choice.chunk);
  if (choice.chunk == list.next) {
    ++list.next;
    list.waiting_bytes -= bytes;
  } else if (list.returned.erase(choice.chunk) > 0) {
    list.waiting_bytes -= bytes;
  }
  auto const id = next_id_++;
  requests_.emplace(id, Request{.worker = worker, .choice = choice, .bytes = bytes, .begun = now});
  return id;
}

// --- what came of it ---

std::vector<ChunkSchedule::RequestId> ChunkSchedule::got(RequestId request, Seconds now) {
  std::vector<RequestId> in_vain;
  auto const found = requests_.find(request);
  if (found == requests_.end()) return in_vain;
  auto const done = found->second;
  requests_.erase(found);
  workers_[done.worker].failures_in_a_row = 0;
  workers_[done.worker].measure(done.bytes, now - done.begun);
  auto& list = lists_.at(done.choice.list);
  --list.left_count;
  ++find_holder(list.holders, done.worker)->given_count;
  for (auto const& [id, other] : requests_) {
    if (other.choice == done.choice) in_vain.push_back(id);
  }
  for (auto const id : in_vain) {
    auto const other = requests_.extract(id).mapped();
    // It would have taken longer still.
    workers_[other.worker].measure(other.bytes, now - other.begun);
    if (list.served_by == other.worker &&
        find_holder(list.holders, other.worker)->given_count == 0) {
      fail_for(done.choice.list, other.worker, Why::outrun);
    }
  }
  return in_vain;
}

void ChunkSchedule::failed(RequestId request, ErrorKind kind) {
  auto const found = requests_.find(request);
  if (found == requests_.end()) return;
  auto const done = found->second;
  requests_.erase(found);
  auto& list = lists_.at(done.choice.list);
  if (requests_count(done.choice) == 0) {
    list.returned.insert(done.choice.chunk);
    list.waiting_bytes += done.bytes;
  }
  if (kind == ErrorKind::cancelled) return;
  find_holder(list.holders, done.worker)->lacks.insert(done.choice.chunk);
  fail_for(done.choice.list, done.worker, Why::has_failed);
  if (!is_of_the_object_alone(kind)) unreachable(done.worker);
}

void ChunkSchedule::unreachable(std::size_t worker) {
  if (workers_.size() <= worker) workers_.resize(worker + 1);
  if (++workers_[worker].failures_in_a_row >= failures_max) leave_out(worker);
}

void ChunkSchedule::leave_out(std::size_t worker) {
  if (std::exchange(workers_[worker].is_left_out, true)) return;
  for (auto const& [id, list] : lists_) {
    if (list.left_count > 0) fail_for(id, worker, Why::has_failed);
  }
}

void ChunkSchedule::take_back(std::size_t worker) {
  if (worker < workers_.size()) workers_[worker] = {};
}

bool ChunkSchedule::is_left_out(std::size_t worker) const {
  return worker < workers_.size() && workers_[worker].is_left_out;
}

ChunkSchedule::State ChunkSchedule::state(ListId id) const {
  auto const& list = lists_.at(id);
  if (list.left_count == 0) return State::complete;
  bool const is_anybody_left = owner(list) != nullptr;
  if (!is_anybody_left && list.next < list.chunk_bytes.size()) return State::lost;
  bool const is_lost =
      std::any_of(list.returned.begin(), list.returned.end(), [&](std::uint32_t chunk) {
        return std::none_of(list.holders.begin(), list.holders.end(), [&](Holder const& holder) {
          return !is_left_out(holder.worker) && !holder.lacks.contains(chunk);
        });
      });
  return is_lost ? State::lost : State::running;
}

void ChunkSchedule::fail_for(ListId id, std::size_t worker, Why why) {
  auto& list = lists_.at(id);
  auto* const holder = find_holder(list.holders, worker);
  if (holder == nullptr || holder->has_failed) return;
  holder->has_failed = true;
  if (list.served_by != worker) return;
  auto const next = std::find_if(list.holders.begin(), list.holders.end(),
                                 [](Holder const& h) { return !h.has_failed; });
  if (next == list.holders.end()) return;
  list.served_by = next->worker;
  fallbacks_.push_back({.list = id, .next = next->worker, .failed = worker, .why = why});
}

}  // namespace grove
