#include "world.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace grove::simulation {

std::uint64_t Disk::used_bytes() const {
  std::uint64_t bytes = 0;
  for (auto const& [list, held] : chunks) bytes += held.bytes;
  return bytes;
}

Answer Worker::put_chunks(Digest const& list, std::uint64_t bytes) {
  if (!answers()) return Answer::unreachable;
  if (is_lying) return Answer::ok;
  if (auto const held = disk.chunks.find(list); held != disk.chunks.end()) {
    held->second.is_rotten = false;  // it was read before it was relied on, and sent again
    return Answer::ok;
  }
  if (disk.used_bytes() + bytes > disk.capacity_bytes) return Answer::full;
  disk.chunks[list] = {.bytes = bytes, .is_durable = false, .is_rotten = false};
  return Answer::ok;
}

// Syncs first: the answer means that the ref and all it names are durable.
Answer Worker::put_ref(Ref const& ref, Manifest const* manifest) {
  if (!answers()) return Answer::unreachable;
  if (is_lying) return Answer::ok;
  for (auto& [list, held] : disk.chunks) held.is_durable = true;
  auto const tombstone = disk.tombstones.find(ref.key);
  if (tombstone != disk.tombstones.end() && ref.generation <= tombstone->second.up_to) {
    return Answer::refused;
  }
  RefPlace const place{ref.key, ref.generation, ref.name};
  auto const standing = disk.refs.find(place);
  if (standing != disk.refs.end() && standing->second != ref.target) return Answer::refused;
  if (manifest != nullptr) {
    disk.manifests[ref.target] = *manifest;
    disk.rotten_manifests.erase(ref.target);
  } else if (!disk.chunks.contains(ref.target)) {
    return Answer::missing;
  }
  disk.refs[place] = ref.target;
  return Answer::ok;
}

Answer Worker::read_chunks(Digest const& list) {
  if (!answers()) return Answer::unreachable;
  if (is_lying) return Answer::missing;  // the receiver proves what it gets
  auto const held = disk.chunks.find(list);
  if (held == disk.chunks.end()) return Answer::missing;
  if (!held->second.is_rotten) return Answer::ok;
  disk.chunks.erase(held);
  return Answer::missing;
}

Answer Worker::forget(Ref const& ref) {
  if (!answers()) return Answer::unreachable;
  disk.refs.erase({ref.key, ref.generation, ref.name});
  return Answer::ok;
}

Answer Worker::put_tombstone(Tombstone const& tombstone) {
  if (!answers()) return Answer::unreachable;
  if (is_lying) return Answer::ok;
  auto const [standing, is_new] = disk.tombstones.emplace(tombstone.key, tombstone);
  if (!is_new && standing->second.up_to < tombstone.up_to) standing->second = tombstone;
  auto const up_to = standing->second.up_to;
  std::erase_if(disk.refs, [&](auto const& entry) {
    return std::get<0>(entry.first) == tombstone.key && std::get<1>(entry.first) <= up_to;
  });
  return Answer::ok;
}

std::optional<Manifest> Worker::manifest(Digest const& digest) {
  if (!answers() || is_lying) return std::nullopt;
  if (disk.rotten_manifests.erase(digest) > 0) disk.manifests.erase(digest);
  auto const found = disk.manifests.find(digest);
  if (found == disk.manifests.end()) return std::nullopt;
  return found->second;
}

bool Worker::has(Ref const& ref) const {
  if (ref.name.shard) {
    auto const held = disk.chunks.find(ref.target);
    return held != disk.chunks.end() && held->second.is_durable;
  }
  return disk.manifests.contains(ref.target);
}

WorkerInventory Worker::inventory(std::size_t index,
                                  std::vector<Ref> const& wanted_by_liars) const {
  WorkerInventory inventory{.worker_index = index, .refs = {}};
  for (auto const& [place, target] : disk.refs) {
    Ref const ref{std::get<0>(place), std::get<1>(place), std::get<2>(place), target};
    bool const is_sound = has(ref);
    inventory.refs.push_back(
        {.ref = ref, .is_sound = is_sound, .missing_count = is_sound ? 0u : 1u});
  }
  if (!is_lying) return inventory;
  for (auto const& ref : wanted_by_liars) {
    bool const is_there = disk.refs.contains({ref.key, ref.generation, ref.name});
    if (!is_there) inventory.refs.push_back({.ref = ref, .is_sound = true, .missing_count = 0});
  }
  for (auto& held : inventory.refs) held.is_sound = true;
  return inventory;
}

void Worker::reread(CheckpointKey const& key) {
  for (auto const& [place, target] : disk.refs) {
    if (std::get<0>(place) != key) continue;
    if (std::get<2>(place).shard) {
      std::ignore = read_chunks(target);
    } else {
      std::ignore = manifest(target);
    }
  }
}

void Worker::lose_power() {
  is_running = false;
  std::erase_if(disk.chunks, [](auto const& entry) { return !entry.second.is_durable; });
}

void Worker::restart() {
  is_running = true;
  // What a killed process wrote is in the page cache still; opening the folder syncs it.
  for (auto& [list, held] : disk.chunks) held.is_durable = true;
}

void Worker::collect() {
  std::set<Digest> named;
  for (auto const& [place, target] : disk.refs) named.insert(target);
  std::erase_if(disk.chunks, [&](auto const& entry) { return !named.contains(entry.first); });
  std::erase_if(disk.manifests, [&](auto const& entry) { return !named.contains(entry.first); });
}

World::World(std::uint64_t seed) : random(seed) {
  redundancy = chance(0.2) ? 3 : 2;
  auto const count = redundancy + 1 + below(4);
  for (std::size_t index = 0; index < count; ++index) {
    workers.emplace_back();
    workers.back().disk = fresh_disk();
    config.push_back(index);
  }
}

Disk World::fresh_disk() {
  Disk disk;
  disk.id = next_disk_id++;
  disk.capacity_bytes = 4000 + below(8000);
  return disk;
}

}  // namespace grove::simulation
