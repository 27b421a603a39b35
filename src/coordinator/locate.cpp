#include "coordinator/locate.h"

#include <utility>

namespace grove {

Awaitable<Result<Manifest>> fetch_manifest(Services const& services, Config const& config,
                                           GenerationView const& generation,
                                           std::set<std::size_t>* silent) {
  auto const number = generation.generation.value;
  if (generation.manifests.empty()) {
    co_return fail(ErrorKind::not_found, "generation {} is unfinished", number);
  }
  if (generation.manifests.size() > 1) {
    co_return fail(ErrorKind::conflict,
                   "generation {} has {} different manifests; two coordinators stored at once: "
                   "store the checkpoint again from one of them",
                   number, generation.manifests.size());
  }
  Result<Manifest> manifest = fail(ErrorKind::not_found, "no holder");
  for (auto const holder : generation.manifest_holders) {
    if (silent != nullptr && silent->contains(holder)) continue;
    WorkerClient worker(services.http, address_of(config.workers[holder]));
    manifest = co_await worker.get_manifest(generation.manifests.front());
    if (manifest.has_value()) break;
    bool const is_silent = manifest.error().kind == ErrorKind::unavailable;
    if (silent != nullptr && is_silent) silent->insert(holder);
  }
  co_return manifest;
}

}  // namespace grove
