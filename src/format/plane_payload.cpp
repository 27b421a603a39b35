#include "format/plane_payload.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>

#include "base/buffer.h"
#include "base/limits.h"
#include "format/frame.h"
#include "format/little_endian.h"
#include "format/sample.h"

namespace grove {
namespace {

using PlaneLength = std::uint32_t;

// Enough of a large plane to know its entropy to about a hundredth, and a sixteenth of a small one.
SampleShape shape_for(std::size_t plane_bytes) {
  constexpr std::size_t windows_count = 8;
  std::size_t const window_bytes = std::clamp<std::size_t>(plane_bytes / 128 / 8 * 8, 64, 512);
  return {.windows_count = windows_count, .window_bytes = window_bytes};
}

std::optional<std::size_t> encode_plane(std::span<std::byte const> plane,
                                        std::span<std::byte> out) {
  std::array<std::byte, 8 * 512> sample;
  double const bits = estimate_bits(take_sample(plane, shape_for(plane.size()), sample));
  if (bits < bits_worth_coding) {
    Effort const effort = bits < bits_worth_searching ? Effort::search : Effort::entropy;
    if (auto const size = encode_frame(plane, effort, out)) return size;
  }
  if (plane.size() > out.size()) return std::nullopt;
  std::memcpy(out.data(), plane.data(), plane.size());
  return plane.size();
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

std::span<std::byte> plane_workspace(std::size_t size) {
  GROVE_ASSERT(size <= limits::chunk_bytes_max);
  thread_local Buffer workspace(limits::chunk_bytes_max);
  return workspace.span().first(size);
}

std::optional<std::size_t> encode_planes(std::span<std::byte const> planes,
                                         std::span<std::byte const> left_over,
                                         std::size_t value_bytes, std::span<std::byte> out) {
  GROVE_ASSERT(!planes.empty() && planes.size() % value_bytes == 0);
  std::size_t const plane_bytes = planes.size() / value_bytes;
  std::size_t used = value_bytes * sizeof(PlaneLength);
  for (std::size_t p = 0; p < value_bytes; ++p) {
    if (out.size() <= used) return std::nullopt;
    auto const size = encode_plane(planes.subspan(p * plane_bytes, plane_bytes), out.subspan(used));
    if (!size) return std::nullopt;
    store_little_endian(out, p * sizeof(PlaneLength), static_cast<PlaneLength>(*size));
    used += *size;
  }
  if (out.size() - used < left_over.size()) return std::nullopt;
  std::ranges::copy(left_over, out.begin() + static_cast<std::ptrdiff_t>(used));
  return used + left_over.size();
}

Result<DecodedPlanes> decode_planes(std::span<std::byte const> payload, std::size_t value_bytes,
                                    std::size_t raw_bytes) {
  TRY(auto const sizes, plane_sizes(payload, value_bytes, raw_bytes));
  std::size_t const plane_bytes = raw_bytes / value_bytes;
  DecodedPlanes decoded;
  std::size_t begin = value_bytes * sizeof(PlaneLength);
  for (std::size_t p = 0; p < value_bytes; ++p) {
    decoded.planes[p] = payload.subspan(begin, sizes[p]);
    begin += sizes[p];
    if (sizes[p] < plane_bytes) {
      TRY(check_frame(decoded.planes[p], plane_bytes));
    }
  }
  decoded.left_over = payload.subspan(begin);
  auto const workspace = plane_workspace(plane_bytes * value_bytes);
  for (std::size_t p = 0; p < value_bytes; ++p) {
    if (sizes[p] == plane_bytes) continue;
    auto const plane = workspace.subspan(p * plane_bytes, plane_bytes);
    TRY(decode_frame(decoded.planes[p], plane));
    decoded.planes[p] = plane;
  }
  return decoded;
}

}  // namespace grove
