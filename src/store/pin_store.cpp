#include "store/pin_store.h"

#include <string>

#include "base/bytes.h"
#include "store/ref_files.h"

namespace grove {

Result<std::unique_ptr<PinStore>> PinStore::open(DataFolder const& folder) {
  auto store = std::unique_ptr<PinStore>(new PinStore(folder));
  TRY(auto const pins, load_pins(folder));
  for (auto const& pin : pins) store->pins_.emplace(pin.key, pin);
  return store;
}

Result<void> PinStore::put(Pin const& pin) {
  std::lock_guard const one_at_a_time(writing_);
  {
    std::lock_guard const lock(mutex_);
    auto const standing = pins_.find(pin.key);
    if (standing != pins_.end() && !is_later(pin, standing->second)) return ok();
  }
  auto const text = serialize(pin);
  TRY(folder_.write(pin_path(folder_, pin.key), bytes_of(text)));
  std::lock_guard const lock(mutex_);
  pins_.insert_or_assign(pin.key, pin);
  return ok();
}

std::vector<Pin> PinStore::all() const {
  std::lock_guard const lock(mutex_);
  std::vector<Pin> all;
  for (auto const& [key, pin] : pins_) all.push_back(pin);
  return all;
}

std::vector<Pin> PinStore::page(RefSelection const& wanted,
                                std::optional<CheckpointKey> const& after,
                                std::size_t count_max) const {
  std::lock_guard const lock(mutex_);
  return marks_after(pins_, wanted, after, count_max);
}

Digest PinStore::digest() const {
  std::string text;
  for (auto const& pin : all()) text += serialize(pin);
  return text.empty() ? Digest{} : sha256(text);
}

}  // namespace grove
