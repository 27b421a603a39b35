// Which holder fetches which chunk next, for all shards of a gather at once. Decisions only: the
// caller fetches, reports back and says how late it is (transfer/fetch.h).
//
// A list's owner is the first of its holders that can be reached; a worker that is free takes
//   1. a chunk that its list's owner turned out not to have,
//   2. the next chunk of a list it owns, in the file's order,
//   3. rather, or if there is none, one of a list whose owner is far behind,
//   4. a chunk that is under way from a much slower holder: the first copy that comes counts.
// So equal workers each serve their own shards, and a slow one only what it has time for.
//
// A holder that did not give a chunk is not asked for that one again. One that cannot be reached,
// or breaks the protocol, twice with nothing given between is left out of all lists: on a crowded
// link a single connection may well be starved to death. Threads: a value.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/error.h"

namespace grove {

// Whether this failure says nothing of the worker, only of what it was asked for.
inline bool is_of_the_object_alone(ErrorKind kind) {
  return kind == ErrorKind::corrupt || kind == ErrorKind::not_found;
}

class ChunkSchedule {
 public:
  using Seconds = std::chrono::duration<double>;  // since some beginning, the same in all calls
  using ListId = std::uint64_t;
  using RequestId = std::uint64_t;

  // `holders` are worker indexes in the order to try, one at least; `chunk_bytes` the sizes of the
  // chunks, each once, in the file's order.
  ListId add(std::vector<std::size_t> const& holders, std::vector<std::uint32_t> chunk_bytes);
  // Forgets the list and its requests: what is reported of them later is ignored.
  void remove(ListId list);

  struct Choice {
    ListId list = 0;
    std::uint32_t chunk = 0;  // place in chunk_bytes
    friend bool operator==(Choice const&, Choice const&) = default;
  };
  // What is worth asking `worker` for; later the answer may be another, though nothing was
  // reported.
  std::optional<Choice> choose(std::size_t worker, Seconds now) const;
  RequestId begin(std::size_t worker, Choice choice, Seconds now);

  // The chunk is there. Returns the requests that are under way for it in vain, and forgets them.
  std::vector<RequestId> got(RequestId request, Seconds now);
  // What the holder said; `cancelled` (not asked after all) changes nothing but that the chunk can
  // be chosen again.
  void failed(RequestId request, ErrorKind kind);
  // The worker did not answer another call.
  void unreachable(std::size_t worker);
  // The worker is somewhere else now, and worth asking again.
  void take_back(std::size_t worker);
  bool is_left_out(std::size_t worker) const;

  enum class State { running, complete, lost };  // lost: nobody is left to ask for some chunk
  State state(ListId list) const;
  // Whose copy the list is: the first holder, until it failed for this list; then the next.
  std::size_t served_by(ListId list) const { return lists_.at(list).served_by; }

  // `failed` served a list and does not any more; outrun: it had given none of it when another
  // holder brought the chunk it was asked for.
  enum class Why { has_failed, outrun };
  struct Fallback {
    ListId list = 0;
    std::size_t next = 0;
    std::size_t failed = 0;
    Why why = Why::has_failed;
    friend bool operator==(Fallback const&, Fallback const&) = default;
  };
  // Those that no call has returned yet.
  std::vector<Fallback> take_fallbacks() { return std::exchange(fallbacks_, {}); }

 private:
  struct Holder {
    std::size_t worker = 0;
    bool has_failed = false;
    std::size_t given_count = 0;
    std::set<std::uint32_t> lacks;
  };
  struct List {
    std::vector<Holder> holders;
    std::vector<std::uint32_t> chunk_bytes;
    std::uint32_t next = 0;            // those from here on were never asked for
    std::set<std::uint32_t> returned;  // asked for in vain
    std::uint64_t waiting_bytes = 0;   // of those two kinds
    std::size_t left_count = 0;        // that are not there yet
    std::size_t served_by = 0;
  };
  struct Request {
    std::size_t worker = 0;
    Choice choice;
    std::uint32_t bytes = 0;
    Seconds begun{};
  };
  struct Worker {
    bool is_left_out = false;
    int failures_in_a_row = 0;
    double bytes = 0;  // got in so many seconds, the older the less they count
    double seconds = 0;

    void measure(double got_bytes, Seconds took);
  };

  Holder const* owner(List const& list) const;
  // The first chunk of `list` that waits and that `holder` may have.
  static std::optional<std::uint32_t> first_waiting(List const& list, Holder const& holder);
  std::vector<double> speeds(Seconds now) const;
  std::optional<Choice> choose_orphan(std::size_t worker) const;
  std::optional<Choice> choose_waiting(std::size_t worker, std::vector<double> const& speeds) const;
  std::optional<Choice> choose_rescue(std::size_t worker, std::vector<double> const& speeds,
                                      Seconds now) const;
  std::size_t requests_count(Choice choice) const;  // under way for it
  void leave_out(std::size_t worker);
  void fail_for(ListId id, std::size_t worker, Why why);

  std::map<ListId, List> lists_;
  std::map<RequestId, Request> requests_;
  std::vector<Worker> workers_;  // by worker index
  std::vector<Fallback> fallbacks_;
  std::uint64_t next_id_ = 1;
};

}  // namespace grove
