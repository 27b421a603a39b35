#include "format/plane_payload.h"

#include <algorithm>
#include <cstdint>

#include "base/buffer.h"
#include "base/limits.h"
#include "format/little_endian.h"
#include "format/sample.h"

namespace grove {
namespace {

using PlaneLength = std::uint32_t;

// This thread's: room for the planes of a chunk.
std::span<std::byte> workspace() {
  thread_local Buffer room(limits::chunk_bytes_max);
  return room.span();
}

// The sizes that the planes take, in a payload that they fill.
Result<std::array<std::size_t, value_bytes_max>> plane_sizes(std::span<std::byte const> payload,
                                                             std::size_t value_bytes,
                                                             std::size_t raw_bytes) {
  std::array<std::size_t, value_bytes_max> sizes{};
  std::size_t const plane_bytes = raw_bytes / value_bytes;
  std::size_t total = value_bytes * sizeof(PlaneLength);
  if (payload.size() < total) {
    return fail(ErrorKind::corrupt, "{} bytes of payload have no room for the lengths of {} planes",
                payload.size(), value_bytes);
  }
  for (std::size_t p = 0; p < value_bytes; ++p) {
    sizes[p] = load_little_endian<PlaneLength>(payload, p * sizeof(PlaneLength));
    if (sizes[p] == 0 || sizes[p] > plane_bytes) {
      return fail(ErrorKind::corrupt, "plane {} of {} bytes cannot take {}", p, plane_bytes,
                  sizes[p]);
    }
    total += sizes[p];
  }
  total += raw_bytes % value_bytes;
  if (payload.size() != total) {
    return fail(ErrorKind::corrupt, "its planes take {} bytes, its payload has {}", total,
                payload.size());
  }
  return sizes;
}

}  // namespace

PlaneGuess guess_planes(std::span<std::byte const> planes, std::size_t value_bytes) {
  PlaneGuess guess;
  if (planes.empty()) return guess;
  std::size_t const plane_bytes = planes.size() / value_bytes;
  double sum = 0;
  for (std::size_t p = 0; p < value_bytes; ++p) {
    double const bits = estimate_bits(planes.subspan(p * plane_bytes, plane_bytes));
    sum += estimate_ratio(bits);
    if (bits >= bits_worth_coding) continue;
    guess.efforts[p] = bits < bits_worth_searching ? Effort::search : Effort::entropy;
  }
  guess.ratio = sum / static_cast<double>(value_bytes);
  return guess;
}

std::optional<std::size_t> encode_planes(PlaneGuess guess, std::size_t value_bytes,
                                         std::size_t planes_bytes,
                                         std::function<void(MutablePlanes const&)> const& split,
                                         std::span<std::byte const> left_over,
                                         std::span<std::byte> out) {
  GROVE_ASSERT(planes_bytes > 0 && planes_bytes % value_bytes == 0);
  std::size_t const plane_bytes = planes_bytes / value_bytes;
  MutablePlanes planes = adjacent_planes(workspace().first(planes_bytes), value_bytes);
  std::size_t used = value_bytes * sizeof(PlaneLength);
  for (std::size_t p = 0; p < value_bytes; ++p) {
    if (guess.efforts[p]) continue;
    if (out.size() < used + plane_bytes) return std::nullopt;
    planes[p] = out.subspan(used, plane_bytes);
    used += plane_bytes;
  }
  if (out.size() < used + left_over.size()) return std::nullopt;
  split(planes);

  for (std::size_t p = 0; p < value_bytes; ++p) {
    std::size_t size = plane_bytes;
    if (guess.efforts[p]) {
      auto const frame = encode_frame(planes[p], *guess.efforts[p], out.subspan(used));
      if (!frame) {  // the guess was wrong: once more without it
        guess.efforts[p].reset();
        return encode_planes(guess, value_bytes, planes_bytes, split, left_over, out);
      }
      size = *frame;
      used += size;
    }
    store_little_endian(out, p * sizeof(PlaneLength), static_cast<PlaneLength>(size));
  }
  if (out.size() < used + left_over.size()) return std::nullopt;
  std::ranges::copy(left_over, out.begin() + static_cast<std::ptrdiff_t>(used));
  return used + left_over.size();
}

Result<DecodedPlanes> decode_planes(std::span<std::byte const> payload, std::size_t value_bytes,
                                    std::size_t raw_bytes) {
  GROVE_ASSERT(raw_bytes <= limits::chunk_bytes_max);
  TRY(auto const sizes, plane_sizes(payload, value_bytes, raw_bytes));
  std::size_t const plane_bytes = raw_bytes / value_bytes;
  DecodedPlanes decoded;
  std::size_t begin = value_bytes * sizeof(PlaneLength);
  for (bool const is_frame : {false, true}) {
    for (std::size_t p = 0; p < value_bytes; ++p) {
      if ((sizes[p] < plane_bytes) != is_frame) continue;
      decoded.planes[p] = payload.subspan(begin, sizes[p]);
      begin += sizes[p];
    }
  }
  decoded.left_over = payload.subspan(begin);
  for (std::size_t p = 0; p < value_bytes; ++p) {
    if (sizes[p] == plane_bytes) continue;
    TRY(check_frame(decoded.planes[p], plane_bytes));
  }
  for (std::size_t p = 0; p < value_bytes; ++p) {
    if (sizes[p] == plane_bytes) continue;
    auto const plane = workspace().subspan(p * plane_bytes, plane_bytes);
    TRY(decode_frame(decoded.planes[p], plane));
    decoded.planes[p] = plane;
  }
  return decoded;
}

}  // namespace grove
