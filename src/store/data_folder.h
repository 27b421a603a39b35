// The folder one worker keeps everything in: its layout, its identity and its lock.
//
//   identity.json  chunks/ab/<sha256>  shardlists/<sha256>  manifests/<sha256>
//   refs/<sha256 of the identity>/<generation>/<shard>.json, …/manifest.json
//   tombstones/<sha256 of the identity>.json  expected.json  quarantine/  trash/  tmp/  lock
//
// One process per folder. A folder of another rank or a newer format is refused; an empty one is
// taken for a new disk only when told, since an unmounted disk must not look like a fresh one.
// Opening sweeps tmp/ and makes everything that was written before durable (syncfs).
// Threads: open once; the accessors are safe from any thread. Blocking.
#pragma once

#include <filesystem>
#include <string>

#include "base/config.h"
#include "base/error.h"
#include "base/file.h"

namespace grove {

enum class EmptyFolder { refuse, adopt };

class DataFolder {
 public:
  static constexpr std::uint32_t format_version = 1;

  // Fails: conflict (another process holds it), invalid (another rank, a newer format, an empty
  // folder that was not to be adopted; the message says to pass --new).
  static Result<DataFolder> open(std::filesystem::path const& root, Rank rank, EmptyFolder empty);

  std::filesystem::path const& root() const { return root_; }
  Rank rank() const { return rank_; }
  // 32 random hex digits, made once with the folder.
  std::string const& id() const { return id_; }

  std::filesystem::path chunks() const { return root_ / "chunks"; }
  std::filesystem::path shard_lists() const { return root_ / "shardlists"; }
  std::filesystem::path manifests() const { return root_ / "manifests"; }
  std::filesystem::path refs() const { return root_ / "refs"; }
  std::filesystem::path tombstones() const { return root_ / "tombstones"; }
  std::filesystem::path quarantine() const { return root_ / "quarantine"; }
  std::filesystem::path trash() const { return root_ / "trash"; }
  std::filesystem::path tmp() const { return root_ / "tmp"; }

 private:
  DataFolder(std::filesystem::path root, Rank rank, std::string id, FileLock lock);
  std::filesystem::path root_;
  Rank rank_;
  std::string id_;
  FileLock lock_;
};

}  // namespace grove
