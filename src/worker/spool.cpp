#include "worker/spool.h"

#include <cstring>
#include <utility>

namespace grove {

Result<void> Spool::append(std::span<std::byte const> bytes) {
  if (!file_ && size_ + bytes.size() <= memory_bytes_max) {
    memory_.insert(memory_.end(), bytes.begin(), bytes.end());
    size_ += bytes.size();
    return ok();
  }
  if (!file_) {
    TRY(auto file, PendingFile::create(folder_));
    TRY(file.file().write_at(memory_, 0));
    file_ = std::make_unique<PendingFile>(std::move(file));
    memory_ = {};
  }
  TRY(file_->file().write_at(bytes, size_));
  size_ += bytes.size();
  return ok();
}

Result<void> Spool::read_at(std::span<std::byte> bytes, std::uint64_t offset) const {
  GROVE_ASSERT(offset <= size_ && bytes.size() <= size_ - offset);
  if (file_) return file_->file().read_exactly_at(bytes, offset);
  if (!bytes.empty()) std::memcpy(bytes.data(), memory_.data() + offset, bytes.size());
  return ok();
}

}  // namespace grove
