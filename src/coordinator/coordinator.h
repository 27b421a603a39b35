// The coordinator as one object: the API and what it needs. It keeps nothing on disk but its id and
// the result of its last drill.
// Threads: one executor.
#pragma once

#include <filesystem>
#include <memory>

#include "base/config.h"
#include "base/error.h"
#include "base/metrics.h"
#include "net/asio.h"

namespace grove {

// Whether lost copies are made again without anybody asking.
enum class SelfRepair { on, off };

class Coordinator {
 public:
  // The API listens where `config` says; requests read the file at config.source afresh.
  // `metrics`, of a coordinator's role at least, must outlive it. `state_folder`: where its id
  // and its last drill's result are kept (coordinator/own_id.h).
  Coordinator(asio::any_io_executor executor, Config config,
              std::filesystem::path const& state_folder, Metrics& metrics);
  ~Coordinator();

  // Fails: conflict when the port is in use.
  Result<void> start(SelfRepair repair);
  std::uint16_t port() const;
  // Ends jobs and connections. What jobs have sent stays on the workers and need not be sent again.
  Awaitable<void> stop();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace grove
