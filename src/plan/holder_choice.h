// Whom to ask next for the chunks of one shard when a holder fails, or lies. Decisions only: the
// caller fetches and reports back (transfer/fetch.h).
//
// A holder that cannot be reached, or breaks the protocol, is not asked again. One that lacks a
// chunk or sends bytes that are not its own is not asked for that chunk again, but for others.
// Threads: a value.
#pragma once

#include <cstddef>
#include <optional>
#include <set>
#include <unordered_map>
#include <vector>

#include "base/digest.h"
#include "base/error.h"

namespace grove {

class HolderChoice {
 public:
  // `holders` in the order to try; `chunks` each once.
  HolderChoice(std::vector<std::size_t> holders, std::vector<Digest> chunks);

  struct Step {
    std::size_t holder = 0;
    std::vector<Digest> chunks;
  };
  // The next holder and all that it is worth asking for; nullopt when everything is there or nobody
  // is left to ask. Holders take turns in their order.
  std::optional<Step> next();

  void got(Digest const& chunk);
  // What `holder` said about a chunk; `cancelled` (not asked after all) changes nothing.
  void failed(std::size_t holder, Digest const& chunk, ErrorKind kind);

  bool is_complete() const { return left_.empty(); }
  std::size_t left_count() const { return left_.size(); }

 private:
  struct Holder {
    std::size_t index = 0;
    bool is_gone = false;
    std::set<Digest> lacks;
  };
  std::vector<Holder> holders_;
  std::vector<Digest> order_;
  std::unordered_map<Digest, std::size_t> left_;  // chunk → place in order_
  std::size_t turn_ = 0;
};

}  // namespace grove
