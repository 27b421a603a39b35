// Whether coding a chunk before it is sent pays on this link, by measurement: it does where the
// codec makes bytes a good deal faster than the link takes them, and then hides behind the sending.
// Where it does not, a chunk is coded now and then all the same, since either speed may change.
// Not here: which codec, and what a user demands (transfer/chunk_sender.h).
// Pure: whoever measures says what time it is. Threads: one at a time.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace grove {

class CodecPace {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;
  using Seconds = std::chrono::duration<double>;

  // True while nothing is measured yet.
  bool pays() const;
  // To be asked once for each chunk.
  bool encodes_next() { return pays() || ++sent_raw_ % probe_period == 0; }

  void encoded(std::uint64_t raw_bytes, Seconds took);

  // Sends overlap: the link's speed is all their bytes by the time in which any was on its way.
  void send_began(TimePoint now);
  // `bytes`: as they travelled; 0 where the send failed.
  void send_ended(std::uint64_t bytes, TimePoint now);

 private:
  // One chunk in so many is coded where it does not pay: with 4 MiB chunks this costs a link that
  // is as fast as the codec 1.6 % of the time.
  static constexpr std::size_t probe_period = 64;

  // Of the last while: older measurements count for ever less.
  struct Speed {
    double bytes = 0;
    double seconds = 0;

    void add(double more_bytes, double more_seconds, double seconds_max);
    bool is_known() const { return seconds > 0 && bytes > 0; }
    double per_second() const { return bytes / seconds; }
  };

  Speed codec_;
  Speed link_;
  std::size_t on_their_way_ = 0;
  TimePoint counted_to_{};  // the link's time is counted up to here
  std::size_t sent_raw_ = 0;
};

}  // namespace grove
