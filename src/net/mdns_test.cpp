// Real packets between several Mdns of one process, each a host of its own on the network.
#include "net/mdns.h"

#include "net/test_mdns.h"

namespace grove {
namespace {

TEST_F(MdnsTest, FindsWhatAnotherHasAnnounced) {
  loop.run([&]() -> Awaitable<void> {
    auto announcer = start("a");
    auto seeker = start("b");
    EXPECT_TRUE(announcer->announce(service("one")));
    auto const found = co_await find(*seeker, "one");
    if (found) {
      EXPECT_EQ(found->port, 5001);
      EXPECT_EQ(found->txt, service("one").txt);
      EXPECT_FALSE(found->address.is_unspecified());
      EXPECT_TRUE(found->host_name.ends_with(".local")) << found->host_name;
    }
    EXPECT_TRUE(found);
    co_await announcer->stop();
    co_await seeker->stop();
  });
}

TEST_F(MdnsTest, FindsItsOwnServices) {
  loop.run([&]() -> Awaitable<void> {
    auto mdns = start("a");
    EXPECT_TRUE(mdns->announce(service("own")));
    auto const found = co_await find(*mdns, "own");
    EXPECT_TRUE(found);
    co_await mdns->stop();
  });
}

TEST_F(MdnsTest, GivesWhatItHasHeardOfBeforeAtOnce) {
  loop.run([&]() -> Awaitable<void> {
    auto announcer = start("a");
    auto seeker = start("b");
    EXPECT_TRUE(announcer->announce(service("one")));
    auto const first = co_await find(*seeker, "one");
    auto const second = co_await find(*seeker, "one");
    EXPECT_TRUE(first);
    EXPECT_TRUE(second);
    co_await announcer->stop();
    co_await seeker->stop();
  });
}

TEST_F(MdnsTest, AppendsANumberToATakenName) {
  loop.run([&]() -> Awaitable<void> {
    auto first = start("a");
    auto second = start("b");
    EXPECT_TRUE(first->announce(service("same")));
    auto const found = co_await find(*second, "same");
    EXPECT_TRUE(found);
    auto other_service = service("same");
    other_service.port = 5002;  // a responder that both share would take equal ones for one
    EXPECT_TRUE(second->announce(other_service));
    std::string other;
    auto const look = [&](MdnsSighting const& sighting) {
      if (sighting.instance.starts_with("same #")) other = sighting.instance;
      return other.empty();
    };
    auto const browsed = co_await first->browse(type, 20s, look);
    EXPECT_TRUE(browsed);
    EXPECT_EQ(other, "same #2");
    co_await first->stop();
    co_await second->stop();
  });
}

TEST_F(MdnsTest, TwoServicesOfOneProcessMayWantTheSameName) {
  loop.run([&]() -> Awaitable<void> {
    auto mdns = start("a");
    auto second = service("twin");
    second.port = 5002;
    EXPECT_TRUE(mdns->announce(service("twin")));
    EXPECT_TRUE(mdns->announce(second));
    auto const found = co_await find(*mdns, "twin #2");
    EXPECT_TRUE(found);
    co_await mdns->stop();
  });
}

TEST_F(MdnsTest, IsForgottenAtOnceWhenItStops) {
  loop.run([&]() -> Awaitable<void> {
    auto announcer = start("a");
    auto seeker = start("b");
    EXPECT_TRUE(announcer->announce(service("leaving")));
    auto found = co_await find(*seeker, "leaving");
    EXPECT_TRUE(found);
    co_await announcer->stop();
    // Without a goodbye it would be remembered for 75 minutes.
    auto const deadline = std::chrono::steady_clock::now() + 10s;
    while (found && std::chrono::steady_clock::now() < deadline) {
      found = co_await find(*seeker, "leaving", 200ms);
    }
    EXPECT_FALSE(found);
    co_await seeker->stop();
  });
}

TEST_F(MdnsTest, BrowsingEndsInTimeWhereThereIsNothing) {
  loop.run([&]() -> Awaitable<void> {
    auto mdns = start("a");
    auto const found = co_await find(*mdns, "nobody", 50ms);
    EXPECT_FALSE(found);
    co_await mdns->stop();
  });
}

TEST_F(MdnsTest, BrowsingCanBeCancelled) {
  loop.run([&]() -> Awaitable<void> {
    auto mdns = start("a");
    Result<void> ended = ok();
    TaskGroup tasks(loop.executor());
    auto const look = [&]() -> Awaitable<void> {
      ended = co_await mdns->browse(type, 1h, [](MdnsSighting const&) { return true; });
    };
    tasks.spawn("browse", look());
    co_await tasks.stop(1s);
    EXPECT_FALSE(ended);
    EXPECT_EQ(ended.error().kind, ErrorKind::cancelled);
    co_await mdns->stop();
  });
}

TEST_F(MdnsTest, StoppingEndsTheBrowsing) {
  loop.run([&]() -> Awaitable<void> {
    auto mdns = start("a");
    Result<void> ended = ok();
    TaskGroup tasks(loop.executor());
    auto const look = [&]() -> Awaitable<void> {
      ended = co_await mdns->browse(type, 1h, [](MdnsSighting const&) { return true; });
    };
    tasks.spawn("browse", look());
    co_await mdns->stop();
    co_await tasks.wait();
    EXPECT_FALSE(ended);
    EXPECT_EQ(ended.error().kind, ErrorKind::cancelled);
  });
}

TEST_F(MdnsTest, RefusesWhatTheRulesForbid) {
  auto const started = Mdns::start(loop.executor(), "two.labels");
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().kind, ErrorKind::invalid);
  loop.run([&]() -> Awaitable<void> {
    auto mdns = start("a");
    auto silent = service("silent");
    silent.port = 0;
    auto const announced = mdns->announce(silent);
    EXPECT_FALSE(announced);
    EXPECT_EQ(announced.error().kind, ErrorKind::invalid);
    auto const browsed = co_await mdns->browse("grove", 1s, [](auto const&) { return true; });
    EXPECT_FALSE(browsed);
    EXPECT_EQ(browsed.error().kind, ErrorKind::invalid);
    co_await mdns->stop();
  });
}

}  // namespace
}  // namespace grove
