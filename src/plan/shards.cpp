#include "plan/shards.h"

#include <algorithm>
#include <bit>
#include <iterator>

#include <fmt/format.h>

#include "base/limits.h"

namespace grove {

namespace {

// See limits::opaque_chunks_count: below this, lists would grow and nothing would be gained.
constexpr std::uint64_t opaque_chunk_bytes_min = 64 * limits::kib;

// Where each tensor with bytes ends, ascending, relative to the header's end. Tensors follow one
// another without gaps, so this is also the list of the places where a shard may be cut.
using Borders = std::vector<std::uint64_t>;

Borders borders_of(SafetensorsLayout const& layout) {
  Borders borders;
  borders.reserve(layout.tensors.size());
  for (LayoutTensor const& tensor : layout.tensors) {
    if (tensor.span.end > tensor.span.begin) {
      borders.push_back(tensor.span.end);
    }
  }
  GROVE_ASSERT((borders.empty() ? 0 : borders.back()) == layout.data_bytes);
  return borders;
}

std::uint64_t begin_of(Borders const& borders, std::size_t tensor) {
  return tensor == 0 ? 0 : borders[tensor - 1];
}

// The number of tensors in front of the last border at or before `begin_of(from) + bytes`.
std::size_t reach(Borders const& borders, std::size_t from, std::uint64_t bytes) {
  std::uint64_t const begin = begin_of(borders, from);
  // Compared as a length, since begin + bytes might not fit.
  auto const past =
      std::partition_point(borders.begin() + static_cast<std::ptrdiff_t>(from), borders.end(),
                           [&](std::uint64_t border) { return border - begin <= bytes; });
  return static_cast<std::size_t>(past - borders.begin());
}

bool fits(Borders const& borders, std::uint32_t shards_count, std::uint64_t shard_bytes_max) {
  std::size_t next = 0;
  for (std::uint32_t shard = 0; shard < shards_count && next < borders.size(); ++shard) {
    next = reach(borders, next, shard_bytes_max);
  }
  return next == borders.size();
}

// The smallest size that the largest of `shards_count` shards can have.
std::uint64_t smallest_largest(Borders const& borders, std::uint32_t shards_count) {
  std::uint64_t low = 0;  // the largest tensor: no shard that holds it can be smaller
  for (std::size_t tensor = 0; tensor < borders.size(); ++tensor) {
    low = std::max(low, borders[tensor] - begin_of(borders, tensor));
  }
  std::uint64_t high = borders.empty() ? 0 : borders.back();
  while (low < high) {
    std::uint64_t const middle = low + (high - low) / 2;
    if (fits(borders, shards_count, middle)) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return low;
}

// first[i]: the fewest tensors that must lie in front of shard i so that shards i .. end can take
// the rest with at most `shard_bytes_max` each.
std::vector<std::size_t> earliest_cuts(Borders const& borders, std::uint32_t shards_count,
                                       std::uint64_t shard_bytes_max) {
  std::vector<std::size_t> first(shards_count + 1, borders.size());
  for (std::uint32_t shard = shards_count; shard-- > 0;) {
    std::size_t const last = first[shard + 1];
    std::uint64_t const end = begin_of(borders, last);
    std::uint64_t const begin_min = end - std::min(end, shard_bytes_max);
    // The tensor that ends at a border begins at the one before; offset 0 is in front of them all.
    first[shard] = begin_min == 0
                       ? 0
                       : static_cast<std::size_t>(std::ranges::lower_bound(borders, begin_min) -
                                                  borders.begin()) +
                             1;
  }
  return first;
}

// Cuts in counts of tensors: shard i holds tensors cuts[i] .. cuts[i + 1]. The largest shard is as
// small as it can be; within that, each takes its even part of what is left, and none stays empty
// while there are tensors enough.
std::vector<std::size_t> cut_evenly(Borders const& borders, std::uint32_t shards_count) {
  std::uint64_t const shard_bytes_max = smallest_largest(borders, shards_count);
  std::vector<std::size_t> const earliest = earliest_cuts(borders, shards_count, shard_bytes_max);
  std::size_t const tensors_count = borders.size();
  std::vector<std::size_t> cuts{0};
  cuts.reserve(shards_count + 1);
  for (std::uint32_t shard = 0; shard < shards_count; ++shard) {
    std::size_t const first = cuts.back();
    if (first == tensors_count) {
      cuts.push_back(first);
      continue;
    }
    std::uint64_t const begin = begin_of(borders, first);
    std::size_t const shards_left = shards_count - shard;
    std::uint64_t const even_part = (borders.back() - begin) / shards_left;

    std::size_t cut = reach(borders, first, even_part);
    if (cut < tensors_count) {
      std::uint64_t const below = even_part - (begin_of(borders, cut) - begin);
      std::uint64_t const above = borders[cut] - begin - even_part;
      cut += above < below ? 1 : 0;
    }
    std::size_t const tensors_left = tensors_count - first;
    std::size_t const leave = std::min(shards_left, tensors_left) - 1;  // one for each of the rest
    std::size_t const least = std::max(first + 1, earliest[shard + 1]);
    std::size_t const most =
        std::min(reach(borders, first, shard_bytes_max), tensors_count - leave);
    GROVE_ASSERT(least <= most);
    cuts.push_back(std::clamp(cut, least, most));
  }
  GROVE_ASSERT(cuts.back() == tensors_count);
  return cuts;
}

// The shard that owns the zero-size tensors at the very end of the data: the last that is not
// empty; where all are, the first.
std::size_t owner_of_the_end(std::vector<ShardPlan> const& shards) {
  for (std::size_t index = shards.size(); index-- > 0;) {
    if (shards[index].begin < shards[index].end) {
      return index;
    }
  }
  return 0;
}

// By the rule of write_shard_header and shard_span (format/), so that a shard's count in the
// manifest is that of its exported file.
void count_tensors(SafetensorsLayout const& layout, std::vector<ShardPlan>& shards) {
  std::size_t const end_owner = owner_of_the_end(shards);
  std::size_t owner = 0;
  for (LayoutTensor const& tensor : layout.tensors) {
    if (tensor.span.begin == layout.data_bytes) {
      ++shards[end_owner].tensors_count;
      continue;
    }
    while (shards[owner].end <= layout.header_bytes + tensor.span.begin) {
      ++owner;
    }
    ++shards[owner].tensors_count;
  }
}

void append_grid(std::vector<ChunkSlice>& slices, std::uint64_t begin, std::uint64_t end,
                 std::uint64_t step, ValueType values = ValueType::unknown) {
  for (std::uint64_t offset = begin; offset < end; offset += std::min(step, end - offset)) {
    slices.push_back({.offset = offset,
                      .bytes = static_cast<std::uint32_t>(std::min(step, end - offset)),
                      .values = values});
  }
}

// All chunks of the tensor data, in file order.
std::vector<ChunkSlice> cut_chunks(SafetensorsLayout const& layout) {
  std::vector<ChunkSlice> slices;
  std::uint64_t const header_bytes = layout.header_bytes;
  std::uint64_t group_begin = 0;
  std::uint64_t begin = 0;
  ValueType group_values = ValueType::unknown;
  auto const close_group = [&] {
    append_grid(slices, header_bytes + group_begin, header_bytes + begin, limits::chunk_bytes_max,
                group_values);
  };
  static_assert(limits::group_bytes_max <= limits::chunk_bytes_max);
  for (auto const& [span, fingerprint, values] : layout.tensors) {
    std::uint64_t const end = span.end;
    if (end == begin) {
      continue;
    }
    if (end - begin >= limits::group_bytes_max) {
      close_group();
      append_grid(slices, header_bytes + begin, header_bytes + end, limits::chunk_bytes_max,
                  values);
      group_begin = end;
    } else {
      if (end - group_begin > limits::group_bytes_max) {
        close_group();
        group_begin = begin;
      }
      bool const is_first = group_begin == begin;
      group_values = is_first || group_values == values ? values : ValueType::unknown;
    }
    begin = end;
  }
  close_group();
  return slices;
}

// Those of `slices`, which follow one another, that have bytes in [begin, end).
std::vector<ChunkSlice> chunks_within(std::vector<ChunkSlice> const& slices, std::uint64_t begin,
                                      std::uint64_t end) {
  if (begin == end) {
    return {};
  }
  auto const first = std::ranges::partition_point(
      slices, [&](ChunkSlice const& slice) { return slice.offset + slice.bytes <= begin; });
  auto const last = std::partition_point(
      first, slices.end(), [&](ChunkSlice const& slice) { return slice.offset < end; });
  return {first, last};
}

std::string_view name_of(CheckpointKind kind) {
  return kind == CheckpointKind::safetensors ? "safetensors" : "opaque";
}

}  // namespace

FilePlan plan_safetensors(SafetensorsLayout const& layout, std::uint32_t shards_count) {
  GROVE_ASSERT(shards_count >= 1);
  Borders const borders = borders_of(layout);
  std::vector<std::size_t> const cuts = cut_evenly(borders, shards_count);
  std::vector<ChunkSlice> const slices = cut_chunks(layout);

  FilePlan plan{.kind = CheckpointKind::safetensors,
                .file_bytes = layout.header_bytes + layout.data_bytes,
                .header_bytes = layout.header_bytes,
                .tensors_count = layout.tensors.size(),
                .header_chunks = {},
                .shards = {}};
  append_grid(plan.header_chunks, 0, layout.header_bytes, limits::chunk_bytes_max);
  plan.shards.reserve(shards_count);
  for (std::uint32_t shard = 0; shard < shards_count; ++shard) {
    std::uint64_t const begin = layout.header_bytes + begin_of(borders, cuts[shard]);
    std::uint64_t const end = layout.header_bytes + begin_of(borders, cuts[shard + 1]);
    plan.shards.push_back({.begin = begin,
                           .end = end,
                           .tensors_count = 0,
                           .chunks = chunks_within(slices, begin, end)});
  }
  count_tensors(layout, plan.shards);
  return plan;
}

FilePlan plan_opaque(std::uint64_t file_bytes, std::uint32_t shards_count) {
  GROVE_ASSERT(shards_count >= 1);
  std::uint64_t const step = std::clamp(std::bit_floor(file_bytes / limits::opaque_chunks_count),
                                        opaque_chunk_bytes_min, limits::chunk_bytes_max);
  std::vector<ChunkSlice> slices;
  append_grid(slices, 0, file_bytes, step);

  FilePlan plan{.kind = CheckpointKind::opaque,
                .file_bytes = file_bytes,
                .header_bytes = 0,
                .tensors_count = 0,
                .header_chunks = {},
                .shards = {}};
  plan.shards.reserve(shards_count);
  // file_bytes * index / shards_count without the product, which may not fit in 64 bits.
  std::uint64_t const whole = file_bytes / shards_count;
  std::uint64_t const rest = file_bytes % shards_count;
  auto const border = [&](std::uint64_t index) {
    return whole * index + rest * index / shards_count;
  };
  for (std::uint32_t shard = 0; shard < shards_count; ++shard) {
    std::uint64_t const begin = border(shard);
    std::uint64_t const end = border(shard + 1ULL);
    plan.shards.push_back({.begin = begin,
                           .end = end,
                           .tensors_count = 0,
                           .chunks = chunks_within(slices, begin, end)});
  }
  return plan;
}

std::string FilePlan::text() const {
  std::string lines = fmt::format(
      "{}: {} bytes, header {} bytes in {} chunks, {} tensors, {} shards\n", name_of(kind),
      file_bytes, header_bytes, header_chunks.size(), tensors_count, shards.size());
  for (std::size_t index = 0; index < shards.size(); ++index) {
    ShardPlan const& shard = shards[index];
    fmt::format_to(std::back_inserter(lines), "shard {}: [{}, {}) {} bytes, {} tensors, {} chunks",
                   index, shard.begin, shard.end, shard.end - shard.begin, shard.tensors_count,
                   shard.chunks.size());
    if (!shard.chunks.empty()) {
      fmt::format_to(std::back_inserter(lines), " over [{}, {})", shard.chunks.front().offset,
                     shard.chunks.back().offset + shard.chunks.back().bytes);
    }
    lines += '\n';
  }
  return lines;
}

}  // namespace grove
