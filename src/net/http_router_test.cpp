#include "net/http_router.h"

#include <gtest/gtest.h>

namespace grove {
namespace {

Awaitable<Result<void>> nothing(HttpRequest&, HttpResponder&) {
  co_return ok();
}

class HttpRouterTest : public testing::Test {
 protected:
  HttpRouterTest() {
    router_.add(http::verb::get, "/chunks/{}", nothing);
    router_.add(http::verb::put, "/chunks/{}", nothing);
    router_.add(http::verb::post, "/chunks/missing", nothing);
    router_.add(http::verb::put, "/refs/{}/{}/{}", nothing);
    router_.add(http::verb::get, "/", nothing);
  }
  HttpRouter router_;
};

TEST_F(HttpRouterTest, CapturesDecodedSegments) {
  auto const match = router_.match(http::verb::put, "/refs/run1%2Fa%2Fm.bin/17/manifest");
  ASSERT_NE(match.handler, nullptr);
  EXPECT_EQ(match.args, (std::vector<std::string>{"run1/a/m.bin", "17", "manifest"}));
}

TEST_F(HttpRouterTest, ChoosesByMethod) {
  EXPECT_NE(router_.match(http::verb::post, "/chunks/missing").handler, nullptr);
  EXPECT_EQ(router_.match(http::verb::get, "/chunks/missing").args.size(), 1u);
  EXPECT_NE(router_.match(http::verb::get, "/").handler, nullptr);
}

TEST_F(HttpRouterTest, NamesTheMethodsOfAPath) {
  auto const match = router_.match(http::verb::delete_, "/chunks/ab");
  EXPECT_EQ(match.handler, nullptr);
  EXPECT_TRUE(match.path_exists);
  EXPECT_EQ(match.allowed, (std::vector<http::verb>{http::verb::get, http::verb::put}));
}

TEST_F(HttpRouterTest, DoesNotMatchOtherPaths) {
  for (auto const* path : {"/chunks", "/chunks/", "/chunks/a/", "/chunks/a/b", "/refs/a//b", "//",
                           "/chunks/%", "", "/CHUNKS/a"}) {
    auto const match = router_.match(http::verb::get, path);
    EXPECT_EQ(match.handler, nullptr) << path;
    EXPECT_FALSE(match.path_exists) << path;
  }
}

}  // namespace
}  // namespace grove
