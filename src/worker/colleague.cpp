#include "worker/colleague.h"

namespace grove {

Awaitable<Result<void>> check_colleague(Holdings& holdings, WorkerAddress address) {
  if (address.id.empty()) {
    co_return fail(ErrorKind::invalid, "worker of rank {}: without its id; ask its /health first",
                   address.rank.value);
  }
  if (address.rank == holdings.folder.rank() || address.id == holdings.folder.id()) {
    co_return fail(ErrorKind::invalid, "worker of rank {}: that is this worker itself",
                   address.rank.value);
  }
  auto const config = co_await holdings.current_config();
  if (find_worker(config, address.rank) == nullptr) {
    co_return fail(ErrorKind::invalid,
                   "worker of rank {}: not in {} here; give all machines the same configuration",
                   address.rank.value, config.source.string());
  }
  co_return ok();
}

Awaitable<Result<void>> check_answers(WorkerClient& colleague) {
  CO_TRY(auto const health, co_await colleague.who_answers());
  WorkerAddress const& expected = colleague.address();
  if (health.rank != expected.rank || health.id != expected.id) {
    co_return fail(ErrorKind::conflict,
                   "{}: answers as rank {} with the id {}, not as rank {} with the id {}; look its "
                   "address up again",
                   expected.endpoint.text(), health.rank.value, health.id, expected.rank.value,
                   expected.id);
  }
  co_return ok();
}

}  // namespace grove
