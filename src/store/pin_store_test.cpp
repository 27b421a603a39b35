#include "store/pin_store.h"

#include <gtest/gtest.h>

#include "store/ref_files.h"
#include "store/test_store.h"

namespace grove {
namespace {

Pin pin(std::string const& identity, bool is_pinned, std::int64_t changed_ms) {
  return {.key = key_of(identity), .is_pinned = is_pinned, .changed_ms = changed_ms};
}

TEST(PinStore, KeepsTheLatestAcrossStarts) {
  TestStore store;
  auto const pinned = pin("run1/step_1/model.bin", true, 5);
  auto const unpinned = pin("run1/step_1/model.bin", false, 6);
  auto const other = pin("run1/step_2/model.bin", true, 1);
  {
    auto pins = PinStore::open(store.data()).value();
    EXPECT_EQ(pins->digest(), Digest{});
    ASSERT_TRUE(pins->put(pinned));
    auto const before = pins->digest();
    ASSERT_TRUE(pins->put(unpinned));
    ASSERT_TRUE(pins->put(other));
    ASSERT_TRUE(pins->put(pinned));  // old news
    EXPECT_EQ(pins->all(), (std::vector{unpinned, other}));
    EXPECT_NE(pins->digest(), before);
  }
  EXPECT_EQ(PinStore::open(store.data()).value()->all(), (std::vector{unpinned, other}));
}

TEST(PinStore, DamagedPinsGoToQuarantine) {
  TestStore store;
  auto const kept = pin("run1/step_2/model.bin", true, 1);
  auto const damaged = pin("run1/step_1/model.bin", true, 5);
  {
    auto pins = PinStore::open(store.data()).value();
    ASSERT_TRUE(pins->put(damaged));
    ASSERT_TRUE(pins->put(kept));
  }
  flip_byte(pin_path(store.data(), damaged.key), 0);
  EXPECT_EQ(PinStore::open(store.data()).value()->all(), std::vector{kept});
}

}  // namespace
}  // namespace grove
