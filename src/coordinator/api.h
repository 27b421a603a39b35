// The coordinator's HTTP calls (docs/operations.md#http-api): routes, parameters, streams. Every
// handler reads config.yaml afresh.
// A missing or ill-typed parameter is 422; what is wrong with a path is an "ERROR: " line in a 200.
// Threads: the coordinator's executor.
#pragma once

#include <filesystem>
#include <functional>

#include "base/config.h"
#include "base/error.h"
#include "coordinator/drill.h"
#include "coordinator/file_digests.h"
#include "coordinator/jobs.h"
#include "coordinator/overview.h"
#include "coordinator/repair.h"
#include "net/http_server.h"

namespace grove {

class Api {
 public:
  // All of them must outlive the router.
  Api(std::filesystem::path config_path, Services& services, Jobs& jobs, Overview& overview,
      Repair& repair, Drills& drills, FileDigests& digests);

  HttpRouter router();

 private:
  using Handler = Awaitable<Result<void>> (Api::*)(HttpRequest&, HttpResponder&);

  Awaitable<Result<void>> store_shard(HttpRequest& request, HttpResponder& responder);
  Awaitable<Result<void>> gather_shards(HttpRequest& request, HttpResponder& responder);
  Awaitable<Result<void>> list_checkpoints(HttpRequest& request, HttpResponder& responder);
  Awaitable<Result<void>> list_checkpoint(std::string ckpt_path, HttpResponder& responder);
  Awaitable<Result<void>> forget_checkpoint(HttpRequest& request, HttpResponder& responder);
  Awaitable<Result<void>> pin(HttpRequest& request, HttpResponder& responder);
  Awaitable<Result<void>> drain(HttpRequest& request, HttpResponder& responder);
  Awaitable<Result<void>> list_workers(HttpRequest& request, HttpResponder& responder);
  Awaitable<Result<void>> put_expected(HttpRequest& request, HttpResponder& responder);
  Awaitable<Result<void>> verify(HttpRequest& request, HttpResponder& responder);
  Awaitable<Result<void>> verify_one(std::string ckpt_path, HttpResponder& responder);
  Awaitable<Result<void>> repair(HttpRequest& request, HttpResponder& responder);
  Awaitable<Result<void>> drill(HttpRequest& request, HttpResponder& responder);
  Awaitable<Result<void>> last_drill(HttpRequest& request, HttpResponder& responder);
  Awaitable<Result<void>> get_health(HttpRequest& request, HttpResponder& responder);
  Awaitable<Result<void>> list_jobs(HttpRequest& request, HttpResponder& responder);
  Awaitable<Result<void>> discover_workers(HttpRequest& request, HttpResponder& responder);
  Awaitable<Result<void>> follow_job(HttpRequest& request, HttpResponder& responder);

  Awaitable<Result<std::shared_ptr<Job>>> start_store(std::string ckpt_path, StoreOptions options);
  Awaitable<Result<std::shared_ptr<Job>>> start_gather(std::string ckpt_path,
                                                       GatherOptions options);
  Awaitable<Result<std::shared_ptr<Job>>> start_drill(std::optional<std::string> ckpt_path,
                                                      std::optional<std::string> scratch);
  Awaitable<Result<Config>> read_config();
  // The path as a user gives it. Both must outlive the call. Fails: as resolve_checkpoint.
  Awaitable<Result<CheckpointKey>> key_of(Config const& config, std::string const& ckpt_path);
  Awaitable<Result<void>> stream(std::shared_ptr<Job> job, HttpResponder& responder);
  Awaitable<Result<void>> stream_or_error(Result<std::shared_ptr<Job>> job,
                                          HttpResponder& responder);

  std::filesystem::path config_path_;
  Services& services_;
  Jobs& jobs_;
  Overview& overview_;
  Repair& repair_;
  Drills& drills_;
  FileDigests& digests_;
  std::vector<std::string> notices_told_;
};

}  // namespace grove
