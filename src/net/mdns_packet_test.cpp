#include "net/mdns_packet.h"

#include <gtest/gtest.h>

#include "base/limits.h"
#include "net/test_mdns_packet.h"

namespace grove {
namespace {

bool is_harmless(DnsPacket const& packet) {
  return is_harmless_mdns_packet(packet.bytes);
}

// A name that is a pointer to `target`.
Bytes pointer(unsigned target) {
  Bytes bytes;
  append(bytes, 0xC000 | target, 2);
  return bytes;
}

// A whole announcement; the service's name stands at 12 and is pointed to.
DnsPacket announcement() {
  DnsPacket packet;
  packet.answer(dns_name("w1._grove._tcp.local"), dns_srv, srv_data("w1.local", 5001));
  packet.answer(pointer(12), dns_txt, txt_data({"rank=1", "version=0.1"}));
  packet.answer(pointer(15), dns_ptr, pointer(12));
  packet.answer(dns_name("w1.local"), dns_a, a_data("192.0.2.1"));
  return packet;
}

TEST(MdnsPacket, LetsAnnouncementsAndQuestionsThrough) {
  EXPECT_TRUE(is_harmless(announcement()));
  EXPECT_TRUE(is_harmless(DnsPacket().question(dns_name("_grove._tcp.local"), dns_ptr)));
  EXPECT_TRUE(is_harmless(DnsPacket()));
}

TEST(MdnsPacket, StopsAPacketThatEndsTooEarly) {
  Bytes const whole = announcement().bytes;
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(is_harmless_mdns_packet(std::span(whole).first(size))) << size;
  }
}

TEST(MdnsPacket, StopsCountsOfMoreThanThereIs) {
  for (std::size_t const offset : {4, 6, 8, 10}) {
    EXPECT_FALSE(is_harmless(announcement().count(offset, 65535))) << offset;
  }
}

TEST(MdnsPacket, StopsAliasesInEverySection) {
  for (unsigned const type : {dns_cname, dns_dname}) {
    auto packet = announcement().answer(dns_name("w1.local"), type, dns_name("w2.local"));
    EXPECT_FALSE(is_harmless(packet));
    EXPECT_FALSE(is_harmless(packet.count(6, 4).count(8, 1)));
    EXPECT_FALSE(is_harmless(packet.count(8, 0).count(10, 1)));
  }
  EXPECT_TRUE(is_harmless(DnsPacket().question(dns_name("w1.local"), dns_cname)));
}

TEST(MdnsPacket, StopsPointersThatDoNotLeadBack) {
  EXPECT_FALSE(is_harmless(DnsPacket().question(pointer(12), dns_ptr))) << "to itself";
  EXPECT_FALSE(is_harmless(DnsPacket().question(pointer(14), dns_ptr))) << "forwards";
  EXPECT_FALSE(is_harmless(DnsPacket().question(pointer(0x3FFF), dns_ptr))) << "out of the packet";
  Bytes loop = dns_name("a");
  loop.pop_back();
  append(loop, 0xC000 | 12, 2);  // a label, then back to it
  EXPECT_FALSE(is_harmless(DnsPacket().question(loop, dns_ptr)));
}

TEST(MdnsPacket, KnowsTheLongestNameAndTheLongestLabel) {
  std::string const label(63, 'a');
  auto const three = label + "." + label + "." + label + ".";
  auto const asked = [](std::string const& name) {
    return is_harmless(DnsPacket().question(dns_name(name), dns_ptr));
  };
  EXPECT_TRUE(asked(three + std::string(61, 'a')));   // 3 × 64 + 62 + 1 = 255 bytes
  EXPECT_FALSE(asked(three + std::string(62, 'a')));  // 256
  EXPECT_FALSE(asked(std::string(64, 'a')));
}

TEST(MdnsPacket, KnowsTheLargestRecord) {
  auto const text = [](std::size_t bytes) {
    return is_harmless(DnsPacket().answer(dns_name("a.local"), dns_txt, Bytes(bytes)));
  };
  EXPECT_TRUE(text(limits::mdns_record_bytes_max));
  EXPECT_FALSE(text(limits::mdns_record_bytes_max + 1));
}

TEST(MdnsPacket, KnowsTheLargestPacket) {
  Bytes packet = announcement().bytes;
  packet.resize(limits::mdns_packet_bytes_max);
  EXPECT_TRUE(is_harmless_mdns_packet(packet));
  packet.resize(limits::mdns_packet_bytes_max + 1);
  EXPECT_FALSE(is_harmless_mdns_packet(packet));
}

TEST(MdnsPacket, StopsNamesThatDoNotFillTheirRecord) {
  Bytes longer = dns_name("w1.local");
  longer.push_back({});
  EXPECT_FALSE(is_harmless(DnsPacket().answer(dns_name("a.local"), dns_ptr, longer)));
  EXPECT_FALSE(is_harmless(DnsPacket().answer(dns_name("a.local"), dns_srv, Bytes(5))));
}

}  // namespace
}  // namespace grove
