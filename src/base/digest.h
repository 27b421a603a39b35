// SHA-256 names: chunks, shard lists, manifests and identities are all named by one.
// OpenSSL's EVP does the hashing, so the CPU's SHA instructions are used where there are any.
// Threads: a Digest is a value; a Sha256 belongs to one thread at a time.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstring>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

struct evp_md_ctx_st;

namespace grove {

struct Digest {
  std::array<std::byte, 32> bytes{};

  friend bool operator==(Digest const&, Digest const&) = default;
  friend std::strong_ordering operator<=>(Digest const& a, Digest const& b) {
    return std::memcmp(a.bytes.data(), b.bytes.data(), a.bytes.size()) <=> 0;
  }

  // 64 lower-case hex digits.
  std::string hex() const;
  // The first 12 hex digits and "…", for messages.
  std::string short_hex() const;
  // Accepts exactly 64 lower-case hex digits. Fails: invalid.
  static Result<Digest> parse(std::string_view hex);
};

// Streaming SHA-256.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;

  void update(std::span<std::byte const> bytes);
  // The digest of all bytes so far. Call once; the object is spent afterwards.
  Digest finish();

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

Digest sha256(std::span<std::byte const> bytes);
Digest sha256(std::string_view text);

}  // namespace grove

template <>
struct std::hash<grove::Digest> {
  // A SHA-256 is already uniform: its first bytes are the hash.
  std::size_t operator()(grove::Digest const& digest) const noexcept {
    std::size_t value;
    std::memcpy(&value, digest.bytes.data(), sizeof value);
    return value;
  }
};
