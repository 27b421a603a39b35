#include "transfer/checkpoint_writer.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <limits>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/file.h"

namespace grove {

namespace {

namespace fs = std::filesystem;

constexpr std::int64_t a_time = 1'700'000'000'123'456'789;

class CheckpointWriterTest : public testing::Test {
 protected:
  CheckpointWriterTest() {
    std::string name = testing::TempDir() + "checkpoint_writer.XXXXXX";
    folder_ = ::mkdtemp(name.data());
    path_ = folder_ / "merged.safetensors";
  }
  ~CheckpointWriterTest() override { std::ignore = remove_tree(folder_); }

  CheckpointWriter::Options options(std::uint64_t file_bytes) const {
    return {.path = path_,
            .file_bytes = file_bytes,
            .mode = 0640,
            .mtime_ns = a_time,
            .mark = "run1/model.safetensors@7"};
  }

  std::vector<std::string> names() const { return list_folder(folder_).value(); }

  std::string content(fs::path const& path) const {
    Buffer const buffer = read_whole(path, 1'000'000).value();
    return std::string(text_of(buffer));
  }

  void put_there(std::string_view text) const { ASSERT_TRUE(write_durably(path_, bytes_of(text))); }

  void write_whole(std::string_view text) const {
    auto writer = CheckpointWriter::create(options(text.size()));
    ASSERT_TRUE(writer) << writer.error().message;
    ASSERT_TRUE(writer.value().write(bytes_of(text), 0));
    auto const committed = writer.value().commit();
    ASSERT_TRUE(committed) << committed.error().message;
  }

  ExistingFile inspect(std::uint64_t file_bytes, std::int64_t mtime_ns = a_time) const {
    return inspect_existing(path_, file_bytes, mtime_ns).value();
  }

  // Whether the file system here keeps attributes: then a mark decides, else size and time.
  bool keeps_marks() const {
    PendingFile probe = PendingFile::create(folder_).value();
    return probe.file().set_attribute("probe", "1").value();
  }

  fs::path folder_;
  fs::path path_;
};

}  // namespace

TEST_F(CheckpointWriterTest, MakesTheFileFromPartsInAnyOrder) {
  auto writer = CheckpointWriter::create(options(10));
  ASSERT_TRUE(writer) << writer.error().message;
  EXPECT_TRUE(writer.value().write(bytes_of("789"), 7));
  EXPECT_TRUE(writer.value().write(bytes_of("0123"), 0));
  EXPECT_TRUE(writer.value().write(bytes_of("456"), 4));
  EXPECT_FALSE(fs::exists(path_));
  ASSERT_TRUE(writer.value().commit());
  EXPECT_EQ(content(path_), "0123456789");
  EXPECT_EQ(names(), std::vector<std::string>{"merged.safetensors"});
}

TEST_F(CheckpointWriterTest, GivesTheFileItsModeTimeAndMark) {
  write_whole("0123456789");
  FileStamp const stamp = stamp_of(path_).value();
  EXPECT_EQ(stamp.mode, 0640u);
  EXPECT_EQ(stamp.mtime_ns, a_time);
  if (keeps_marks()) {
    EXPECT_EQ(File::open_readonly(path_).value().attribute("grove.origin").value(),
              fmt::format("run1/model.safetensors@7 10 {}", a_time));
  }
}

TEST_F(CheckpointWriterTest, KnowsAMarkedFileThatAUserHasWrittenOver) {
  write_whole("0123456789");
  if (!keeps_marks()) GTEST_SKIP() << "this file system keeps no attributes";
  EXPECT_EQ(inspect_existing(path_, 10, a_time).value(), ExistingFile::ours);
  std::ofstream(path_) << "mine, all mine";  // in place: the mark stays
  EXPECT_EQ(inspect_existing(path_, 10, a_time).value(), ExistingFile::foreign);
}

TEST_F(CheckpointWriterTest, MarksAReadOnlyFileToo) {
  auto read_only = options(1);
  read_only.mode = 0444;
  auto writer = CheckpointWriter::create(read_only);
  ASSERT_TRUE(writer);
  ASSERT_TRUE(writer.value().write(bytes_of("x"), 0));
  ASSERT_TRUE(writer.value().commit());
  EXPECT_EQ(stamp_of(path_).value().mode, 0444u);
  EXPECT_EQ(inspect(1), ExistingFile::ours);
}

TEST_F(CheckpointWriterTest, IsPrivateUntilItIsComplete) {
  auto writer = CheckpointWriter::create(options(1));
  ASSERT_TRUE(writer);
  ASSERT_EQ(names().size(), 1u);
  EXPECT_EQ(stamp_of(folder_ / names()[0]).value().mode, 0600u);
}

TEST_F(CheckpointWriterTest, WritesAnEmptyFile) {
  auto writer = CheckpointWriter::create(options(0));
  ASSERT_TRUE(writer);
  EXPECT_TRUE(writer.value().write({}, 0));
  ASSERT_TRUE(writer.value().commit());
  EXPECT_EQ(content(path_), "");
}

TEST_F(CheckpointWriterTest, TakesPartsThatOverlap) {
  auto writer = CheckpointWriter::create(options(6));
  ASSERT_TRUE(writer);
  EXPECT_TRUE(writer.value().write(bytes_of("0123"), 0));
  EXPECT_TRUE(writer.value().write(bytes_of("2345"), 2));
  EXPECT_TRUE(writer.value().write(bytes_of("0123"), 0));
  ASSERT_TRUE(writer.value().commit());
  EXPECT_EQ(content(path_), "012345");
}

TEST_F(CheckpointWriterTest, RefusesToCommitWhileAByteIsMissing) {
  struct Case {
    std::vector<std::pair<std::uint64_t, std::string>> parts;
    std::string first_missing;
  };
  for (Case const& gap :
       {Case{{}, "byte 0 "}, Case{{{1, "12345"}}, "byte 0 "},
        Case{{{0, "01"}, {3, "345"}}, "byte 2 "}, Case{{{3, "345"}, {0, "012"}, {5, ""}}, ""},
        Case{{{0, "01234"}}, "byte 5 "}}) {
    auto writer = CheckpointWriter::create(options(6));
    ASSERT_TRUE(writer);
    for (auto const& [offset, text] : gap.parts) {
      EXPECT_TRUE(writer.value().write(bytes_of(text), offset));
    }
    auto const committed = writer.value().commit();
    if (gap.first_missing.empty()) {
      EXPECT_TRUE(committed);
      continue;
    }
    ASSERT_FALSE(committed);
    EXPECT_EQ(committed.error().kind, ErrorKind::internal);
    EXPECT_NE(committed.error().message.find(gap.first_missing), std::string::npos)
        << committed.error().message;
  }
}

TEST_F(CheckpointWriterTest, RefusesPartsThatReachBeyondTheFile) {
  auto writer = CheckpointWriter::create(options(6));
  ASSERT_TRUE(writer);
  EXPECT_TRUE(writer.value().write(bytes_of("5"), 5));
  for (std::uint64_t const offset : {std::uint64_t{6}, std::numeric_limits<std::uint64_t>::max()}) {
    auto const refused = writer.value().write(bytes_of("6"), offset);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::internal);
  }
  EXPECT_FALSE(writer.value().write(bytes_of("0123456"), 0));
}

TEST_F(CheckpointWriterTest, TakesPartsFromSeveralThreads) {
  constexpr std::size_t part_bytes = 1000;
  constexpr std::size_t parts_count = 64;
  std::string text;
  for (std::size_t index = 0; index < part_bytes * parts_count; ++index) {
    text += static_cast<char>('a' + index * 7 % 26);
  }
  auto writer = CheckpointWriter::create(options(text.size()));
  ASSERT_TRUE(writer);
  std::vector<std::thread> threads;
  for (std::size_t thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (std::size_t part = thread; part < parts_count; part += 4) {
        EXPECT_TRUE(writer.value().write(bytes_of(text).subspan(part * part_bytes, part_bytes),
                                         part * part_bytes));
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  ASSERT_TRUE(writer.value().commit());
  EXPECT_EQ(content(path_), text);
}

TEST_F(CheckpointWriterTest, ReadsBackWhatWasWritten) {
  auto writer = CheckpointWriter::create(options(4));
  ASSERT_TRUE(writer);
  ASSERT_TRUE(writer.value().write(bytes_of("0123"), 0));
  std::string text(4, '.');
  auto const count = writer.value().read_at(std::as_writable_bytes(std::span(text)), 1);
  ASSERT_TRUE(count);
  EXPECT_EQ(count.value(), 3u);
  EXPECT_EQ(text, "123.");
}

TEST_F(CheckpointWriterTest, CanBeRedirectedBeforeTheCommit) {
  auto writer = CheckpointWriter::create(options(1));
  ASSERT_TRUE(writer);
  ASSERT_TRUE(writer.value().write(bytes_of("x"), 0));
  fs::path const other = folder_ / "worker_2" / "shard.safetensors";
  ASSERT_TRUE(writer.value().redirect(other));
  ASSERT_TRUE(writer.value().commit());
  EXPECT_EQ(content(other), "x");
  EXPECT_EQ(names(), std::vector<std::string>{"worker_2"});
}

TEST_F(CheckpointWriterTest, LeavesNothingBehindWithoutACommit) {
  {
    auto writer = CheckpointWriter::create(options(3));
    ASSERT_TRUE(writer);
    EXPECT_TRUE(writer.value().write(bytes_of("012"), 0));
  }
  EXPECT_TRUE(names().empty());
}

TEST_F(CheckpointWriterTest, KeepsTheOldFileUntilTheCommit) {
  write_whole("old");
  auto writer = CheckpointWriter::create(options(4));
  ASSERT_TRUE(writer);
  ASSERT_TRUE(writer.value().write(bytes_of("new!"), 0));
  EXPECT_EQ(content(path_), "old");
  ASSERT_TRUE(writer.value().commit());
  EXPECT_EQ(content(path_), "new!");
}

TEST_F(CheckpointWriterTest, RefusesToReplaceAFileThatAppearedMeanwhile) {
  auto writer = CheckpointWriter::create(options(3));
  ASSERT_TRUE(writer);
  ASSERT_TRUE(writer.value().write(bytes_of("012"), 0));
  put_there("somebody's work");
  auto const refused = writer.value().commit();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::conflict);
  EXPECT_EQ(content(path_), "somebody's work");
}

TEST_F(CheckpointWriterTest, ChecksTheFreeSpaceFirst) {
  auto const refused = CheckpointWriter::create(options(std::uint64_t{1} << 60));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::exhausted);
  EXPECT_NE(refused.error().message.find("needs 1152921504606846976 bytes"), std::string::npos);
  EXPECT_TRUE(names().empty());
}

TEST_F(CheckpointWriterTest, MakesFoldersOnlyWhenTold) {
  auto deeper = options(1);
  deeper.path = folder_ / "worker_1" / "run1" / "shard.safetensors";
  auto const refused = CheckpointWriter::create(deeper);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::not_found);
  EXPECT_TRUE(names().empty());

  deeper.make_folders = true;
  auto writer = CheckpointWriter::create(deeper);
  ASSERT_TRUE(writer) << writer.error().message;
  ASSERT_TRUE(writer.value().write(bytes_of("x"), 0));
  ASSERT_TRUE(writer.value().commit());
  EXPECT_EQ(content(deeper.path), "x");
}

TEST_F(CheckpointWriterTest, RemovesWhatAKilledWriterLeft) {
  pid_t const child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto writer = CheckpointWriter::create(options(3));
    ::_exit(writer ? 0 : 1);  // as a kill does: no destructor runs
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  ASSERT_EQ(names().size(), 1u);

  write_whole("012");
  EXPECT_EQ(names(), std::vector<std::string>{"merged.safetensors"});
}

TEST_F(CheckpointWriterTest, LeavesTheFilesOfLivingWritersAndOfUsersAlone) {
  std::vector<std::string> const kept{".grove-1-2-notes", ".grove-notes", "a"};
  for (std::string const& name : kept) {
    ASSERT_TRUE(write_durably(folder_ / name, bytes_of("x")));
  }
  auto other = CheckpointWriter::create(options(3));
  ASSERT_TRUE(other);
  auto first = options(3);
  first.path = folder_ / "merged.pth";
  auto writer = CheckpointWriter::create(first);
  ASSERT_TRUE(writer);
  EXPECT_EQ(names().size(), kept.size() + 2);
  ASSERT_TRUE(other.value().write(bytes_of("012"), 0));
  ASSERT_TRUE(other.value().commit());
  EXPECT_EQ(content(path_), "012");
}

TEST_F(CheckpointWriterTest, TellsItsOwnFilesFromOthers) {
  EXPECT_EQ(inspect(3), ExistingFile::none);
  write_whole("012");
  EXPECT_EQ(inspect(3), ExistingFile::ours);
  ASSERT_TRUE(remove_file(path_));
  put_there("012");
  EXPECT_EQ(inspect(3), ExistingFile::foreign);
}

TEST_F(CheckpointWriterTest, KnowsAnOlderGenerationByItsMark) {
  write_whole("012");
  EXPECT_EQ(inspect(4, a_time + 1'000'000'000'000),
            keeps_marks() ? ExistingFile::ours : ExistingFile::foreign);
}

TEST_F(CheckpointWriterTest, TakesACopyOfEqualSizeAndTimeForItsOwnOnlyWhereNoMarksAreKept) {
  {
    PendingFile copy = PendingFile::create(folder_).value();
    ASSERT_TRUE(copy.file().write_at(bytes_of("012"), 0));
    ASSERT_TRUE(copy.file().set_mode_and_mtime(0644, a_time));
    ASSERT_TRUE(copy.commit_as(path_));
  }
  EXPECT_EQ(inspect(3), keeps_marks() ? ExistingFile::foreign : ExistingFile::ours);
  EXPECT_EQ(inspect(4), ExistingFile::foreign);
  EXPECT_EQ(inspect(3, std::numeric_limits<std::int64_t>::min()), ExistingFile::foreign);
  EXPECT_EQ(names(), std::vector<std::string>{"merged.safetensors"});
}

TEST_F(CheckpointWriterTest, TakesWhatItCannotReadForForeign) {
  put_there("012");
  ASSERT_EQ(::chmod(path_.c_str(), 0), 0);
  ASSERT_EQ(::chmod(folder_.c_str(), 0755), 0);
  pid_t const child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    // Nothing is unreadable for root.
    bool const is_user = ::geteuid() != 0 || ::seteuid(65534) == 0;
    auto const existing = inspect_existing(path_, 3, a_time);
    ::_exit(is_user && existing && existing.value() == ExistingFile::foreign ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST_F(CheckpointWriterTest, TakesLinksAndFoldersForForeign) {
  fs::create_symlink(folder_ / "nowhere", path_);
  EXPECT_EQ(inspect(3), ExistingFile::foreign);
  fs::remove(path_);
  fs::create_directory(path_);
  EXPECT_EQ(inspect(3), ExistingFile::foreign);
}

}  // namespace grove
