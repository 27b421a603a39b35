// Decides which packets Avahi may see. It parses DNS in C, asserts on what it parsed, and lives in
// our process: the library of Debian 12 ends with an assertion on some well-formed packets that
// carry CNAME records (CVE-2025-68468, CVE-2025-68471) and recurses without end on others
// (CVE-2026-24401). Service discovery has no use for CNAME, so such packets never reach it, nor do
// malformed and oversized ones.
// Threads: pure functions.
#pragma once

#include <cstddef>
#include <span>

namespace grove {

// True for a DNS message (RFC 1035 section 4) of at most mdns_packet_bytes_max bytes that says what
// it holds, with names that end, no record over mdns_record_bytes_max and no alias (CNAME, DNAME).
// Bytes after the last record do not count.
bool is_harmless_mdns_packet(std::span<std::byte const> packet);

}  // namespace grove
