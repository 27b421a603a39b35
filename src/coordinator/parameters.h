// The query parameters of the API's calls, by one rule: what is missing or ill-typed is `invalid`,
// which every call answers as 422 (refuse_parameter), whatever else is wrong.
// Not here: what is wrong with a path (checkpoint_request.h).
// Threads: any; pure but for the answer.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/config.h"
#include "base/error.h"
#include "format/manifest.h"
#include "net/http_request.h"
#include "net/http_responder.h"

namespace grove {

Awaitable<Result<void>> refuse_parameter(HttpResponder& responder, Error error);

// Fails: invalid (it is not there).
Result<std::string> required_param(HttpRequest const& request, std::string_view name);
// "true" or "false". None: it is not there.
Result<std::optional<bool>> flag_param(HttpRequest const& request, std::string_view name);
// `generation`. None: it is not there.
Result<std::optional<Generation>> generation_param(HttpRequest const& request);

// "1,3", each a rank of the config's workers.
Result<std::set<Rank>> parse_ranks(std::string_view text, Config const& config);

}  // namespace grove
