// Layouts and random tensor sizes for this room's tests.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

#include "format/safetensors.h"

namespace grove {

// Tensors of these sizes, one behind the other.
inline SafetensorsLayout layout_of(std::vector<std::uint64_t> const& sizes,
                                   std::uint64_t header_bytes = 1000) {
  SafetensorsLayout layout{.header_bytes = header_bytes, .data_bytes = 0, .tensors = {}};
  for (std::uint64_t const size : sizes) {
    layout.tensors.push_back({.span = {layout.data_bytes, layout.data_bytes + size}});
    layout.data_bytes += size;
  }
  return layout;
}

// `count` sizes up to `bytes_max`, one in four of them zero.
inline std::vector<std::uint64_t> random_sizes(std::mt19937_64& random, std::size_t count,
                                               std::uint64_t bytes_max) {
  std::vector<std::uint64_t> sizes(count);
  for (std::uint64_t& size : sizes) {
    size = random() % 4 == 0 ? 0 : random() % (bytes_max + 1);
  }
  return sizes;
}

}  // namespace grove
