#include "net/host_label.h"

#include <gtest/gtest.h>

namespace grove {
namespace {

TEST(HostLabel, IsTheFirstLabelOfTheMachinesNameAndThePort) {
  EXPECT_EQ(mdns_host_label("pi4-1", 5001), "grove-pi4-1-5001");
  EXPECT_EQ(mdns_host_label("Pi4-1.lan.example", 5001), "grove-pi4-1-5001");
}

TEST(HostLabel, ReplacesWhatNoLabelMayHold) {
  EXPECT_EQ(mdns_host_label("my_pi \xc3\xa9", 80), "grove-my-pi----80");
}

TEST(HostLabel, IsCutAtSixtyThreeBytesWithItsPortWhole) {
  EXPECT_EQ(mdns_host_label(std::string(52, 'a'), 5001).size(), 63u);
  auto const cut = mdns_host_label(std::string(53, 'a'), 5001);
  EXPECT_EQ(cut.size(), 63u);
  EXPECT_TRUE(cut.ends_with("a-5001"));
}

TEST(MachineName, IsNeverEmpty) {
  EXPECT_FALSE(machine_name().empty());
}

}  // namespace
}  // namespace grove
