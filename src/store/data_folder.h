// The folder one worker keeps everything in: its layout, its identity and its lock.
//
//   identity.json  chunks/ab/<sha256>  shardlists/<sha256>  manifests/<sha256>
//   refs/<sha256 of the identity>/<generation>/<shard>.json, …/manifest.json
//   tombstones/<sha256 of the identity>.json  pins/<sha256 of the identity>.json  draining
//   expected.json  quarantine/  trash/  tmp/  lock
//
// One process per folder. A folder of another rank or a newer format is refused; an empty one is
// taken for a new disk only when told, since an unmounted disk must not look like a fresh one.
// Opening sweeps tmp/ and makes everything that was written before durable (syncfs).
// Temporary files lie in tmp/ alone, so that a crash leaves none elsewhere.
// Threads: open once; all else is safe from any thread. Blocking.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/config.h"
#include "base/error.h"
#include "base/file.h"

namespace grove {

enum class EmptyFolder { refuse, adopt };

struct FolderIdentity {
  Rank rank;
  std::string id;
};

class DataFolder {
 public:
  static constexpr std::uint32_t format_version = 1;

  // An empty folder is one without identity.json and without any folder of ours, or none at all.
  // Fails: conflict (another process holds it), invalid (another rank, a newer format, damaged, an
  // empty folder that was not to be adopted; the message says to pass --new).
  static Result<DataFolder> open(std::filesystem::path const& root, Rank rank, EmptyFolder empty);

  // Whose folder this is, without opening it; none for an empty one. Fails: invalid (as open).
  static Result<std::optional<FolderIdentity>> identity_of(std::filesystem::path const& root);

  std::filesystem::path const& root() const { return root_; }
  Rank rank() const { return rank_; }
  // 32 random hex digits, made once with the folder.
  std::string const& id() const { return id_; }

  std::filesystem::path chunks() const { return root_ / "chunks"; }
  std::filesystem::path shard_lists() const { return root_ / "shardlists"; }
  std::filesystem::path manifests() const { return root_ / "manifests"; }
  std::filesystem::path refs() const { return root_ / "refs"; }
  std::filesystem::path tombstones() const { return root_ / "tombstones"; }
  std::filesystem::path pins() const { return root_ / "pins"; }
  std::filesystem::path draining() const { return root_ / "draining"; }  // there: to be emptied
  std::filesystem::path quarantine() const { return root_ / "quarantine"; }
  std::filesystem::path trash() const { return root_ / "trash"; }
  std::filesystem::path tmp() const { return root_ / "tmp"; }
  std::filesystem::path expected() const { return root_ / "expected.json"; }

  // Whether what lies at root() is still what was opened: a disk that was taken away leaves an
  // empty folder behind. Fails: unavailable, saying so.
  Result<void> check_mounted() const;

  // Writes a file of this folder durably, by way of tmp/. An existing one is replaced. Where the
  // disk does not take it, nothing written since the last good sync may be trusted: see
  // must_reopen().
  Result<void> write(std::filesystem::path const& path, std::span<std::byte const> bytes) const;
  // mkdir -p of a folder in this one, durably.
  Result<void> make_folders(std::filesystem::path const& path) const;
  // Moves a file of this folder to quarantine/ or trash/, durably. There its name tells where it
  // was: its path beneath root() with "-" for "/". Moving what is not there is fine.
  Result<void> move_to_quarantine(std::filesystem::path const& path) const;
  Result<void> move_to_trash(std::filesystem::path const& path) const;
  // Where that puts it.
  std::filesystem::path trash_path(std::filesystem::path const& path) const;

  // A sync has failed: what this process believes to be on the disk may not be. Only opening the
  // folder again, in a new process, tells.
  bool must_reopen() const { return *must_reopen_; }

 private:
  DataFolder(std::filesystem::path root, Rank rank, std::string id, FileLock lock);
  Result<void> noted(Result<void> durable) const;

  std::filesystem::path root_;
  Rank rank_;
  std::string id_;
  FileLock lock_;
  std::unique_ptr<std::atomic<bool>> must_reopen_ = std::make_unique<std::atomic<bool>>(false);
};

}  // namespace grove
