#include "transfer/announcement.h"

#include <gtest/gtest.h>

#include "base/limits.h"

namespace grove {
namespace {

MdnsSighting sighting_of(MdnsService const& service) {
  return {.instance = service.instance,
          .host_name = "grove-pi4-1-5001.local",
          .address = asio::ip::make_address("192.168.1.7"),
          .port = service.port,
          .txt = service.txt};
}

TEST(Announcement, ComesBackAsItWasMade) {
  WorkerAnnouncement const made{.rank = Rank{3}, .host = "pi4-3", .id = std::string(32, 'a')};
  auto const service = announce_worker(made, 5003);
  EXPECT_EQ(service.type, "_smoltorrent._tcp");
  EXPECT_EQ(service.instance, "pi4-3 rank 3 (aaaaaaaa)");
  EXPECT_EQ(service.port, 5003);
  auto const read = read_announcement(sighting_of(service));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->rank, made.rank);
  EXPECT_EQ(read->host, made.host);
  EXPECT_EQ(read->id, made.id);
}

TEST(Announcement, OfALongNameIsStillOneLabel) {
  WorkerAnnouncement const made{
      .rank = Rank{1000}, .host = std::string(200, 'h'), .id = "0123456789"};
  auto const service = announce_worker(made, 65535);
  EXPECT_EQ(service.instance.size(), 63u);
  EXPECT_TRUE(service.instance.ends_with("h rank 1000 (01234567)"));
  EXPECT_EQ(service.txt.at("host"), made.host);
}

TEST(Announcement, CutsNoCharacterInTwo) {
  std::string name;
  for (int i = 0; i < 126; ++i) name += "\xc3\xa9";
  auto const service = announce_worker({.rank = Rank{1}, .host = name, .id = "abcd"}, 1);
  EXPECT_EQ(service.txt.at("host").size(), 250u);
  // 63 - 14 = 49 bytes are left before " rank 1 (abcd)"; half of a character is none.
  EXPECT_EQ(service.instance, name.substr(0, 48) + " rank 1 (abcd)");
}

TEST(Announcement, NeedsNoId) {
  auto sighting = sighting_of(announce_worker({.rank = Rank{1}, .host = "a", .id = "x"}, 1));
  sighting.txt.erase("id");
  auto const read = read_announcement(sighting);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->id, "");
}

TEST(Announcement, OfAStrangerIsNone) {
  auto const good = sighting_of(announce_worker({.rank = Rank{1}, .host = "a", .id = "x"}, 1));
  for (auto const* rank : {"", "0", "-1", "+1", " 1", "1 ", "1x", "4294967296", "one"}) {
    auto bad = good;
    bad.txt["rank"] = rank;
    EXPECT_FALSE(read_announcement(bad)) << rank;
  }
  auto nameless = good;
  nameless.txt["host"] = "";
  EXPECT_FALSE(read_announcement(nameless));
  auto longest = good;
  longest.txt["host"] = std::string(limits::name_bytes_max, 'h');
  EXPECT_TRUE(read_announcement(longest));
  longest.txt["host"] += 'h';
  EXPECT_FALSE(read_announcement(longest));
  EXPECT_FALSE(read_announcement(MdnsSighting{}));
}

}  // namespace
}  // namespace grove
