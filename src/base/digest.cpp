#include "base/digest.h"

#include <openssl/evp.h>

#include "base/bytes.h"

namespace grove {

namespace {

constexpr std::string_view hex_digits = "0123456789abcdef";

// Adding to a SHA-256 fails only when memory is gone or the library is broken.
void check(int openssl_result) {
  GROVE_ASSERT(openssl_result == 1);
}

int hex_value(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  return -1;
}

}  // namespace

std::string Digest::hex() const {
  std::string text;
  text.reserve(2 * bytes.size());
  for (std::byte const byte : bytes) {
    text.push_back(hex_digits[std::to_integer<std::size_t>(byte >> 4)]);
    text.push_back(hex_digits[std::to_integer<std::size_t>(byte & std::byte{15})]);
  }
  return text;
}

std::string Digest::short_hex() const {
  return hex().substr(0, 12) + "…";
}

Result<Digest> Digest::parse(std::string_view hex) {
  Digest digest;
  if (hex.size() != 2 * digest.bytes.size()) {
    return fail(ErrorKind::invalid, "a SHA-256 is 64 lower-case hex digits, not {} characters",
                hex.size());
  }
  for (std::size_t index = 0; index < digest.bytes.size(); ++index) {
    int const high = hex_value(hex[2 * index]);
    int const low = hex_value(hex[2 * index + 1]);
    if (high < 0 || low < 0) {
      return fail(ErrorKind::invalid,
                  "a SHA-256 is 64 lower-case hex digits; another character stands at {}",
                  2 * index + (high < 0 ? 0 : 1));
    }
    digest.bytes[index] = static_cast<std::byte>(high * 16 + low);
  }
  return digest;
}

void Sha256::Free::operator()(evp_md_ctx_st* context) const {
  EVP_MD_CTX_free(context);
}

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  GROVE_ASSERT(context_ != nullptr);
  check(EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr));
}

Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(std::span<std::byte const> bytes) {
  GROVE_ASSERT(context_ != nullptr);
  check(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()));
}

Digest Sha256::finish() {
  GROVE_ASSERT(context_ != nullptr);
  Digest digest;
  check(EVP_DigestFinal_ex(context_.get(), reinterpret_cast<unsigned char*>(digest.bytes.data()),
                           nullptr));
  context_.reset();
  return digest;
}

Digest sha256(std::span<std::byte const> bytes) {
  Sha256 hash;
  hash.update(bytes);
  return hash.finish();
}

Digest sha256(std::string_view text) {
  return sha256(bytes_of(text));
}

}  // namespace grove
