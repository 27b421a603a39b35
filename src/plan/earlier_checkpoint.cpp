#include "plan/earlier_checkpoint.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <map>
#include <string_view>
#include <tuple>

#include "plan/name_numbers.h"

namespace grove {

namespace {

// "run1" and "step_100" of "run1/step_100"; the first is empty where there is one folder alone.
struct Folders {
  std::string_view parent;
  std::string_view name;
};

Folders folders_of(CheckpointKey const& key) {
  auto const folder = key.folder();
  auto const slash = folder.rfind('/');
  if (slash == folder.npos) {
    return {.parent = {}, .name = folder};
  }
  return {.parent = folder.substr(0, slash), .name = folder.substr(slash + 1)};
}

// Without the numbers of the step; those of a part stay.
std::string name_pattern(CheckpointKey const& key) {
  auto const stem = stem_of(key);
  return without_numbers(stem).append(key.file_name().substr(stem.size()));
}

std::string_view up_to_first_digit(std::string_view name) {
  return name.substr(0,
                     static_cast<std::size_t>(std::ranges::find_if(name, is_digit) - name.begin()));
}

// "step_100", "checkpoint-100", "100"; not "run1".
bool is_step_folder(std::string_view name) {
  if (up_to_first_digit(name).size() == name.size()) {
    return false;
  }
  std::string lower(name);
  std::ranges::transform(lower, lower.begin(), [](char c) {
    return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  });
  constexpr std::array<std::string_view, 6> words{"step",       "epoch", "iter",
                                                  "checkpoint", "ckpt",  "chkpt"};
  return std::ranges::all_of(name, is_digit) ||
         std::ranges::any_of(
             words, [&](std::string_view word) { return lower.find(word) != std::string::npos; });
}

// The smaller the better. Where the folder is the step, other numbers in a file's name mean
// something else ("llama-7b", "optimizer-0"), and its namesake in another folder is the earlier
// one; else its neighbour with another number.
int distance(CheckpointKey const& key, CheckpointKey const& other) {
  bool const is_namesake = key.file_name() == other.file_name();
  bool const is_neighbour = key.folder() == other.folder();
  if (!is_namesake && !is_neighbour) {
    return 2;
  }
  return is_step_folder(folders_of(key).name) == is_namesake ? 0 : 1;
}

}  // namespace

std::optional<std::string> run_prefix_of(CheckpointKey const& key) {
  Folders const folders = folders_of(key);
  if (!folders.parent.empty()) {
    return std::string(folders.parent) + '/';
  }
  if (auto const start = up_to_first_digit(folders.name); start.size() < folders.name.size()) {
    return std::string(start);
  }
  auto const stem = stem_of(key);
  auto const start = up_to_first_digit(stem);
  if (start.size() == stem.size()) {
    return std::nullopt;
  }
  return folders.name.empty() ? std::string(start)
                              : std::string(folders.name).append("/").append(start);
}

bool is_of_same_run(CheckpointKey const& key, CheckpointKey const& other) {
  if (key == other || name_pattern(key) != name_pattern(other)) {
    return false;
  }
  Folders const folders = folders_of(key);
  Folders const others = folders_of(other);
  if (folders.parent != others.parent || folders.name.empty() != others.name.empty()) {
    return false;
  }
  // Beside each other in ckpt_root itself there may be anything.
  return !folders.parent.empty() || without_numbers(folders.name) == without_numbers(others.name);
}

std::vector<EarlierCheckpoint> choose_earlier(CheckpointKey const& key,
                                              std::span<WorkerInventory const> inventories,
                                              std::size_t count_max) {
  std::map<CheckpointKey, Generation> complete;
  for (WorkerInventory const& inventory : inventories) {
    for (HeldRef const& held : inventory.refs) {
      if (held.ref.name.shard || !is_of_same_run(key, held.ref.key)) {
        continue;
      }
      Generation& newest = complete[held.ref.key];
      newest = std::max(newest, held.ref.generation);
    }
  }
  struct Ranked {
    int distance;
    Generation generation;
    CheckpointKey key;
  };
  std::vector<Ranked> ranked;
  for (auto const& [other, generation] : complete) {
    ranked.push_back({distance(key, other), generation, other});
  }
  std::sort(ranked.begin(), ranked.end(), [](Ranked const& a, Ranked const& b) {
    return std::tie(a.distance, b.generation, a.key) < std::tie(b.distance, a.generation, b.key);
  });
  std::vector<EarlierCheckpoint> chosen;
  for (Ranked const& one : ranked) {
    if (chosen.size() == count_max) {
      break;
    }
    for (GenerationView& view : generations_of(one.key, inventories)) {
      if (view.generation == one.generation) {
        chosen.push_back({.key = one.key, .generation = std::move(view)});
      }
    }
  }
  return chosen;
}

}  // namespace grove
