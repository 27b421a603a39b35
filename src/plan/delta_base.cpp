#include "plan/delta_base.h"

#include <algorithm>
#include <iterator>
#include <numeric>
#include <tuple>

#include "base/error.h"
#include "base/limits.h"

namespace grove {

namespace {

std::uint64_t bytes_of(LayoutTensor const& tensor) {
  return tensor.span.end - tensor.span.begin;
}

// Finds tensors of a layout by what they are. Between two steps of a run nearly every tensor has
// the same neighbour as before, so the one behind the last that was found is tried first; the index
// is made when that does not help.
class TensorFinder {
 public:
  explicit TensorFinder(std::vector<LayoutTensor> const& tensors) : tensors_(tensors) {}

  // nullptr: there is none.
  LayoutTensor const* find(LayoutTensor const& wanted) {
    if (next_ < tensors_.size() && is_same(tensors_[next_], wanted)) {
      return &tensors_[next_++];
    }
    if (by_fingerprint_.empty()) {
      make_index();
    }
    auto const found =
        std::ranges::lower_bound(by_fingerprint_, wanted.fingerprint, {},
                                 [this](std::uint32_t at) { return tensors_[at].fingerprint; });
    if (found == by_fingerprint_.end() || !is_same(tensors_[*found], wanted)) {
      return nullptr;
    }
    next_ = *found + std::size_t{1};
    return &tensors_[*found];
  }

 private:
  // The lengths differ only where two fingerprints are equal by chance.
  static bool is_same(LayoutTensor const& a, LayoutTensor const& b) {
    return a.fingerprint == b.fingerprint && bytes_of(a) == bytes_of(b);
  }

  void make_index() {
    GROVE_ASSERT(tensors_.size() <= UINT32_MAX);
    by_fingerprint_.resize(tensors_.size());
    std::iota(by_fingerprint_.begin(), by_fingerprint_.end(), std::uint32_t{0});
    std::ranges::sort(by_fingerprint_, {},
                      [this](std::uint32_t at) { return tensors_[at].fingerprint; });
  }

  std::vector<LayoutTensor> const& tensors_;
  std::size_t next_ = 0;
  std::vector<std::uint32_t> by_fingerprint_;
};

}  // namespace

DeltaPairs::DeltaPairs(SafetensorsLayout const& layout, SafetensorsLayout const& earlier,
                       std::span<ShardList const> lists) {
  pair_tensors(layout, earlier);
  keep_chunks(lists);
  number_tensors(layout);
}

void DeltaPairs::pair_tensors(SafetensorsLayout const& layout, SafetensorsLayout const& earlier) {
  TensorFinder finder(earlier.tensors);
  for (LayoutTensor const& tensor : layout.tensors) {
    LayoutTensor const* const same = finder.find(tensor);
    if (same == nullptr || bytes_of(tensor) == 0) {
      continue;
    }
    add_pair({.begin = layout.header_bytes + tensor.span.begin,
              .end = layout.header_bytes + tensor.span.end,
              .earlier_begin = earlier.header_bytes + same->span.begin});
  }
  runs_.shrink_to_fit();
}

void DeltaPairs::add_pair(Run pair) {
  bool const goes_on =
      !runs_.empty() && runs_.back().end == pair.begin &&
      pair.earlier_begin - runs_.back().earlier_begin == pair.begin - runs_.back().begin;
  if (goes_on) {
    runs_.back().end = pair.end;
  } else {
    runs_.push_back(pair);
  }
}

void DeltaPairs::keep_chunks(std::span<ShardList const> lists) {
  std::size_t count = 0;
  for (ShardList const& list : lists) {
    count += list.chunks.size();
  }
  chunks_.reserve(count);
  for (ShardList const& list : lists) {
    std::uint64_t offset = list.file_offset;
    for (ChunkRef const& chunk : list.chunks) {
      chunks_.push_back(
          {.digest = chunk.digest, .file_offset = offset, .raw_bytes = chunk.raw_bytes});
      offset += chunk.raw_bytes;
    }
  }
  auto const by_place = [](DeltaBase const& a, DeltaBase const& b) {
    return std::tie(a.file_offset, a.raw_bytes) < std::tie(b.file_offset, b.raw_bytes);
  };
  if (!std::is_sorted(chunks_.begin(), chunks_.end(), by_place)) {
    std::sort(chunks_.begin(), chunks_.end(), by_place);
  }
}

void DeltaPairs::number_tensors(SafetensorsLayout const& layout) {
  bool is_in_group = false;
  for (LayoutTensor const& tensor : layout.tensors) {
    if (bytes_of(tensor) == 0) {
      continue;
    }
    bool const is_small = bytes_of(tensor) < limits::group_bytes_max;
    if (!is_small || !is_in_group) {
      tensors_.push_back(layout.header_bytes + tensor.span.begin);
    }
    is_in_group = is_small;
  }
  tensors_.shrink_to_fit();
}

std::optional<DeltaBase> DeltaPairs::find(ChunkSlice const& slice) const {
  auto const behind = std::ranges::upper_bound(runs_, slice.offset, {}, &Run::begin);
  if (behind == runs_.begin()) {
    return std::nullopt;
  }
  Run const& run = *std::prev(behind);
  if (slice.offset >= run.end || slice.bytes > run.end - slice.offset) {
    return std::nullopt;
  }
  std::uint64_t const offset = run.earlier_begin + (slice.offset - run.begin);
  auto const found = std::lower_bound(
      chunks_.begin(), chunks_.end(), std::tie(offset, slice.bytes),
      [](DeltaBase const& chunk, std::tuple<std::uint64_t const&, std::uint32_t const&> place) {
        return std::tie(chunk.file_offset, chunk.raw_bytes) < place;
      });
  if (found == chunks_.end() || found->file_offset != offset || found->raw_bytes != slice.bytes) {
    return std::nullopt;
  }
  return *found;
}

std::size_t DeltaPairs::tensor_of(ChunkSlice const& slice) const {
  auto const behind = std::ranges::upper_bound(tensors_, slice.offset);
  GROVE_ASSERT(behind != tensors_.begin());
  return static_cast<std::size_t>(behind - tensors_.begin()) - 1;
}

}  // namespace grove
