// One mapping of a YAML file, read strictly: every key must be known and stand there once, every
// value must have its type and range. Each complaint is one line that names file and line.
// Not here: which keys there are and what they mean (base/config.h).
// Threads: a value of one thread (yaml-cpp's nodes share their memory).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <yaml-cpp/yaml.h>

#include "base/error.h"

namespace grove {

class YamlMap {
 public:
  using Keys = std::span<std::string_view const>;

  template <typename Number>
  struct Range {
    Number min = 0;
    Number max = std::numeric_limits<Number>::max();
  };

  // The only document of `yaml`, which must be a mapping. `source` is only for messages.
  // Fails, as all that follows: invalid.
  static Result<YamlMap> parse(std::string_view yaml, std::filesystem::path const& source,
                               Keys known);

  bool has(std::string_view key) const { return entries_.contains(key); }
  Result<void> require(std::string_view key) const;

  // The value of `key`, or `otherwise` where there is no such key.
  template <typename Number>
  Result<Number> number(std::string_view key, Range<Number> range, Number otherwise) const {
    if (!has(key)) return otherwise;
    TRY(auto const value, whole_number(key, range.min, range.max));
    return static_cast<Number>(value);
  }
  Result<bool> boolean(std::string_view key, bool otherwise) const;
  // Not empty, on one line, without control characters.
  Result<std::string> text(std::string_view key, std::string_view otherwise) const;
  // A sequence of such texts; empty where there is no such key.
  Result<std::vector<std::string>> texts(std::string_view key, std::size_t count_max) const;

  // The mapping under `key`, which must be there.
  Result<YamlMap> map(std::string_view key, Keys known) const;
  // The sequence of mappings under `key`; empty where there is no such key.
  Result<std::vector<YamlMap>> maps(std::string_view key, Keys known, std::size_t count_max) const;

  // "<file>:<line of the key>: <name of the key> <what>"; where there is no such key the line is
  // that of the mapping.
  Error complaint(std::string_view key, std::string_view what) const;
  // "<file>:<line of the key>".
  std::string where(std::string_view key) const;

 private:
  struct Entry {
    int line_index = 0;  // the key's: yaml-cpp takes an absent value's place from what follows it
    YAML::Node value;
  };

  YamlMap(std::filesystem::path source, std::string prefix, int line_index)
      : source_(std::move(source)), prefix_(std::move(prefix)), line_index_(line_index) {}

  static Result<YamlMap> from(std::filesystem::path const& source, Entry const& entry,
                              std::string prefix, Keys known);
  Result<void> take_entries(YAML::Node const& node, Keys known);
  Result<std::uint64_t> whole_number(std::string_view key, std::uint64_t min,
                                     std::uint64_t max) const;
  Result<std::string> checked_text(std::string_view key, YAML::Node const& node) const;
  // The value as a sequence of at most `count_max` entries.
  Result<YAML::Node> sequence(std::string_view key, std::size_t count_max) const;

  std::filesystem::path source_;
  std::string prefix_;  // "devices_config.workers[1]."
  int line_index_ = 0;
  std::map<std::string, Entry, std::less<>> entries_;
};

}  // namespace grove
