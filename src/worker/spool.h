// Bytes that are produced once, in order, and read in any order afterwards: in memory while they
// are few, else in a temporary file that vanishes with the spool.
// Threads: one at a time; blocks on the disk.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/limits.h"

namespace grove {

class Spool {
 public:
  static constexpr std::uint64_t memory_bytes_max = 1 * limits::mib;

  // `folder` is where the file goes if there has to be one.
  explicit Spool(std::filesystem::path folder) : folder_(std::move(folder)) {}

  // Fails: exhausted (disk full).
  Result<void> append(std::span<std::byte const> bytes);
  std::uint64_t size() const { return size_; }
  // Reads exactly bytes.size() at `offset`; the range must lie within size().
  Result<void> read_at(std::span<std::byte> bytes, std::uint64_t offset) const;

 private:
  std::filesystem::path folder_;
  std::vector<std::byte> memory_;
  std::unique_ptr<PendingFile> file_;
  std::uint64_t size_ = 0;
};

}  // namespace grove
