#include "base/yaml_map.h"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <optional>
#include <sstream>
#include <tuple>

#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/eventhandler.h>

#include "base/limits.h"

namespace grove {

namespace {

constexpr std::size_t shown_bytes_max = 64;

std::string position(std::filesystem::path const& source, int line_index) {
  // yaml-cpp counts from 0, and has -1 for "nowhere".
  return fmt::format("{}:{}", printable(source.native()), std::max(line_index, 0) + 1);
}

std::string in_quotes(std::string_view text) {
  if (text.size() <= shown_bytes_max) return fmt::format("\"{}\"", printable(text));
  return fmt::format("\"{}…\"", printable(text.substr(0, shown_bytes_max)));
}

std::string described(YAML::Node const& node) {
  if (node.IsNull()) return "nothing";
  if (node.IsMap()) return "a mapping";
  if (node.IsSequence()) return "a list";
  return in_quotes(node.Scalar());
}

// yaml-cpp gives a quoted scalar the tag "!" and a plain one "?".
bool is_plain(YAML::Node const& node) {
  return node.IsScalar() && node.Tag() != "!";
}

bool is_control(char character) {
  auto const byte = static_cast<unsigned char>(character);
  return byte < 0x20 || byte == 0x7F;
}

char lower(char letter) {
  return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
}

// Levenshtein's distance, letter case aside.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      std::size_t const replaced = diagonal + (lower(a[i]) == lower(b[j]) ? 0 : 1);
      diagonal = std::exchange(row[j + 1], std::min({row[j] + 1, row[j + 1] + 1, replaced}));
    }
  }
  return row.back();
}

// What to write instead of an unknown key: the nearest known one, or all where none is near.
std::string suggestion(std::string_view key, YamlMap::Keys known) {
  std::string_view nearest;
  std::size_t nearest_distance = std::max<std::size_t>(2, key.size() / 2) + 1;
  if (key.size() <= shown_bytes_max) {
    for (std::string_view const candidate : known) {
      std::size_t const distance = edit_distance(key, candidate);
      if (distance < nearest_distance) {
        nearest = candidate;
        nearest_distance = distance;
      }
    }
  }
  if (!nearest.empty()) return fmt::format("did you mean \"{}\"?", nearest);
  return fmt::format("known here are {}", fmt::join(known, ", "));
}

// yaml-cpp would take U+0004 for the end of the file and read UTF-16 as well.
std::optional<int> line_of_control_character(std::string_view yaml) {
  int line_index = 0;
  for (char const character : yaml) {
    if (character == '\n') ++line_index;
    if (is_control(character) && character != '\n' && character != '\r' && character != '\t') {
      return line_index;
    }
  }
  return std::nullopt;
}

// Takes a document in and keeps nothing of it.
class Skipper : public YAML::EventHandler {
 public:
  void OnDocumentStart(YAML::Mark const& mark) override { line_index_ = mark.line; }
  void OnDocumentEnd() override {}
  void OnNull(YAML::Mark const&, YAML::anchor_t) override {}
  void OnAlias(YAML::Mark const&, YAML::anchor_t) override {}
  void OnScalar(YAML::Mark const&, std::string const&, YAML::anchor_t,
                std::string const&) override {}
  void OnSequenceStart(YAML::Mark const&, std::string const&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(YAML::Mark const&, std::string const&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}

  int line_index() const { return line_index_; }

 private:
  int line_index_ = 0;
};

// Where something stands after the first document. Not LoadAll: it goes on for ever where a
// document starts with what cannot start one, such as a comma, since none of that is taken in.
std::optional<int> line_of_second_document(std::string const& yaml) {
  std::istringstream stream(yaml);
  YAML::Parser parser(stream);
  Skipper skipper;
  if (!parser.HandleNextDocument(skipper) || !parser) return std::nullopt;
  std::ignore = parser.HandleNextDocument(skipper);  // it has a document: `parser` said so
  return skipper.line_index();
}

}  // namespace

Result<YamlMap> YamlMap::parse(std::string_view yaml, std::filesystem::path const& source,
                               Keys known) {
  if (yaml.size() > limits::config_bytes_max) {
    return fail(ErrorKind::invalid, "{}: {} bytes are more than the {} allowed",
                printable(source.native()), yaml.size(), limits::config_bytes_max);
  }
  if (auto const line_index = line_of_control_character(yaml)) {
    return fail(ErrorKind::invalid, "{}: a control character; write the file as plain UTF-8 text",
                position(source, *line_index));
  }
  try {
    std::string const text(yaml);
    YAML::Node const document = YAML::Load(text);
    if (auto const line_index = line_of_second_document(text)) {
      return fail(ErrorKind::invalid, "{}: something stands after the end of the YAML document",
                  position(source, *line_index));
    }
    return from(source, {0, document}, "", known);
  } catch (YAML::DeepRecursion const& error) {
    return fail(ErrorKind::invalid, "{}: not YAML: nested too deep",
                position(source, error.mark.line));
  } catch (YAML::Exception const& error) {
    return fail(ErrorKind::invalid, "{}: not YAML: {}", position(source, error.mark.line),
                printable(error.msg));
  }
}

Result<YamlMap> YamlMap::from(std::filesystem::path const& source, Entry const& entry,
                              std::string prefix, Keys known) {
  if (!entry.value.IsMap()) {
    std::string const what =
        prefix.empty() ? "the file" : in_quotes(prefix.substr(0, prefix.size() - 1));
    return fail(ErrorKind::invalid, "{}: {} must be a mapping of keys to values, not {}",
                position(source, entry.line_index), what, described(entry.value));
  }
  YamlMap map(source, std::move(prefix), entry.line_index);
  TRY(map.take_entries(entry.value, known));
  return map;
}

Result<void> YamlMap::take_entries(YAML::Node const& node, Keys known) {
  for (auto const& entry : node) {
    YAML::Node const& key = entry.first;
    std::string const at = position(source_, key.Mark().line);
    if (!key.IsScalar()) {
      return fail(ErrorKind::invalid, "{}: a key must be a word, not {}", at, described(key));
    }
    std::string const& name = key.Scalar();
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      return fail(ErrorKind::invalid, "{}: unknown key {}; {}", at, in_quotes(name),
                  suggestion(name, known));
    }
    if (auto const first = entries_.find(name); first != entries_.end()) {
      return fail(ErrorKind::invalid, "{}: {} is given twice; it stands in line {} already", at,
                  prefix_ + name, first->second.line_index + 1);
    }
    entries_.emplace(name, Entry{key.Mark().line, entry.second});
  }
  return ok();
}

std::string YamlMap::where(std::string_view key) const {
  auto const entry = entries_.find(key);
  return position(source_, entry == entries_.end() ? line_index_ : entry->second.line_index);
}

Error YamlMap::complaint(std::string_view key, std::string_view what) const {
  return fail(ErrorKind::invalid, "{}: {}{} {}", where(key), prefix_, key, what);
}

Result<void> YamlMap::require(std::string_view key) const {
  if (!has(key)) return complaint(key, "is missing");
  return ok();
}

Result<std::uint64_t> YamlMap::whole_number(std::string_view key, std::uint64_t min,
                                            std::uint64_t max) const {
  YAML::Node const& node = entries_.find(key)->second.value;
  if (is_plain(node)) {
    std::string const& digits = node.Scalar();
    std::uint64_t value = 0;
    auto const [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    bool const whole = error == std::errc() && end == digits.data() + digits.size();
    if (whole && value >= min && value <= max) return value;
  }
  std::string const range = max == std::numeric_limits<std::uint64_t>::max()
                                ? fmt::format("of at least {}", min)
                                : fmt::format("from {} to {}", min, max);
  return complaint(key, fmt::format("must be a whole number {}, not {}", range, described(node)));
}

Result<bool> YamlMap::boolean(std::string_view key, bool otherwise) const {
  if (!has(key)) return otherwise;
  YAML::Node const& node = entries_.find(key)->second.value;
  bool value = false;
  if (is_plain(node) && YAML::convert<bool>::decode(node, value)) return value;
  return complaint(key, fmt::format("must be true or false, not {}", described(node)));
}

Result<std::string> YamlMap::checked_text(std::string_view key, YAML::Node const& node) const {
  if (node.IsNull()) {
    return complaint(key, "has no value (a bare ~ is YAML's word for none); give one, in quotes");
  }
  if (!node.IsScalar())
    return complaint(key, fmt::format("must be a text, not {}", described(node)));
  std::string const& text = node.Scalar();
  if (text.empty()) return complaint(key, "must not be empty");
  if (std::any_of(text.begin(), text.end(), is_control)) {
    return complaint(key, fmt::format("must not have control characters: {}", in_quotes(text)));
  }
  return text;
}

Result<std::string> YamlMap::text(std::string_view key, std::string_view otherwise) const {
  if (!has(key)) return std::string(otherwise);
  return checked_text(key, entries_.find(key)->second.value);
}

Result<YAML::Node> YamlMap::sequence(std::string_view key, std::size_t count_max) const {
  YAML::Node const& node = entries_.find(key)->second.value;
  if (!node.IsSequence()) {
    return complaint(key, fmt::format("must be a list, not {}", described(node)));
  }
  if (node.size() > count_max) {
    return complaint(key, fmt::format("has {} entries; {} are allowed", node.size(), count_max));
  }
  return node;
}

Result<std::vector<std::string>> YamlMap::texts(std::string_view key, std::size_t count_max) const {
  std::vector<std::string> texts;
  if (!has(key)) return texts;
  TRY(auto const list, sequence(key, count_max));
  for (auto const& entry : list) {
    TRY(auto text, checked_text(key, entry));
    texts.push_back(std::move(text));
  }
  return texts;
}

Result<YamlMap> YamlMap::map(std::string_view key, Keys known) const {
  TRY(require(key));
  return from(source_, entries_.find(key)->second, fmt::format("{}{}.", prefix_, key), known);
}

Result<std::vector<YamlMap>> YamlMap::maps(std::string_view key, Keys known,
                                           std::size_t count_max) const {
  std::vector<YamlMap> maps;
  if (!has(key)) return maps;
  TRY(auto const list, sequence(key, count_max));
  for (auto const& entry : list) {
    TRY(auto map, from(source_, {entry.Mark().line, entry},
                       fmt::format("{}{}[{}].", prefix_, key, maps.size()), known));
    maps.push_back(std::move(map));
  }
  return maps;
}

}  // namespace grove
