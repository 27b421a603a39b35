// Immutable objects kept whole in one folder, each named by the SHA-256 of its bytes: shard lists,
// and manifests. What is returned has been checked against its name.
// Not here: what the bytes mean (format/manifest.h), who names them (store/ref_store.h).
// Threads: any; calls block on the disk.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <mutex>
#include <span>
#include <string>

#include "base/buffer.h"
#include "base/digest.h"
#include "base/error.h"
#include "store/data_folder.h"

namespace grove {

class ObjectStore {
 public:
  struct Kind {
    std::filesystem::path place;  // the objects' folder
    std::string noun;             // what one is called in messages ("shard list")
    std::uint64_t bytes_max = 0;
    Result<void> (*check)(std::span<std::byte const>);  // invalid for bytes that are none
  };

  // `folder` must outlive this.
  ObjectStore(DataFolder const& folder, Kind kind);

  // Keeps an object durably. One that is here is written again: that mends a damaged one, and makes
  // it young for the collector. Fails: corrupt (does not hash to `digest`), invalid (too large, or
  // none of this kind), exhausted.
  Result<void> put(Digest const& digest, std::span<std::byte const> bytes);
  // Fails: not_found; corrupt: it is moved to quarantine/ and counts as absent from then on.
  Result<Buffer> get(Digest const& digest) const;
  // Lets go of what the page cache has of it, so that the next get() reads the disk.
  void drop_cache(Digest const& digest) const;
  // Objects that were found damaged since the start.
  std::uint64_t damaged_count() const { return damaged_count_; }
  // Removes one object; returns whether it was here.
  Result<bool> remove(Digest const& digest);
  // Removes what is not in `kept` (sorted) and was written at or before `written_by_ns`; returns
  // how many. No put comes in between an object's check and its removal.
  Result<std::uint64_t> remove_others(std::span<Digest const> kept, std::int64_t written_by_ns);

 private:
  std::filesystem::path path_of(Digest const& digest) const { return kind_.place / digest.hex(); }
  // Fails: not_found, corrupt.
  Result<Buffer> read(Digest const& digest) const;

  DataFolder const& folder_;
  Kind const kind_;
  mutable std::mutex changes_mutex_;
  mutable std::atomic<std::uint64_t> damaged_count_{0};
};

}  // namespace grove
