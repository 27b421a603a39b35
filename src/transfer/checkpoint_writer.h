// Writes one checkpoint file from proven chunks that arrive in any order. Nothing is visible under
// the final name before commit(), and a writer that goes away leaves nothing behind; what a killed
// process has left in the folder is removed by the next writer there.
// One of the only two places that make something visible (the other is store/ref_store.h).
// Not here: where the chunks come from (transfer/pull.h), what the file is called
// (plan/output_names.h).
// Threads: write() any, several at once; all else one. Every call may block on the disk, so await
// it through net/offload.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "base/error.h"

namespace grove {

class CheckpointWriter {
 public:
  struct Options {
    std::filesystem::path path;  // the final one
    std::uint64_t file_bytes = 0;
    std::uint32_t mode = 0644;
    std::int64_t mtime_ns = 0;
    std::string mark;  // of the attribute user.grove.origin: "identity@generation", to which size
                       // and time are added
    bool make_folders = false;  // else the folder of `path` must exist
  };

  // Checks the free space and reserves it.
  // Fails: exhausted (too little space; names what is needed and what is free), not_found (no such
  // folder), invalid (not writable).
  static Result<CheckpointWriter> create(Options options);
  ~CheckpointWriter();
  CheckpointWriter(CheckpointWriter&&) noexcept;
  CheckpointWriter& operator=(CheckpointWriter&&) noexcept;

  // Writes `raw` at `offset`. Parts may overlap as long as their bytes are equal: a chunk on the
  // border of two shards comes from both.
  // Fails: internal (it reaches beyond the file; nothing is written), exhausted.
  Result<void> write(std::span<std::byte const> raw, std::uint64_t offset);

  // Reads back what was written, up to bytes.size(): how many bytes there are at `offset`.
  Result<std::size_t> read_at(std::span<std::byte> bytes, std::uint64_t offset) const;

  // Changes the final path, whose folder is made; it must be on the same file system. What is there
  // now is what commit() may replace, also where the path stays the same.
  Result<void> redirect(std::filesystem::path path);

  // Makes the file durable and visible, with its mode, time and mark. Call once, after the last
  // write has returned. A file that grove itself may replace (see inspect_existing) is replaced.
  // Fails: internal (some bytes never came), conflict (another file was put there since create());
  // then nothing is visible.
  Result<void> commit();

 private:
  struct State;
  explicit CheckpointWriter(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Who wrote the file that is there already: only grove's own may be replaced.
enum class ExistingFile { none, ours, foreign };

// Tells by the mark, or where the file system keeps none by size and time, which must be those of
// what grove would write there. Foreign too is anything but a regular file, and what cannot be
// read.
Result<ExistingFile> inspect_existing(std::filesystem::path const& path, std::uint64_t file_bytes,
                                      std::int64_t mtime_ns);

}  // namespace grove
