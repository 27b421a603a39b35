#include "plan/holder_choice.h"

#include <algorithm>
#include <utility>

namespace grove {

HolderChoice::HolderChoice(std::vector<std::size_t> holders, std::vector<Digest> chunks)
    : order_(std::move(chunks)) {
  for (auto const index : holders)
    holders_.push_back({.index = index, .is_gone = false, .lacks = {}});
  for (std::size_t place = 0; place < order_.size(); ++place) left_.emplace(order_[place], place);
}

std::optional<HolderChoice::Step> HolderChoice::next() {
  for (std::size_t tried = 0; tried < holders_.size() && !left_.empty(); ++tried) {
    auto const& holder = holders_[turn_ % holders_.size()];
    ++turn_;
    if (holder.is_gone) continue;
    std::vector<std::size_t> places;
    for (auto const& [chunk, place] : left_) {
      if (!holder.lacks.contains(chunk)) places.push_back(place);
    }
    if (places.empty()) continue;
    std::sort(places.begin(), places.end());
    Step step{.holder = holder.index, .chunks = {}};
    for (auto const place : places) step.chunks.push_back(order_[place]);
    return step;
  }
  return std::nullopt;
}

void HolderChoice::got(Digest const& chunk) {
  left_.erase(chunk);
}

void HolderChoice::failed(std::size_t holder, Digest const& chunk, ErrorKind kind) {
  if (kind == ErrorKind::cancelled) return;
  auto const found = std::find_if(holders_.begin(), holders_.end(),
                                  [&](Holder const& h) { return h.index == holder; });
  GROVE_ASSERT(found != holders_.end());
  if (kind == ErrorKind::corrupt || kind == ErrorKind::not_found) {
    found->lacks.insert(chunk);
  } else {
    found->is_gone = true;
  }
}

}  // namespace grove
