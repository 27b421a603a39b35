// Who is asked next of all that announce themselves as workers, however many do: in the order they
// were heard, those that are looked for before strangers, and all a first time before any is asked
// once more.
// Not here: the asking (discovery.h). Threads: values.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>

#include "net/asio.h"

namespace grove {

struct Candidate {
  asio::ip::address address;
  std::uint16_t port = 0;
  bool is_looked_for = false;
  bool was_asked = false;  // in vain
};

class CandidateQueue {
 public:
  void add(Candidate candidate) { of(candidate).push_back(candidate); }

  std::optional<Candidate> take() {
    for (auto& queue : queues_) {
      if (queue.empty()) continue;
      auto const first = queue.front();
      queue.pop_front();
      return first;
    }
    return std::nullopt;
  }

 private:
  std::deque<Candidate>& of(Candidate const& candidate) {
    return queues_[(candidate.was_asked ? 2U : 0U) + (candidate.is_looked_for ? 0U : 1U)];
  }

  std::array<std::deque<Candidate>, 4> queues_;
};

}  // namespace grove
