// Headers of tens of megabytes whose bulk is one string, one shape or one number, within a few
// megabytes of memory. Each is read in a process of its own, since peak memory is the process's.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <string>

#include <gtest/gtest.h>

#include "base/limits.h"
#include "format/safetensors.h"
#include "format/safetensors_fixture.h"

namespace grove {
namespace {

constexpr std::uint64_t one_string_bytes = 99'000'000;
constexpr std::uint64_t bulk_bytes = 6'000'000;  // where a debug build is slow
constexpr std::uint64_t block_bytes = 64 * limits::kib;
#ifdef __SANITIZE_ADDRESS__
// Memory that is reserved and never touched has a shadow that is.
constexpr long growth_max = 64 * limits::mib;
#else
constexpr long growth_max = 4 * limits::mib;
#endif

// `front`, then `filling` again and again up to `bytes`, then `back`, made as it is read.
class LargeHeader {
 public:
  LargeHeader(std::string front, std::string_view filling, std::string back,
              std::uint64_t bytes = bulk_bytes)
      : front_(std::move(front)), back_(std::move(back)) {
    while (block_.size() + filling.size() <= block_bytes) block_ += filling;
    blocks_count_ = bytes / block_.size();
  }

  std::uint64_t bytes() const {
    return 8 + front_.size() + blocks_count_ * block_.size() + back_.size();
  }

  HeaderOpener opener() const {
    return [this]() -> Result<ByteReader> {
      std::string head(8, '\0');
      store_little_endian(std::as_writable_bytes(std::span(head)), 0, bytes() - 8);
      return [this, head = head + front_, blocks_begun = std::uint64_t{0},
              next = std::size_t{0}](std::span<std::byte> target) mutable -> Result<std::size_t> {
        auto const text = [&]() -> std::string const& {
          if (blocks_begun == 0) return head;
          return blocks_begun <= blocks_count_ ? block_ : back_;
        };
        if (next == text().size() && blocks_begun <= blocks_count_) {
          ++blocks_begun;
          next = 0;
        }
        std::size_t const size = std::min(target.size(), text().size() - next);
        std::memcpy(target.data(), text().data() + next, size);
        next += size;
        return size;
      };
    };
  }

 private:
  std::string front_;
  std::string back_;
  std::string block_;
  std::uint64_t blocks_count_ = 0;
};

long peak_memory_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss * 1024;
}

// What `work` returned, or "it took … bytes" where its peak memory rose by more than growth_max.
std::string within_memory(std::function<std::string()> const& work) {
  std::array<int, 2> ends{};
  if (pipe(ends.data()) != 0) return "no pipe";
  pid_t const child = fork();
  if (child == 0) {
    long const before = peak_memory_bytes();
    std::string answer = work();
    long const growth = peak_memory_bytes() - before;
    if (growth > growth_max) answer = fmt::format("it took {} bytes", growth);
    bool const is_told = write(ends[1], answer.data(), answer.size()) >= 0;
    _exit(is_told ? 0 : 1);
  }
  close(ends[1]);
  std::string answer(4096, '\0');
  ssize_t const size = read(ends[0], answer.data(), answer.size());
  close(ends[0]);
  int status = 0;
  waitpid(child, &status, 0);
  return size > 0 && status == 0 ? answer.substr(0, static_cast<std::size_t>(size)) : "it died";
}

std::string parse(LargeHeader const& header, std::uint64_t data_bytes) {
  return within_memory([&] {
    auto const layout = parse_safetensors(header.opener()().value(), header.bytes() + data_bytes);
    return layout.has_error() ? layout.error().message
                              : fmt::format("{} tensors", layout.value().tensors.size());
  });
}

// Writes the header of the only shard, and counts its bytes.
std::string write_shard(LargeHeader const& header, std::uint64_t data_bytes) {
  return within_memory([&] {
    std::uint64_t bytes = 0;
    auto const written =
        write_shard_header(header.opener(), header.bytes() + data_bytes,
                           {.begin = 0, .end = data_bytes, .is_last_nonempty = true},
                           [&](std::span<std::byte const> text) -> Result<void> {
                             bytes += text.size();
                             return ok();
                           });
    if (written.has_error()) return written.error().message;
    return fmt::format("{} bytes", written.value() == bytes ? bytes : 0);
  });
}

std::string padded_size(LargeHeader const& header) {
  return fmt::format("{} bytes", (header.bytes() + 7) / 8 * 8);
}

TEST(LargeHeader, MayHaveOneMetadataValueOfAnySize) {
  LargeHeader const header(R"({"__metadata__":{"a":")", "x", "\"}}", one_string_bytes);
  EXPECT_EQ(parse(header, 0), "0 tensors");
  EXPECT_EQ(write_shard(header, 0), padded_size(header));
}

TEST(LargeHeader, MayHaveOneMetadataKeyOfAnySize) {
  LargeHeader const header(R"({"__metadata__":{")", R"(é\n\u0001)", R"(":""}})");
  EXPECT_EQ(parse(header, 0), "0 tensors");
  EXPECT_EQ(write_shard(header, 0), padded_size(header));
}

TEST(LargeHeader, MayHaveOneNameOfAnySize) {
  LargeHeader const header("{\"", "name", R"(":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
                           one_string_bytes);
  EXPECT_EQ(parse(header, 1), "1 tensors");
  EXPECT_EQ(write_shard(header, 1), padded_size(header));
}

TEST(LargeHeader, MayHaveOneShapeOfAnySize) {
  LargeHeader const header(R"({"t":{"shape":[1)", ",1", R"(],"dtype":"U8","data_offsets":[0,1]}})");
  EXPECT_EQ(write_shard(header, 1), padded_size(header));
}

TEST(LargeHeader, MayHaveOneUnknownFieldOfAnySize) {
  LargeHeader const header(R"({"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":[1)",
                           R"(,{"y":"z"},1.5)", "]}}");
  EXPECT_EQ(parse(header, 1), "1 tensors");
  EXPECT_EQ(write_shard(header, 1), "64 bytes");
}

TEST(LargeHeader, RefusesAStringThatDoesNotEnd) {
  LargeHeader const header("{\"", "x", "", one_string_bytes);
  EXPECT_EQ(parse(header, 0),
            fmt::format("the header is not valid JSON at byte {}", header.bytes()));
}

TEST(LargeHeader, RefusesADtypeThatDoesNotEnd) {
  LargeHeader const header(R"({"t":{"dtype":")", "x", "", one_string_bytes);
  EXPECT_EQ(parse(header, 0),
            fmt::format("the header is not valid JSON at byte {}", header.bytes()));
}

TEST(LargeHeader, RefusesANumberThatDoesNotEnd) {
  LargeHeader const header(R"({"t":{"shape":[1)", "0", "");
  EXPECT_EQ(parse(header, 0), "tensor \"t\": shape is not a list of integers within 0 and 2^64-1");
  LargeHeader const ignored(R"({"t":{"x":[1)", "0", "");
  EXPECT_EQ(parse(ignored, 0),
            fmt::format("the header is not valid JSON at byte {}", ignored.bytes()));
}

// The end is missing, and not reached.
TEST(LargeHeader, RefusesRepeatedMetadataKeysBeforeTheLast) {
  LargeHeader const header(R"({"__metadata__":{"":"")", R"(,"":"")", "\"", 7'000'000);
  auto const layout = parse_safetensors(header.opener()().value(), header.bytes());
  EXPECT_EQ(layout.error().message,
            "two entries of __metadata__ have the same name: before byte 27 and before byte 33");
}

}  // namespace
}  // namespace grove
