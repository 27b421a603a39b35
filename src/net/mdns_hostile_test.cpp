// What a hostile neighbour sends, beside an honest announcement, on a network of each test's own
// that has nothing but the loopback.
#include <fcntl.h>
#include <sys/ioctl.h>

#include <net/if.h>
#include <sched.h>

#include "base/limits.h"
#include "net/mdns.h"
#include "net/test_mdns.h"
#include "net/test_mdns_packet.h"

namespace grove {
namespace {

class MdnsHostileTest : public MdnsTest {
 protected:
  void SetUp() override {
    home_ = ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (::unshare(CLONE_NEWNET) != 0) {
      GTEST_SKIP() << "needs the right to make a network namespace (root)";
    }
    int const fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ifreq loopback{};
    loopback.ifr_name[0] = 'l';
    loopback.ifr_name[1] = 'o';
    loopback.ifr_flags = IFF_UP;
    ASSERT_EQ(::ioctl(fd, SIOCSIFFLAGS, &loopback), 0) << std::strerror(errno);
    ::close(fd);
  }
  void TearDown() override {
    EXPECT_EQ(::setns(home_, CLONE_NEWNET), 0) << std::strerror(errno);
    ::close(home_);
  }

  Bytes service_type() const { return dns_name(type + ".local"); }

  // The name of one instance, whose label may hold anything.
  Bytes instance_name(std::string_view label) const {
    Bytes bytes;
    append(bytes, static_cast<unsigned>(label.size()), 1);
    for (char const c : label) bytes.push_back(static_cast<std::byte>(c));
    Bytes const rest = service_type();
    bytes.insert(bytes.end(), rest.begin(), rest.end());
    return bytes;
  }

  // A whole announcement of a service that does not exist.
  DnsPacket fake(std::string_view label, std::string const& address = "192.0.2.1",
                 unsigned port = 9, Bytes const& text = txt_data({"rank=1"})) const {
    auto const host = fmt::format("fake-{}.local", ++fakes_);
    Bytes const name = instance_name(label);
    return DnsPacket()
        .answer(service_type(), dns_ptr, name)
        .answer(name, dns_srv, srv_data(host, port))
        .answer(name, dns_txt, text)
        .answer(dns_name(host), dns_a, a_data(address));
  }

  // Sends `packets` between an announcement and a search, and gives what the search is told of
  // until it is told of the announcement.
  std::vector<MdnsSighting> sightings_among(std::vector<Bytes> const& packets) {
    std::vector<MdnsSighting> seen;
    loop.run([&]() -> Awaitable<void> {
      auto honest = start("honest");
      auto seeker = start("seeker");
      EXPECT_TRUE(honest->announce(service("honest")));
      MdnsSender const evil;
      auto const before = co_await find(*seeker, "honest");  // the seeker listens by now
      EXPECT_TRUE(before);
      for (auto const& packet : packets) evil.send(packet);
      auto const look = [&](MdnsSighting const& sighting) {
        seen.push_back(sighting);
        return sighting.instance != "last";
      };
      EXPECT_TRUE(honest->announce(service("last")));
      auto const browsed = co_await seeker->browse(type, 20s, look);
      EXPECT_TRUE(browsed);
      co_await honest->stop();
      co_await seeker->stop();
    });
    return seen;
  }

  static std::size_t count(std::vector<MdnsSighting> const& seen, std::string_view instance) {
    auto const is_it = [&](MdnsSighting const& sighting) { return sighting.instance == instance; };
    return static_cast<std::size_t>(std::ranges::count_if(seen, is_it));
  }

 private:
  int home_ = -1;
  mutable int fakes_ = 0;
};

TEST_F(MdnsHostileTest, AFakeIsSeenAsAnyOther) {
  auto const seen = sightings_among({fake("fake").bytes});
  EXPECT_GE(count(seen, "fake"), 1u);
  EXPECT_GE(count(seen, "last"), 1u);
}

TEST_F(MdnsHostileTest, MalformedPacketsAreAsGoodAsNone) {
  Bytes const whole = fake("broken").bytes;
  Bytes loop_of_labels = dns_name("a");
  loop_of_labels.pop_back();
  append(loop_of_labels, 0xC000 | 12, 2);
  std::vector<Bytes> packets{
      {},
      Bytes(1),
      Bytes(600, std::byte{0xFF}),
      DnsPacket().count(4, 65535).count(6, 65535).bytes,
      DnsPacket().question(loop_of_labels, dns_ptr).bytes,
      DnsPacket().answer(loop_of_labels, dns_srv, srv_data("a.local", 1)).bytes,
      DnsPacket().answer(dns_name("a.local"), dns_cname, dns_name("a.local")).bytes,
      DnsPacket().answer(service_type(), dns_cname, service_type()).bytes,
      DnsPacket().answer(instance_name("broken"), dns_txt, Bytes(8000, std::byte{1})).bytes,
      DnsPacket().answer(dns_name("a.local"), dns_a, Bytes(3)).bytes,
      DnsPacket().answer(service_type(), dns_ptr, {}).bytes,
  };
  for (std::size_t size = 0; size < whole.size(); size += 7) {
    packets.emplace_back(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
  }
  auto const seen = sightings_among(packets);
  EXPECT_EQ(count(seen, "broken"), 0u);
  EXPECT_GE(count(seen, "last"), 1u);
}

// Behind an open gate, Debian 12's Avahi ends the process here: it asserts that what goes away has
// the name that was looked for, and not that of an alias.
TEST_F(MdnsHostileTest, AnAliasThatGoesAwayDoesNotEndTheProcess) {
  Bytes const alias = dns_name("alias.local");
  Bytes const fake_name = instance_name("aliased");
  auto const told =
      DnsPacket().answer(service_type(), dns_cname, alias).answer(alias, dns_ptr, fake_name).bytes;
  auto const goodbye = DnsPacket().answer(alias, dns_ptr, fake_name, 0).bytes;
  loop.run([&]() -> Awaitable<void> {
    auto honest = start("honest");
    auto seeker = start("seeker");
    EXPECT_TRUE(honest->announce(service("honest")));
    MdnsSender const evil;
    auto const before = co_await find(*seeker, "honest");  // the seeker listens by now
    EXPECT_TRUE(before);
    TaskGroup tasks(loop.executor());
    auto const attack = [&]() -> Awaitable<void> {
      evil.send(told);
      std::ignore = co_await sleep_for(200ms);
      evil.send(goodbye);  // a second later it is gone: RFC 6762 section 10.1
    };
    tasks.spawn("attack", attack());
    auto const nobody = co_await find(*seeker, "aliased", 1500ms);
    EXPECT_FALSE(nobody);
    auto const after = co_await find(*seeker, "honest");
    EXPECT_TRUE(after);
    co_await tasks.wait();
    co_await honest->stop();
    co_await seeker->stop();
  });
}

TEST_F(MdnsHostileTest, WhatNoHostCanBeIsNotToldOf) {
  auto const seen = sightings_among({
      fake("port 0", "192.0.2.1", 0).bytes,
      fake("multicast", "224.0.0.251").bytes,
      fake("unspecified", "0.0.0.0").bytes,
      fake("broadcast", "255.255.255.255").bytes,
      fake(std::string_view("esc\x1B[2J")).bytes,
      fake("binary\xFF\xFE").bytes,
      fake("huge text", "192.0.2.1", 9, Bytes(limits::mdns_record_bytes_max + 1)).bytes,
      fake("bad text", "192.0.2.1", 9, txt_data({"rank=\xFF", "host=ok", "=", "\x01"})).bytes,
  });
  for (auto const& sighting : seen) {
    bool const is_known = sighting.instance == "honest" || sighting.instance == "last" ||
                          sighting.instance == "bad text";
    EXPECT_TRUE(is_known) << sighting.instance;
    if (sighting.instance != "bad text") continue;
    EXPECT_EQ(sighting.txt, (std::map<std::string, std::string>{{"host", "ok"}}));
  }
  EXPECT_GE(count(seen, "bad text"), 1u);
}

TEST_F(MdnsHostileTest, AThousandFakesDoNotHideAnHonestService) {
  std::vector<Bytes> packets;
  for (int number = 0; number < 1000; ++number) {
    packets.push_back(fake(fmt::format("fake {}", number)).bytes);
  }
  std::size_t sightings_count = 0;
  loop.run([&]() -> Awaitable<void> {
    auto honest = start("honest");
    auto seeker = start("seeker");
    EXPECT_TRUE(honest->announce(service("honest")));
    MdnsSender const evil;
    bool is_found = false;
    std::size_t sent = 0;
    // The fakes come while it looks, some with each turn of the loop.
    TaskGroup tasks(loop.executor());
    auto const flood = [&]() -> Awaitable<void> {
      while (sent < packets.size()) {
        evil.send(packets[sent++]);
        if (sent % 50 == 0) std::ignore = co_await sleep_for(5ms);
      }
    };
    tasks.spawn("flood", flood());
    auto const look = [&](MdnsSighting const& sighting) {
      ++sightings_count;
      is_found = is_found || sighting.instance == "honest";
      return !is_found || sent < packets.size();
    };
    auto const browsed = co_await seeker->browse(type, 10s, look);
    EXPECT_TRUE(browsed);
    EXPECT_TRUE(is_found);
    co_await tasks.wait();
    co_await honest->stop();
    co_await seeker->stop();
  });
  EXPECT_LE(sightings_count, limits::mdns_sightings_max);
  EXPECT_GE(sightings_count, 50u) << "the fakes have not been heard";
}

}  // namespace
}  // namespace grove
