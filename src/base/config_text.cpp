#include "base/config_text.h"

#include <algorithm>
#include <vector>

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

namespace grove {
namespace {

namespace fs = std::filesystem;

// As a value in YAML: plain where that cannot be taken for anything else, else quoted.
std::string scalar(std::string_view text) {
  bool const is_plain = !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '.' || c == '-' || c == '_' || c == '/';
  });
  bool const is_word = is_plain && std::isalpha(static_cast<unsigned char>(text.front())) != 0;
  bool const is_path = is_plain && text.front() == '/';
  // "1.10" would be read as a text by us, but as a number by others; so would "no" as false.
  if (is_path || (is_word && text != "no" && text != "yes" && text != "true" && text != "false" &&
                  text != "on" && text != "off" && text != "null")) {
    return std::string(text);
  }
  if (is_plain && std::count(text.begin(), text.end(), '.') == 3) return std::string(text);  // IPv4
  std::string quoted = "\"";
  for (char const c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += c;
  }
  return quoted + "\"";
}

std::string entry(DeviceConfig const& device, std::string const& indent) {
  return fmt::format("{0}- host: {1}\n{0}  ip: {2}\n{0}  rank: {3}\n{0}  port: {4}\n", indent,
                     scalar(device.host), scalar(device.ip), device.rank.value, device.port);
}

std::vector<std::string> split_lines(std::string const& text) {
  std::vector<std::string> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    auto const end = std::min(text.find('\n', begin), text.size() - 1) + 1;
    lines.push_back(text.substr(begin, end - begin));
    begin = end;
  }
  return lines;
}

bool is_same(DeviceConfig const& a, DeviceConfig const& b) {
  return a.host == b.host && a.ip == b.ip && a.rank == b.rank && a.port == b.port;
}

// The new value of a count that was made for another number of workers.
std::uint32_t adjusted_chunks(Config const& old, std::size_t workers_count) {
  bool const followed = old.n_chunks == old.workers.size();
  return followed ? static_cast<std::uint32_t>(workers_count) : old.n_chunks;
}

std::uint32_t adjusted_redundancy(Config const& old, std::size_t workers_count) {
  return std::min(old.redundancy, static_cast<std::uint32_t>(workers_count));
}

// Edits the lines of a config whose workers are a list in block style, one key a line. Every step
// may find that the file is written otherwise; then there is no result.
class LineEditor {
 public:
  explicit LineEditor(std::string const& yaml)
      : lines_(split_lines(yaml)), root_(YAML::Load(yaml)) {
    if (!lines_.empty() && !lines_.back().ends_with('\n')) lines_.back() += '\n';
  }

  std::optional<std::string> with(Config const& old, std::span<DeviceConfig const> workers) {
    auto const list = root_["devices_config"]["workers"];
    if (list.Style() == YAML::EmitterStyle::Flow) return std::nullopt;
    if (!set("num_workers", std::to_string(workers.size()))) return std::nullopt;
    auto const chunks = adjusted_chunks(old, workers.size());
    if (root_["n_chunks"] && !set("n_chunks", std::to_string(chunks))) return std::nullopt;
    auto const redundancy = adjusted_redundancy(old, workers.size());
    if (root_["redundancy"] && !set("redundancy", std::to_string(redundancy))) return std::nullopt;

    std::string added;
    std::size_t last_line = 0;
    for (std::size_t i = 0; i < list.size(); ++i) {
      auto const first_line = i == 0 ? line_of(list[i]) : last_line + 1;
      last_line = std::max(line_of(list[i]), last_line_of(list[i]));
      auto const same_rank = [&](DeviceConfig const& w) { return w.rank == old.workers[i].rank; };
      auto const kept = std::find_if(workers.begin(), workers.end(), same_rank);
      if (kept == workers.end()) {
        for (auto line = first_line; line <= last_line; ++line) lines_[line].clear();
      } else if (!set_device(list[i], old.workers[i], *kept)) {
        return std::nullopt;
      }
    }
    auto const dash = static_cast<std::size_t>(std::max(list.Mark().column, 0));
    for (auto const& worker : workers) {
      bool const is_new =
          std::none_of(old.workers.begin(), old.workers.end(),
                       [&](DeviceConfig const& known) { return known.rank == worker.rank; });
      if (is_new) added += entry(worker, std::string(dash, ' '));
    }
    lines_[last_line] += added;
    return fmt::format("{}", fmt::join(lines_, ""));
  }

 private:
  static std::size_t line_of(YAML::Node const& node) {
    return static_cast<std::size_t>(std::max(node.Mark().line, 0));
  }

  static std::size_t last_line_of(YAML::Node const& device) {
    std::size_t last = 0;
    for (auto const& pair : device) last = std::max(last, line_of(pair.second));
    return last;
  }

  bool set(char const* key, std::string const& value) {
    return replace(root_[key], root_[key].Scalar(), value);
  }

  bool set_device(YAML::Node const& node, DeviceConfig const& old, DeviceConfig const& wanted) {
    return (old.host == wanted.host || replace(node["host"], old.host, scalar(wanted.host))) &&
           (old.ip == wanted.ip || replace(node["ip"], old.ip, scalar(wanted.ip))) &&
           (old.port == wanted.port ||
            replace(node["port"], node["port"].Scalar(), std::to_string(wanted.port)));
  }

  // Puts `text`, which may have quotes, where the scalar with the value `old_value` stands.
  bool replace(YAML::Node const& node, std::string const& old_value, std::string const& text) {
    auto const line = line_of(node);
    if (node.Mark().is_null() || line >= lines_.size()) return false;
    auto& where = lines_[line];
    auto column = static_cast<std::size_t>(node.Mark().column);
    bool const is_quoted = column < where.size() && (where[column] == '"' || where[column] == '\'');
    if (is_quoted) ++column;
    if (where.compare(std::min(column, where.size()), old_value.size(), old_value) != 0) {
      return false;
    }
    auto const begin = is_quoted ? column - 1 : column;
    auto const end = column + old_value.size() + (is_quoted ? 1 : 0);
    where.replace(begin, end - begin, text);
    return true;
  }

  std::vector<std::string> lines_;
  YAML::Node root_;
};

// The same keys and values without comments.
std::string rewritten(std::string const& yaml, Config const& old,
                      std::span<DeviceConfig const> workers) {
  auto root = YAML::Clone(YAML::Load(yaml));
  YAML::Node list(YAML::NodeType::Sequence);
  for (auto const& worker : workers) {
    YAML::Node device;
    device["host"] = worker.host;
    device["ip"] = worker.ip;
    device["rank"] = worker.rank.value;
    device["port"] = worker.port;
    list.push_back(device);
  }
  root["devices_config"]["workers"] = list;
  root["num_workers"] = workers.size();
  if (root["n_chunks"]) root["n_chunks"] = adjusted_chunks(old, workers.size());
  if (root["redundancy"]) root["redundancy"] = adjusted_redundancy(old, workers.size());
  YAML::Emitter emitter;
  emitter << root;
  return std::string(emitter.c_str(), emitter.size()) + "\n";
}

// Whether `text` says exactly what was wanted.
bool has_exactly(std::string const& text, std::span<DeviceConfig const> workers,
                 fs::path const& source) {
  auto const config = parse_config(text, source);
  return config.has_value() &&
         std::equal(workers.begin(), workers.end(), config.value().workers.begin(),
                    config.value().workers.end(), is_same);
}

// In the order of the file: kept ones first, as they stand there.
std::vector<DeviceConfig> in_file_order(Config const& old, std::span<DeviceConfig const> workers) {
  std::vector<DeviceConfig> ordered(workers.begin(), workers.end());
  auto const place = [&](DeviceConfig const& worker) {
    return std::find_if(old.workers.begin(), old.workers.end(),
                        [&](DeviceConfig const& known) { return known.rank == worker.rank; });
  };
  std::stable_sort(ordered.begin(), ordered.end(),
                   [&](auto const& a, auto const& b) { return place(a) < place(b); });
  return ordered;
}

}  // namespace

std::string write_config(NewConfig const& config) {
  auto text =
      fmt::format("# {}\nckpt_root: {}\n", config.comment, scalar(config.ckpt_root.native()));
  if (config.shards_root) {
    text += fmt::format("shards_root: {}\n", scalar(config.shards_root->native()));
  }
  text += fmt::format("n_chunks: {0}\nnum_workers: {0}\n\ndevices_config:\n  master:\n",
                      config.workers.size());
  text += entry(config.master, "    ") + "  workers:\n";
  for (auto const& worker : config.workers) text += entry(worker, "    ");
  return text;
}

Result<ChangedConfig> change_workers(std::string const& yaml, std::span<DeviceConfig const> workers,
                                     fs::path const& source) {
  TRY(auto const old, parse_config(yaml, source));
  auto const ordered = in_file_order(old, workers);
  // yaml-cpp throws on what it does not like; what parse_config took it has taken before.
  try {
    auto edited = LineEditor(yaml).with(old, ordered);
    if (edited && has_exactly(*edited, ordered, source)) {
      return ChangedConfig{.text = std::move(*edited), .keeps_comments = true};
    }
    auto text = rewritten(yaml, old, ordered);
    TRY(parse_config(text, source));
    if (has_exactly(text, ordered, source)) {
      return ChangedConfig{.text = std::move(text), .keeps_comments = false};
    }
  } catch (YAML::Exception const& error) {
    return fail(ErrorKind::internal, "cannot change the workers in {}: {}", source.string(),
                error.what());
  }
  return fail(ErrorKind::internal, "cannot change the workers in {}; write them there yourself",
              source.string());
}

}  // namespace grove
