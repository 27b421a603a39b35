// A folder of its own for one test, removed with all it holds at the end.
// Not here: anything for code that is not a test. Threads: one.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <system_error>

#include <gtest/gtest.h>

#include "base/error.h"

namespace grove {

class TestFolder {
 public:
  TestFolder() {
    std::string name = testing::TempDir() + "/grove-test-XXXXXX";
    GROVE_ASSERT(::mkdtemp(name.data()) != nullptr);
    // Without links, so that tests may compare paths.
    path_ = std::filesystem::canonical(name);
  }
  ~TestFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TestFolder(TestFolder const&) = delete;
  TestFolder& operator=(TestFolder const&) = delete;

  std::filesystem::path const& path() const { return path_; }
  std::filesystem::path operator/(std::filesystem::path const& name) const { return path_ / name; }

  // Writes `text` to `name`, making the folders on the way.
  void write(std::filesystem::path const& name, std::string_view text) const {
    std::filesystem::create_directories((path_ / name).parent_path());
    std::ofstream(path_ / name, std::ios::binary) << text;
  }

 private:
  std::filesystem::path path_;
};

}  // namespace grove
