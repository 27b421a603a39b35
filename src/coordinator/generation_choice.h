// Under which generation a store commits: a new one, or, when the file's content turns out to be
// that of the newest complete generation, that one, to which missing copies are then added.
//
// Content is known list by list while the file is read. The first list that differs decides for a
// new generation at once, so copies are committed as they come; only a store of equal content waits
// until the last list is known.
// Threads: the job's executor.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/digest.h"
#include "base/error.h"
#include "format/manifest.h"
#include "net/asio.h"
#include "net/task_group.h"
#include "plan/shards.h"

namespace grove {

class GenerationChoice {
 public:
  // `newest`: the newest complete generation's manifest, if there is one. `fresh`: the number that
  // a new generation gets; none: there may be no new one, so other content is refused.
  GenerationChoice(asio::any_io_executor executor, FilePlan const& plan,
                   std::optional<Manifest> newest, std::optional<Generation> fresh);

  void header_list_known(Digest list);
  void shard_list_known(ShardIndex shard, Digest list);

  // Waits for the decision. Fails: cancelled, conflict (refused).
  Awaitable<Result<Generation>> wait();
  // The manifest whose content this store repeats, once that is decided.
  std::optional<Manifest> const& repeated() const { return repeated_; }
  bool is_refused() const { return is_refused_; }

 private:
  void compare(Digest expected, Digest actual);
  void decide_for_new();
  bool is_over() const { return decided_ || is_refused_; }

  std::optional<Manifest> newest_;
  std::optional<Manifest> repeated_;
  std::optional<Generation> fresh_;
  std::optional<Generation> decided_;
  bool is_refused_ = false;
  std::size_t lists_left_ = 0;
  Signal changed_;
};

}  // namespace grove
