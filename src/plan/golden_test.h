// Golden texts: what a plan prints, kept in plan/testdata, so that a review shows a changed
// decision as a diff. For this room's tests only.
#pragma once

#include <fstream>
#include <sstream>
#include <string>

#include <gtest/gtest.h>

namespace grove {

// Compares `text` with plan/testdata/`name`; a deliberate change is made by editing that file.
inline void expect_golden(std::string const& name, std::string const& text) {
  std::ifstream stream(std::string(GROVE_SOURCE_DIR "/src/plan/testdata/") + name);
  ASSERT_TRUE(stream) << "no golden text " << name << "; the plan prints:\n" << text;
  std::ostringstream golden;
  golden << stream.rdbuf();
  EXPECT_EQ(golden.str(), text) << "in plan/testdata/" << name;
}

}  // namespace grove
