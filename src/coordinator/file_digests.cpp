#include "coordinator/file_digests.h"

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "base/limits.h"

namespace grove {
namespace fs = std::filesystem;
namespace {

// What is read between two looks whether anybody still wants it.
constexpr std::uint64_t piece_bytes = 64 * limits::mib;

// How many bytes there were, at most piece_bytes.
Result<std::uint64_t> hash_piece(File const& file, std::uint64_t offset, Sha256& hash) {
  std::vector<std::byte> buffer(limits::mib);
  std::uint64_t done = 0;
  while (done < piece_bytes) {
    TRY(auto const count, file.read_at(buffer, offset + done));
    if (count == 0) break;
    hash.update(std::span(buffer).first(count));
    done += count;
  }
  return done;
}

Result<void> check_unchanged(File const& file, FileStamp const& stamp) {
  TRY(auto const now, file.stamp());
  if (now == stamp) return ok();
  return fail(ErrorKind::conflict, "{} is being changed; ask again",
              printable(file.path().native()));
}

}  // namespace

Awaitable<Result<FileDigest>> digest_of(Offload& offload, File const& file) {
  Sha256 hash;
  std::uint64_t bytes = 0;
  for (;;) {
    CO_TRY(auto const read, co_await offload.run([&] { return hash_piece(file, bytes, hash); }));
    bytes += read;
    if (read < piece_bytes) break;
    bool const stopped = co_await is_cancelled();
    if (stopped) co_return fail(ErrorKind::cancelled, "not read to its end");
  }
  co_return FileDigest{.sha256 = hash.finish(), .bytes = bytes};
}

FileDigests::FileDigests(asio::any_io_executor executor, Offload& offload)
    : offload_(offload), turns_(executor, 1), read_(executor), tasks_(std::move(executor)) {}

Awaitable<void> FileDigests::stop(std::chrono::milliseconds grace) {
  co_await tasks_.stop(grace);
}

std::shared_ptr<FileDigests::Reading> FileDigests::find_or_begin(Reading wanted) {
  auto const known = std::ranges::find_if(readings_, [&](auto const& it) {
    return it->root == wanted.root && it->relative == wanted.relative && it->stamp == wanted.stamp;
  });
  if (known != readings_.end()) return *known;
  if (readings_.size() >= limits::digests_kept_max) {
    // Of those that were read the oldest; while all are still waited for, this one waits, too.
    auto const oldest = std::find_if(readings_.rbegin(), readings_.rend(),
                                     [](auto const& it) { return it->digest.has_value(); });
    if (oldest == readings_.rend()) return nullptr;
    readings_.erase(std::next(oldest).base());
  }
  auto reading = std::make_shared<Reading>(std::move(wanted));
  readings_.push_front(reading);
  tasks_.spawn("read a file for its digest", read(reading));
  return reading;
}

Awaitable<Result<std::optional<Digest>>> FileDigests::of(fs::path root, fs::path relative,
                                                         FileStamp stamp) {
  auto const deadline = std::chrono::steady_clock::now() + limits::digest_wait;
  auto const reading = find_or_begin(
      {.root = std::move(root), .relative = std::move(relative), .stamp = stamp, .digest = {}});
  if (!reading) co_return std::optional<Digest>();
  while (!reading->digest) {
    bool const notified = co_await read_.wait_until(deadline);
    if (!notified) co_return std::optional<Digest>();
  }
  if (reading->digest->has_value()) co_return std::optional(reading->digest->value());
  // Tried anew when somebody asks again.
  std::erase(readings_, reading);
  co_return reading->digest->error();
}

Awaitable<void> FileDigests::read(std::shared_ptr<Reading> reading) {
  auto turn = co_await turns_.acquire(1);
  if (turn.has_error()) {
    reading->digest = turn.error();
  } else {
    reading->digest = co_await digest(*reading);
  }
  read_.notify_all();
}

Awaitable<Result<Digest>> FileDigests::digest(Reading const& reading) {
  auto opened = co_await offload_.run([&]() -> Result<File> {
    TRY(auto file, File::open_beneath(reading.root, reading.relative));
    TRY(check_unchanged(file, reading.stamp));
    file.will_read_in_order();
    return file;
  });
  CO_TRY(auto const file, std::move(opened));
  CO_TRY(auto const found, co_await digest_of(offload_, file));
  CO_TRY(co_await offload_.run([&] { return check_unchanged(file, reading.stamp); }));
  co_return found.sha256;
}

}  // namespace grove
