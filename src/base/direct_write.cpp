#include "base/direct_write.h"

#include <stdlib.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>

#include "base/limits.h"

namespace grove {
namespace {

// Offsets, lengths and memory must be multiples of the disk's blocks (open(2), O_DIRECT): of 512 or
// 4096 bytes.
constexpr std::size_t block_bytes = 4096;
// Copied into aligned memory in such pieces: they stay in a core's cache between copy and write.
constexpr std::size_t piece_bytes = limits::mib;
constexpr std::size_t direct_bytes_min = 256 * limits::kib;

struct Free {
  void operator()(std::byte* bytes) const { ::free(bytes); }
};
using AlignedPiece = std::unique_ptr<std::byte, Free>;

// One for each thread that writes, for as long as it lives.
std::byte* aligned_piece() {
  thread_local AlignedPiece const piece(
      static_cast<std::byte*>(::aligned_alloc(block_bytes, piece_bytes)));
  if (piece == nullptr) throw std::bad_alloc();
  return piece.get();
}

// Writes `bytes`, and zeros up to the end of the last block.
Result<void> write_blocks(File& direct, std::span<std::byte const> bytes) {
  std::byte* const piece = aligned_piece();
  std::uint64_t offset = 0;
  while (!bytes.empty()) {
    auto const taken = std::min(bytes.size(), piece_bytes);
    std::memcpy(piece, bytes.data(), taken);
    auto const length = (taken + block_bytes - 1) / block_bytes * block_bytes;
    std::memset(piece + taken, 0, length - taken);
    TRY(direct.write_at({piece, length}, offset));
    bytes = bytes.subspan(taken);
    offset += length;
  }
  return ok();
}

}  // namespace

Result<void> write_past_cache(File& file, std::span<std::byte const> bytes) {
  if (bytes.size() < direct_bytes_min) return file.write_at(bytes, 0);
  auto direct = file.reopen_past_cache();
  if (!direct) return file.write_at(bytes, 0);
  // A file system may refuse only now, whatever it wants instead: the cache takes anything. What
  // is wrong with the disk shows there again.
  if (!write_blocks(*direct, bytes)) {
    TRY(file.write_at(bytes, 0));
  }
  return file.truncate(bytes.size());
}

}  // namespace grove
