// The SHA-256 of a checkpoint's own file, as it is under ckpt_root, so that one that was only
// touched is told from one that was written over. Files are read in the background, one at a time,
// and the last answers are remembered: whoever asks again and again has it read once.
// Not here: when that matters (api.h), what a store reads (transfer/chunk_source.h).
// Threads: the coordinator's executor; the disk is read through the offload.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <memory>
#include <optional>

#include "base/digest.h"
#include "base/error.h"
#include "base/file.h"
#include "net/asio.h"
#include "net/offload.h"
#include "net/semaphore.h"
#include "net/signal.h"
#include "net/task_group.h"

namespace grove {

// Of all bytes of `file`, which must outlive the call, and how many there were.
struct FileDigest {
  Digest sha256;
  std::uint64_t bytes = 0;
};
// Reads it in pieces, so that a task that is cancelled ends soon. Fails: as File; cancelled.
Awaitable<Result<FileDigest>> digest_of(Offload& offload, File const& file);

class FileDigests {
 public:
  // `offload` must outlive it.
  FileDigests(asio::any_io_executor executor, Offload& offload);

  // Of the file `relative` beneath `root` while it has this stamp. None: it is still being read
  // after limits::digest_wait; ask again.
  // Fails: as File::open_beneath; conflict (it changes meanwhile); cancelled.
  Awaitable<Result<std::optional<Digest>>> of(std::filesystem::path root,
                                              std::filesystem::path relative, FileStamp stamp);

  Awaitable<void> stop(std::chrono::milliseconds grace);

 private:
  struct Reading {
    std::filesystem::path root;
    std::filesystem::path relative;
    FileStamp stamp;
    std::optional<Result<Digest>> digest;  // once it was read
  };

  std::shared_ptr<Reading> find_or_begin(Reading wanted);
  Awaitable<void> read(std::shared_ptr<Reading> reading);
  Awaitable<Result<Digest>> digest(Reading const& reading);

  Offload& offload_;
  Semaphore turns_;
  Signal read_;
  std::deque<std::shared_ptr<Reading>> readings_;  // newest first
  TaskGroup tasks_;
};

}  // namespace grove
