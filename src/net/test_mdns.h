// Two or more Mdns on this machine's real interfaces, under names of this process alone; for tests.
// Threads: the loop's.
#pragma once

#include <unistd.h>

#include <set>

#include <gtest/gtest.h>

#include "net/mdns.h"
#include "net/test_loop.h"

namespace grove {

using namespace std::chrono_literals;

class MdnsTest : public testing::Test {
 protected:
  // "_grove-t4711._tcp"
  std::string const type = fmt::format("_grove-t{}._tcp", ::getpid());

  std::string host_label(std::string_view name) const {
    return fmt::format("grove-test-{}-{}", ::getpid(), name);
  }
  std::unique_ptr<Mdns> start(std::string_view name) {
    auto started = Mdns::start(loop.executor(), host_label(name));
    EXPECT_TRUE(started) << started.error().message;
    return std::move(started).value();
  }
  MdnsService service(std::string instance) const {
    return {type, std::move(instance), 5001, {{"rank", "1"}, {"version", "0.1"}}};
  }

  // The first sighting of this instance.
  Awaitable<std::optional<MdnsSighting>> find(Mdns& mdns, std::string instance,
                                              std::chrono::milliseconds patience = 20s) {
    std::optional<MdnsSighting> found;
    auto const look = [&](MdnsSighting const& sighting) {
      if (sighting.instance == instance) found = sighting;
      return !found;
    };
    auto const browsed = co_await mdns.browse(type, patience, look);
    EXPECT_TRUE(browsed) << browsed.error().message;
    co_return found;
  }

  TestLoop loop;
};

}  // namespace grove
