#include "net/mdns_rules.h"

#include <gtest/gtest.h>

#include "base/limits.h"

namespace grove {
namespace {

TEST(MdnsRules, HostLabelsAreLettersDigitsAndHyphens) {
  for (std::string const& label : {std::string("grove-pi4-1-5001"), std::string(63, 'a')}) {
    EXPECT_TRUE(check_host_label(label)) << label;
  }
  for (std::string const& label :
       {std::string(), std::string(64, 'a'), std::string("-a"), std::string("a-"),
        std::string("a.local"), std::string("a_b"), std::string("a b"), std::string("\xC3\xA4"),
        std::string("a\0", 2)}) {
    auto const checked = check_host_label(label);
    ASSERT_FALSE(checked) << label;
    EXPECT_EQ(checked.error().kind, ErrorKind::invalid);
  }
}

TEST(MdnsRules, TypesAreOneNameAndAProtocol) {
  for (std::string_view const type : {"_smoltorrent._tcp", "_a._udp", "_9b-c._tcp"}) {
    EXPECT_TRUE(check_service_type(type)) << type;
  }
  for (std::string_view const type :
       {"", "_._tcp", "smoltorrent._tcp", "_smoltorrent", "_smoltorrent.tcp", "_a._sctp",
        "_-a._tcp", "_a--b._tcp", "_123._tcp", "_a.b._tcp", "_sixteen-letters-._tcp",
        "_abcdefghijklmnop._tcp", "_a._tcp.local", "._tcp", "_tcp"}) {
    EXPECT_FALSE(check_service_type(type)) << type;
  }
  EXPECT_TRUE(check_service_type("_abcdefghijklmno._tcp"));
}

MdnsService service() {
  return {"_grove._tcp", "pi4-1 (rank 1)", 5001, {{"rank", "1"}}};
}

TEST(MdnsRules, ServicesHaveANameAPortAndTextThatFits) {
  EXPECT_TRUE(check_service(service()));
  auto const with = [](auto change) {
    auto changed = service();
    change(changed);
    return check_service(changed).has_value();
  };
  EXPECT_FALSE(with([](auto& s) { s.port = 0; }));
  EXPECT_FALSE(with([](auto& s) { s.type = "grove"; }));
  EXPECT_TRUE(with([](auto& s) { s.instance = std::string(63, 'a'); }));
  EXPECT_FALSE(with([](auto& s) { s.instance = std::string(64, 'a'); }));
  EXPECT_FALSE(with([](auto& s) { s.instance = ""; }));
  EXPECT_FALSE(with([](auto& s) { s.instance = "two\nlines"; }));
  EXPECT_FALSE(with([](auto& s) { s.instance = "\xFF"; }));
  EXPECT_TRUE(with([](auto& s) { s.txt["key"] = std::string(251, 'a'); }));
  EXPECT_FALSE(with([](auto& s) { s.txt["key"] = std::string(252, 'a'); }));
  EXPECT_FALSE(with([](auto& s) { s.txt["key"] = "\xFF"; }));
  EXPECT_FALSE(with([](auto& s) { s.txt[""] = "value"; }));
  EXPECT_FALSE(with([](auto& s) { s.txt["a=b"] = "value"; }));
}

TEST(MdnsRules, KnowsTheMostText) {
  auto most = service();
  most.txt.clear();
  // Five strings of 1 + 255 bytes, and one that fills the rest.
  for (char const key : {'a', 'b', 'c', 'd', 'e'}) most.txt[{key}] = std::string(253, 'x');
  most.txt["f"] = std::string(limits::mdns_record_bytes_max - 5 * 256 - 3, 'x');
  EXPECT_TRUE(check_service(most));
  most.txt["f"] += "x";
  EXPECT_FALSE(check_service(most));
}

TEST(MdnsRules, TakesTheFirstOfEachKeyThatCanBeShown) {
  std::map<std::string, std::string> txt;
  for (std::string_view const pair : {"rank=1", "rank=2", "flag", "empty=", "sum=a=b", "=lost",
                                      "bad=\xFF", "key\n=x", "line=a\nb"}) {
    add_text_pair(txt, pair);
  }
  std::map<std::string, std::string> const expected{
      {"rank", "1"}, {"flag", ""}, {"empty", ""}, {"sum", "a=b"}};
  EXPECT_EQ(txt, expected);
}

MdnsSighting sighting(std::string_view address) {
  return {"w1", "w1.local", asio::ip::make_address(address), 5001, {}};
}

TEST(MdnsRules, SightingsHaveAnAddressThatOneHostCanHave) {
  for (auto const* address : {"192.0.2.1", "10.0.0.1", "169.254.3.4", "fe80::1%2", "2001:db8::1"}) {
    EXPECT_TRUE(is_usable(sighting(address), false)) << address;
  }
  for (auto const* address : {"0.0.0.0", "0.1.2.3", "224.0.0.251", "255.255.255.255", "240.0.0.1",
                              "::", "ff02::fb", "::ffff:127.0.0.1", "::ffff:192.0.2.1"}) {
    EXPECT_FALSE(is_usable(sighting(address), false)) << address;
    EXPECT_FALSE(is_usable(sighting(address), true)) << address;
  }
}

TEST(MdnsRules, BelievesInALoopbackAddressOnTheLoopbackOnly) {
  for (auto const* address : {"127.0.0.1", "::1"}) {
    EXPECT_TRUE(is_usable(sighting(address), true)) << address;
    EXPECT_FALSE(is_usable(sighting(address), false)) << address;
  }
}

TEST(MdnsRules, SightingsHaveAPortAndNamesThatCanBeShown) {
  auto seen = sighting("192.0.2.1");
  seen.port = 0;
  EXPECT_FALSE(is_usable(seen, false));
  seen = sighting("192.0.2.1");
  seen.instance = "w\x1B[2J";
  EXPECT_FALSE(is_usable(seen, false));
  seen = sighting("192.0.2.1");
  seen.host_name = "w\xFF.local";
  EXPECT_FALSE(is_usable(seen, false));
}

}  // namespace
}  // namespace grove
