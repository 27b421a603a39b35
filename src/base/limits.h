// Every size, count, timeout and retry schedule in grove, in one place, with its source or its
// arithmetic. Not here: what a user may set (base/config.h).
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace grove::limits {

using namespace std::chrono_literals;

inline constexpr std::uint64_t kib = 1024;
inline constexpr std::uint64_t mib = 1024 * kib;
inline constexpr std::uint64_t gib = 1024 * mib;

// --- chunks (docs/formats.md) ---
inline constexpr std::uint64_t chunk_bytes_max = 4 * mib;
// Tensors below this are grouped with their neighbours up to this size; larger ones are cut alone.
// Small, because a chunk on the border of two shards is kept by both (docs/decisions/0002).
inline constexpr std::uint64_t group_bytes_max = 64 * kib;
// An opaque file is cut into about this many chunks, of 64 KiB at least and 4 MiB at most.
inline constexpr std::uint64_t opaque_chunks_count = 1024;
// What an encoded chunk may need beyond its raw bytes: its header, and nothing else, since a
// codec that does not shrink is replaced by `raw`.
inline constexpr std::size_t chunk_header_bytes = 32;
inline constexpr std::uint64_t encoded_chunk_bytes_max = chunk_bytes_max + chunk_header_bytes;

// --- safetensors (the format's reference implementation, tensor.rs) ---
inline constexpr std::uint64_t safetensors_header_bytes_max = 100'000'000;
inline constexpr std::size_t json_depth_max = 128;  // serde_json's own recursion limit

// --- names ---
inline constexpr std::size_t identity_bytes_max = 4000;  // PATH_MAX less room for a root
inline constexpr std::size_t name_bytes_max = 255;       // NAME_MAX

// --- the shape of a checkpoint ---
inline constexpr std::uint32_t shards_count_max = 4096;
inline constexpr std::uint32_t workers_count_max = 1024;
// 1 TiB in 64 KiB chunks; a list of that many is 604 MB, refused long before by list_bytes_max.
inline constexpr std::uint64_t list_bytes_max = 64 * mib;  // 1.8 million chunks in one shard
inline constexpr std::uint64_t manifest_bytes_max = 4 * mib;
inline constexpr std::uint64_t ref_bytes_max = 64 * kib;
// Single generations that one tombstone names; each takes 21 bytes at most.
inline constexpr std::size_t tombstone_singles_max = 1024;
static_assert(2 * identity_bytes_max + 21 * tombstone_singles_max + 1024 <= ref_bytes_max);
// That one worker may name: 100,000 checkpoints in ten shards, about 200 MB of a coordinator.
inline constexpr std::size_t inventory_refs_max = 1'000'000;

// --- transfer ---
// Acknowledged, then pulled: what a store takes longer than its sending is the last pull.
inline constexpr std::uint64_t window_bytes_max = 8 * mib;
inline constexpr std::uint64_t window_bytes_min = 1 * mib;
inline constexpr std::uint64_t sync_bytes_max = 64 * mib;  // made durable at least this often
inline constexpr std::uint64_t job_buffers_bytes_max = 96 * mib;  // chunks as read, of all jobs
// How far the whole file's hash goes before the shards; they read in several places at once.
inline constexpr std::uint64_t hash_ahead_bytes_max = 64 * mib;
// What chunks are encoded into, and the earlier ones they are compared with, of all jobs.
inline constexpr std::uint64_t encoding_bytes_max = 32 * mib;
// Chunks at once to one copy. Two keep a link busy; with more, each of them would move so slowly
// on a 100 Mb/s link that a body waiting for a worker's room would pass for a dead one.
inline constexpr std::size_t sends_in_flight_max = 2;
// Chunks at once from one worker, for all shards of a gather together: while one is proven and
// written the other is on its way, and a slow worker holds up no more than 8 MiB.
inline constexpr std::size_t gets_in_flight_max = 2;
// A worker without anything to give looks this often whether another's chunk is overdue.
inline constexpr std::chrono::milliseconds idle_holder_period = 100ms;
inline constexpr std::size_t digests_per_call_max = 4096;
static_assert(window_bytes_max >= chunk_bytes_max);
static_assert(job_buffers_bytes_max >= 2 * window_bytes_max);
static_assert(encoding_bytes_max >= 2 * encoded_chunk_bytes_max);

// One try, then a retry after each of these.
inline constexpr std::array<std::chrono::seconds, 6> retry_delays{1s, 2s, 4s, 8s, 16s, 32s};

// --- deltas ---
// After so many in a row that were refused or could not be used, chunks go whole.
inline constexpr std::size_t delta_refusals_max = 3;
// Looking for an earlier checkpoint, all workers together; a store waits for it no longer.
inline constexpr std::chrono::milliseconds delta_search_timeout = 10s;
inline constexpr std::size_t earlier_checkpoints_max = 3;  // tried, until one's file is still there
// Complete checkpoints of one run that one worker is asked to name: 4 MB of answers.
inline constexpr std::size_t manifests_listed_max = 20'000;
// Two layouts are in memory for a moment, with plan and shard lists 83 MiB at this size
// (docs/benchmarks.md#a-large-header). Larger ones go without deltas.
inline constexpr std::uint64_t delta_header_bytes_max = 32 * mib;
inline constexpr std::size_t delta_chunks_max = 1'000'000;  // of the earlier file: 48 MB

// --- a worker's memory: chunk bodies held at once; with 4 MiB each, far below its 128 MiB ---
inline constexpr std::size_t worker_bodies_max = 20;
inline constexpr std::size_t pulls_in_flight_max = 2;
// A chunk that travels as a delta takes as many at once: the delta, its base encoded and raw; then
// the delta, the base and the chunk, all raw; at last the chunk, raw and encoded.
inline constexpr std::size_t delta_bodies_max = 3;
inline constexpr std::uint64_t delta_room_bytes = delta_bodies_max * encoded_chunk_bytes_max;
static_assert(delta_bodies_max <= worker_bodies_max / 2);
// Chunks put and not yet made durable, each an open file; at this many a put makes them durable.
inline constexpr std::size_t pending_chunks_max = 256;

// --- config.yaml: a thousand workers need about 100 KB ---
inline constexpr std::uint64_t config_bytes_max = 1 * mib;

// --- network ---
inline constexpr std::chrono::milliseconds connect_timeout = 4s;
inline constexpr std::chrono::milliseconds idle_timeout = 4s;  // no byte for this long
// What the kernel may hold back of one connection. Its own limit grows to 4 MiB, a whole chunk:
// that much "sent" while nothing has crossed a slow link yet looks like a peer that does not
// answer.
inline constexpr int send_buffer_bytes = 256 * 1024;
inline constexpr std::chrono::milliseconds commit_timeout = 30s;   // PUT /refs: a slow disk's fsync
inline constexpr std::chrono::milliseconds heartbeat_period = 1s;  // while a long call works
inline constexpr std::chrono::milliseconds keep_alive_timeout = 60s;  // an idle server connection
inline constexpr std::chrono::milliseconds health_timeout = 2s;
// A worker's health is asked for so often; one that did not answer again soon, since the second
// miss makes it down. Together with two timeouts a loss shows within 10 s.
inline constexpr std::chrono::milliseconds watch_period = 5s;
inline constexpr std::chrono::milliseconds watch_again_after = 1s;
// The workers are looked at for what is to be repaired so often: damage that is known is mended
// within a minute. After a round in which something failed a little later.
inline constexpr std::chrono::milliseconds repair_period = 10s;
inline constexpr std::chrono::milliseconds repair_again_after = 60s;
// A round ends after this long, or this many times what its look at the workers took, and the next
// one plans with what has been lost meanwhile.
inline constexpr std::chrono::milliseconds repair_round_time = 30s;
inline constexpr int repair_round_looks = 10;
inline constexpr std::size_t repair_short_lines_max = 20;  // checkpoints named at the end of a job
// Copies made at once: a worker that gets all of its own back hears from several.
inline constexpr std::size_t repairs_at_once = 4;
inline constexpr std::uint64_t replicate_window_bytes = 16 * mib;
inline constexpr std::chrono::milliseconds shutdown_grace = 3s;
inline constexpr std::size_t http_header_bytes_max = 64 * kib;
inline constexpr std::size_t connections_max = 1024;
inline constexpr std::size_t json_body_bytes_max = 1 * mib;
inline constexpr std::chrono::milliseconds progress_period = 5s;
static_assert(heartbeat_period * 2 < idle_timeout);

// --- looking for workers by mDNS ---
// /health calls at once, and the patience of a first one: a thousand announcements of workers that
// are not there hold up those behind them for 2 s. Who is slower than that is asked once more, with
// health_timeout.
inline constexpr std::size_t discovery_calls_max = 128;
inline constexpr std::chrono::milliseconds discovery_first_try = 250ms;
// Answers of one network come within 20 to 120 ms (RFC 6762, 6), over Wi-Fi a little later.
inline constexpr std::chrono::milliseconds discovery_settle = 500ms;
inline constexpr std::chrono::milliseconds moved_worker_timeout = 3s;  // at the start of a job

// --- mDNS: anybody on the network can send anything ---
inline constexpr std::size_t mdns_packet_bytes_max = 9000;  // RFC 6762 section 17
// A TXT record beyond this is "not recommended" (RFC 6763 section 6.2), and none of ours is near.
inline constexpr std::size_t mdns_record_bytes_max = 1300;
// Records kept of one interface and family: PTR, SRV, TXT and an address of workers_count_max.
inline constexpr unsigned mdns_records_max = 4096;
static_assert(mdns_records_max >= 4 * workers_count_max);
// Sightings of one browse, and finds it resolves at once: all the workers of a cluster.
inline constexpr std::size_t mdns_sightings_max = 1024;

// --- metrics: Prometheus scrapes every 15 s and waits 10 s for an answer ---
// Between two surveys of the workers, however many scrapes there are.
inline constexpr std::chrono::milliseconds survey_period = 10s;
// Longer than a worker is given to answer, so that a dead one delays a scrape and no more.
inline constexpr std::chrono::milliseconds survey_wait = 5s;
inline constexpr std::size_t metrics_checkpoints_max = 50;  // named one by one
static_assert(survey_wait > connect_timeout);

// --- is the file at hand what is stored? ---
// How long a look waits until the file is read; then it says that it is still being read.
inline constexpr std::chrono::milliseconds digest_wait = 5s;
inline constexpr std::size_t digests_kept_max = 64;

inline constexpr std::uint64_t drill_result_bytes_max = 64 * kib;  // an identity and a cause

// --- a worker's upkeep ---
inline constexpr std::chrono::seconds lease_period = 10min;  // renewed by any call of the job
inline constexpr std::chrono::seconds collection_period = 1h;
// A paced scrub: a terabyte in nine hours, a fifth of what a slow hard disk reads.
inline constexpr std::uint64_t scrub_bytes_per_second = 32 * mib;
// Chunks of a transfer follow each other faster than this; between transfers it is longer.
inline constexpr std::chrono::milliseconds scrub_quiet = 500ms;
// Beside a transfer that does not end a chunk is read this often, so that a scrub ends too.
inline constexpr std::chrono::milliseconds scrub_busy_pause = 10s;

// How often a worker looks for copies that are due to be re-read (`scrub_every`).
inline constexpr std::chrono::milliseconds scrub_look_period = 60s;
// What is due is looked for at least so often within `scrub_every`, where that is made short.
inline constexpr int scrub_looks_per_period = 4;

// --- the watcher ---
inline constexpr std::chrono::milliseconds watcher_quiet = 1s;  // not written for so long: taken
// Events are read no more often than this while files are written.
inline constexpr std::chrono::milliseconds watcher_event_pause = 100ms;
// Without inotify the tree is read this often at the most, and with this share of the time.
inline constexpr std::chrono::milliseconds watcher_scan_period = 2s;
inline constexpr int watcher_scan_share = 20;  // one twentieth
// With inotify too it is read now and then: some file systems do not tell of every change.
inline constexpr std::chrono::milliseconds watcher_rescan_period = 10min;
inline constexpr std::chrono::milliseconds watcher_members_period = 10s;
// What the workers hold is looked at again after this, even where nothing seems to have changed.
inline constexpr std::chrono::milliseconds watcher_crosscheck_period = 10min;
inline constexpr std::chrono::milliseconds watcher_list_pause = 10s;  // between two file_syncs
inline constexpr std::chrono::milliseconds watcher_pass_time = 30s;   // then comes a crosscheck
// Doubles from the first to the last; a change of members begins anew.
inline constexpr std::chrono::milliseconds watcher_retry_first = 2s;
inline constexpr std::chrono::milliseconds watcher_retry_last = 5min;
// The API is asked for more often: it costs nothing.
inline constexpr std::chrono::milliseconds watcher_api_retry_last = 15s;
inline constexpr std::size_t watcher_files_named_max = 20;  // at one time; the others are counted

}  // namespace grove::limits
