// A block of bytes that is not cleared when it is made: chunk bodies are up to 4 MiB, and clearing
// each one before reading into it would cost as much as copying it.
// Threads: owned by one task at a time; move it to hand it on.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <utility>

namespace grove {

class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(std::size_t size)
      : bytes_(std::make_unique_for_overwrite<std::byte[]>(size)), size_(size) {}
  Buffer(Buffer&& other) noexcept
      : bytes_(std::move(other.bytes_)), size_(std::exchange(other.size_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    bytes_ = std::move(other.bytes_);
    size_ = std::exchange(other.size_, 0);
    return *this;
  }

  std::byte* data() { return bytes_.get(); }
  std::byte const* data() const { return bytes_.get(); }
  std::size_t size() const { return size_; }
  std::span<std::byte> span() { return {bytes_.get(), size_}; }
  std::span<std::byte const> span() const { return {bytes_.get(), size_}; }

  // Makes the buffer shorter; the memory is kept. `size` must not exceed size().
  void shrink(std::size_t size) { size_ = size < size_ ? size : size_; }
  // The same, and most of the memory behind it is given back, at the price of a copy.
  void trim(std::size_t size) {
    if (size < size_ - size_ / 8) {
      Buffer smaller(size);
      std::copy_n(bytes_.get(), size, smaller.data());
      *this = std::move(smaller);
    } else {
      shrink(size);
    }
  }

 private:
  std::unique_ptr<std::byte[]> bytes_;
  std::size_t size_ = 0;
};

}  // namespace grove
