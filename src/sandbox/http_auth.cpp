// The single DES of the login token needs OpenSSL's low-level functions: EVP keeps DES in the legacy provider, which
// may be absent. They are deprecated, not gone.
#define OPENSSL_SUPPRESS_DEPRECATED

#include "sandbox/http_auth.h"

#include <openssl/crypto.h>
#include <openssl/des.h>
#include <openssl/evp.h>

#include <algorithm>

namespace penstock::sandbox {
namespace {

constexpr std::size_t kTokenField = 24;

std::string_view trim(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t\r\n\v\f");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n\v\f") - begin + 1);
}

std::optional<std::string> decode_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::string bytes(text.size() / 4 * 3 + 1, '\0');
  const int length =
      EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                      reinterpret_cast<const unsigned char*>(text.data()), static_cast<int>(text.size()));
  if (length < 0) return std::nullopt;
  std::size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  bytes.resize(static_cast<std::size_t>(length) - padding);
  return bytes;
}

std::string encode_base64(std::string_view bytes) {
  std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int length =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()),
                      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()));
  text.resize(static_cast<std::size_t>(length));
  return text;
}

std::string des(std::string_view text, int direction) {
  DES_cblock key = {0x40, 0xb6, 0x7a, 0x30, 0x56, 0x73, 0xfd, 0x44};
  DES_key_schedule schedule;
  DES_set_key_unchecked(&key, &schedule);
  std::string result(text);
  for (std::size_t i = 0; i + 8 <= result.size(); i += 8) {
    auto* block = reinterpret_cast<DES_cblock*>(result.data() + i);
    DES_ecb_encrypt(block, block, &schedule, direction);
  }
  return result;
}

}  // namespace

std::optional<std::string> make_taosd_token(std::string_view user, std::string_view password) {
  if (user.empty() || user.size() > kTokenField || password.empty()) return std::nullopt;
  std::string plain(user);
  plain.resize(kTokenField);
  plain += password;
  plain.resize(kTokenField + std::max(kTokenField, (password.size() + 7) / 8 * 8));
  return encode_base64(des(plain, DES_ENCRYPT));
}

std::optional<Credentials> read_taosd_token(std::string_view token) {
  const auto bytes = decode_base64(token);
  if (!bytes || bytes->size() < 2 * kTokenField || bytes->size() % 8 != 0) return std::nullopt;
  const std::string plain = des(*bytes, DES_DECRYPT);
  return Credentials{std::string(plain.substr(0, kTokenField).c_str()), std::string(plain.substr(kTokenField).c_str())};
}

Gateway::Verdict Gateway::check(const HttpRequest& request) const {
  const auto given = request.parameter("token");
  if (token.empty() || given.empty()) return Verdict::no_token;
  const bool same = given.size() == token.size() && CRYPTO_memcmp(given.data(), token.data(), token.size()) == 0;
  return same ? Verdict::right : Verdict::wrong;
}

std::variant<Credentials, HttpRefusal> read_authorization(const HttpRequest& request, AcceptedTokens accepted) {
  const auto header = request.header("Authorization");
  if (!header || trim(*header).empty()) return HttpRefusal{401, 0x1105, "no auth info input"};
  const auto text = trim(*header);
  if (text.starts_with("Basic ")) {
    const auto plain = decode_base64(trim(text.substr(6)));
    const auto colon = plain ? plain->find(':') : std::string::npos;
    if (colon == std::string::npos) return HttpRefusal{401, 0x1124, "invalid basic Authorization"};
    return Credentials{plain->substr(0, colon), plain->substr(colon + 1)};
  }
  if (accepted == AcceptedTokens::basic_and_taosd && text.starts_with("Taosd ")) {
    if (auto credentials = read_taosd_token(trim(text.substr(6)))) return std::move(*credentials);
    return HttpRefusal{401, 0x1125, "invalid taosd Authorization"};
  }
  return HttpRefusal{401, 0x1122, "invalid type of Authorization"};
}

}  // namespace penstock::sandbox
