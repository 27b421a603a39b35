#include "coordinator/generation_choice.h"

#include <algorithm>
#include <utility>

namespace grove {
namespace {

bool is_cut_alike(FilePlan const& plan, Manifest const& manifest) {
  if (plan.kind != manifest.kind || plan.file_bytes != manifest.file_bytes ||
      plan.header_bytes != manifest.header_bytes || plan.shards.size() != manifest.shards.size()) {
    return false;
  }
  return std::equal(
      plan.shards.begin(), plan.shards.end(), manifest.shards.begin(),
      [](ShardPlan const& a, ShardEntry const& b) { return a.begin == b.begin && a.end == b.end; });
}

}  // namespace

GenerationChoice::GenerationChoice(asio::any_io_executor executor, FilePlan const& plan,
                                   std::optional<Manifest> newest, std::optional<Generation> fresh)
    : newest_(std::move(newest)),
      fresh_(fresh),
      lists_left_(plan.shards.size() + 1),
      changed_(std::move(executor)) {
  if (!newest_ || !is_cut_alike(plan, *newest_)) decide_for_new();
}

void GenerationChoice::decide_for_new() {
  decided_ = fresh_;
  is_refused_ = !fresh_;
}

void GenerationChoice::header_list_known(Digest list) {
  if (!is_over()) compare(newest_->header_list, list);
}

void GenerationChoice::shard_list_known(ShardIndex shard, Digest list) {
  if (!is_over()) compare(newest_->shards[shard.value].list, list);
}

void GenerationChoice::compare(Digest expected, Digest actual) {
  if (expected != actual) {
    decide_for_new();
  } else if (--lists_left_ == 0) {
    decided_ = newest_->generation;
    repeated_ = newest_;
  }
  if (is_over()) changed_.notify_all();
}

Awaitable<Result<Generation>> GenerationChoice::wait() {
  while (!is_over()) {
    std::ignore = co_await changed_.wait();  // the condition is what counts
    bool const stopped = co_await is_cancelled();
    if (stopped) co_return fail(ErrorKind::cancelled, "the store was stopped");
  }
  if (is_refused_) co_return fail(ErrorKind::conflict, "the content is another one");
  co_return *decided_;
}

}  // namespace grove
