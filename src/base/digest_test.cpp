#include "base/digest.h"

#include <string>
#include <unordered_set>
#include <utility>

#include <gtest/gtest.h>

#include "base/bytes.h"

namespace grove {
namespace {

constexpr std::string_view digest_of_abc =
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST(Digest, AgreesWithTheStandardsExamples) {
  // FIPS 180-2, appendix B, and the empty message.
  EXPECT_EQ(sha256("abc").hex(), digest_of_abc);
  EXPECT_EQ(sha256("").hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq").hex(),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256(std::string(1'000'000, 'a')).hex(),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Digest, IsTheSameInAnyPieces) {
  std::string const text(1000, 'x');
  auto const bytes = bytes_of(text);
  for (std::size_t const cut : {0UL, 1UL, 63UL, 64UL, 65UL, 999UL, 1000UL}) {
    Sha256 hash;
    hash.update(bytes.first(cut));
    hash.update(bytes.subspan(cut));
    EXPECT_EQ(hash.finish(), sha256(text)) << cut;
  }
}

TEST(Digest, GoesOnAfterAMove) {
  Sha256 first;
  first.update(std::as_bytes(std::span("ab", 2)));
  Sha256 second = std::move(first);
  second.update(std::as_bytes(std::span("c", 1)));
  EXPECT_EQ(second.finish().hex(), digest_of_abc);
}

TEST(DigestDeathTest, IsSpentOnceFinished) {
  Sha256 hash;
  std::ignore = hash.finish();  // only to spend it
  EXPECT_DEATH(std::ignore = hash.finish(), "does not hold");
}

TEST(Digest, IsReadBackFromItsHex) {
  EXPECT_EQ(Digest::parse(digest_of_abc).value(), sha256("abc"));
  EXPECT_EQ(sha256("abc").short_hex(), "ba7816bf8f01…");
}

TEST(Digest, RefusesAllButSixtyFourLowerCaseHexDigits) {
  std::string const good(digest_of_abc);
  std::string upper = good;
  upper[0] = 'B';
  std::string strange = good;
  strange[63] = 'g';
  for (std::string const& bad : {std::string(), good.substr(1), good + "0", upper, strange,
                                 " " + good.substr(1), "0x" + good.substr(2)}) {
    auto const digest = Digest::parse(bad);
    ASSERT_FALSE(digest) << bad;
    EXPECT_EQ(digest.error().kind, ErrorKind::invalid);
  }
  EXPECT_EQ(Digest::parse(strange).error().message,
            "a SHA-256 is 64 lower-case hex digits; another character stands at 63");
}

TEST(Digest, IsOrderedLikeItsHex) {
  Digest low;
  Digest high;
  low.bytes[0] = std::byte{0x01};
  high.bytes[0] = std::byte{0x80};  // as a signed char it would come first
  EXPECT_LT(low, high);
  EXPECT_LT(low.hex(), high.hex());
}

TEST(Digest, CanBeTheKeyOfASet) {
  std::unordered_set<Digest> const digests{sha256("a"), sha256("b"), sha256("a")};
  EXPECT_EQ(digests.size(), 2U);
}

}  // namespace
}  // namespace grove
