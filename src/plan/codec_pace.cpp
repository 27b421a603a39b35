#include "plan/codec_pace.h"

#include "base/error.h"

namespace grove {
namespace {

// How much faster than the link the codec must be. The codec shares its cores with reading, hashing
// and sending, so at the link's own speed it would hold the link up.
constexpr double lead_min = 2;
// What is remembered: long enough to smooth a few chunks' jitter, short enough to follow the link.
constexpr double codec_seconds_max = 0.25;
constexpr double link_seconds_max = 4;

}  // namespace

void CodecPace::Speed::add(double more_bytes, double more_seconds, double seconds_max) {
  bytes += more_bytes;
  seconds += more_seconds;
  if (seconds <= seconds_max) return;
  bytes /= 2;
  seconds /= 2;
}

bool CodecPace::pays() const {
  return !codec_.is_known() || !link_.is_known() ||
         codec_.per_second() >= lead_min * link_.per_second();
}

void CodecPace::encoded(std::uint64_t raw_bytes, Seconds took) {
  codec_.add(static_cast<double>(raw_bytes), took.count(), codec_seconds_max);
}

void CodecPace::send_began(TimePoint now) {
  if (on_their_way_++ == 0) counted_to_ = now;
}

void CodecPace::send_ended(std::uint64_t bytes, TimePoint now) {
  GROVE_ASSERT(on_their_way_ > 0);
  --on_their_way_;
  link_.add(static_cast<double>(bytes), Seconds(now - counted_to_).count(), link_seconds_max);
  counted_to_ = now;
}

}  // namespace grove
