// The single DES of the login token needs OpenSSL's low-level functions: EVP keeps DES in the legacy provider, which
// may be absent. They are deprecated, not gone.
#define OPENSSL_SUPPRESS_DEPRECATED

#include "sandbox/server_rest.h"

#include <fmt/format.h>
#include <openssl/des.h>
#include <openssl/evp.h>

#include <array>
#include <charconv>
#include <chrono>
#include <filesystem>
#include <variant>

#include "data/schema.h"
#include "sandbox/result_json.h"
#include "sandbox/value_time.h"

namespace penstock::sandbox {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int32_t kAdapterError = 0xFFFF;
constexpr std::size_t kTokenField = 24;

/// A refusal before any SQL ran.
struct RestError {
  int status = 400;
  std::int32_t code = kAdapterError;
  std::string text;
};

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

std::variant<Credentials, RestError> read_credentials(const HttpRequest& request) {
  const auto header = request.header("Authorization");
  if (!header || trim(*header).empty()) return RestError{401, 0x1105, "no auth info input"};
  const auto text = trim(*header);
  if (text.starts_with("Basic ")) {
    const auto plain = decode_base64(trim(text.substr(6)));
    const auto colon = plain ? plain->find(':') : std::string::npos;
    if (colon == std::string::npos) return RestError{401, 0x1124, "invalid basic Authorization"};
    return Credentials{plain->substr(0, colon), plain->substr(colon + 1)};
  }
  if (text.starts_with("Taosd ")) {
    if (auto credentials = read_taosd_token(trim(text.substr(6)))) return std::move(*credentials);
    return RestError{401, 0x1125, "invalid taosd Authorization"};
  }
  return RestError{401, 0x1122, "invalid type of Authorization"};
}

std::optional<bool> parse_bool(std::string_view text) {
  for (const std::string_view yes : {"1", "t", "T", "TRUE", "true", "True"}) {
    if (text == yes) return true;
  }
  for (const std::string_view no : {"0", "f", "F", "FALSE", "false", "False"}) {
    if (text == no) return false;
  }
  return std::nullopt;
}

/// Only names of the zone database: what SQL takes beyond them is refused here.
bool is_zone_name(std::string_view name) {
  if (name == "UTC") return true;
  if (name.empty() || name.front() == '/' || name.find("..") != std::string_view::npos || name.size() > 64)
    return false;
  for (const char* root : {"/usr/share/zoneinfo", "/usr/lib/zoneinfo"}) {
    std::error_code ignored;
    if (std::filesystem::is_regular_file(std::filesystem::path(root) / name, ignored)) return true;
  }
  return false;
}

HttpResponse json(int status, std::string body) {
  return {status, {{"Content-Type", "application/json; charset=utf-8"}}, std::move(body), false};
}

struct SqlParameters {
  RowShape shape = RowShape::arrays;
  bool timing = false;
  std::shared_ptr<const TimeZone> print_zone = TimeZone::find("");
  std::string session_zone;
};

std::variant<SqlParameters, RestError> read_parameters(const HttpRequest& request) {
  SqlParameters parameters;
  if (const auto text = request.parameter("req_id"); !text.empty()) {
    std::int64_t id = 0;
    const auto digits = text.front() == '+' ? text.substr(1) : text;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), id);
    const bool out_of_range = error == std::errc::result_out_of_range;
    if (error != std::errc{} || end != digits.data() + digits.size()) {
      return RestError{400, kAdapterError,
                       fmt::format("illegal param, req_id must be numeric strconv.ParseInt: parsing \"{}\": {}", text,
                                   out_of_range ? "value out of range" : "invalid syntax")};
    }
  }
  if (const auto text = request.parameter("row_with_meta"); !text.empty()) {
    const auto value = parse_bool(text);
    if (!value) {
      return RestError{
          400, kAdapterError,
          fmt::format("illegal param, row_with_meta must be boolean strconv.ParseBool: parsing \"{}\": invalid syntax",
                      text)};
    }
    parameters.shape = *value ? RowShape::objects : RowShape::arrays;
  }
  parameters.timing = request.parameter("timing") == "true";
  for (const std::string_view name : {"conn_tz", "tz"}) {
    const auto zone = request.parameter(name);
    if (zone.empty()) continue;
    if (!is_zone_name(zone)) return RestError{400, kAdapterError, fmt::format("unknown time zone {}", zone)};
    parameters.print_zone = TimeZone::find(zone);
    if (name == "conn_tz") parameters.session_zone = zone;
    break;
  }
  return parameters;
}

HttpResponse run_sql(Engine& engine, const HttpRequest& request, std::string_view database) {
  const auto begun = Clock::now();
  const auto elapsed = [&] {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begun).count();
  };
  const auto refuse = [&](const RestError& error) {
    return json(error.status, rest_error(error.code, error.text, elapsed()));
  };
  std::string unpacked;
  std::string_view sql = request.body;
  if (request.header_has("Content-Encoding", "gzip") && !sql.empty()) {
    auto plain = gunzip(sql);
    if (!plain) return {400, {}, "", false};
    sql = unpacked = std::move(*plain);
  }
  auto credentials = read_credentials(request);
  if (const auto* error = std::get_if<RestError>(&credentials)) return refuse(*error);
  const auto parameters = read_parameters(request);
  if (const auto* error = std::get_if<RestError>(&parameters)) return refuse(*error);
  if (sql.empty()) return refuse({400, 0x1106, "request is empty"});
  sql = trim(sql);
  if (sql.empty()) return refuse({400, 0x1107, "no sql input"});
  const auto& who = std::get<Credentials>(credentials);
  const auto& how = std::get<SqlParameters>(parameters);
  try {
    const auto session = engine.login(who.user, who.password, "");
    if (!database.empty()) {
      try {
        session->execute("use " + data::quote_identifier(database));
      } catch (const RefusalError&) {
        // An unknown database in the path is ignored; the statement itself may name one.
      }
    }
    if (!how.session_zone.empty()) session->set_time_zone(how.session_zone);
    const Answer answer = session->execute(sql);
    HttpResponse response = json(200, {});
    response.chunked = true;
    response.body = rest_result(answer, how.shape, *how.print_zone,
                                how.timing ? std::optional<std::int64_t>(elapsed()) : std::nullopt);
    if (request.header_has("Accept-Encoding", "gzip")) {
      response.body = gzip(response.body);
      response.headers.emplace_back("Content-Encoding", "gzip");
      response.headers.emplace_back("Vary", "Accept-Encoding");
    }
    return response;
  } catch (const RefusalError& error) {
    return json(200, rest_error(error.refusal().code & 0xffff, error.refusal().message, elapsed()));
  } catch (const std::exception& error) {
    return json(200, rest_error(kAdapterError, fmt::format("sandbox: {}", error.what()), elapsed()));
  }
}

HttpResponse login(Engine& engine, std::string_view user, std::string_view password) {
  const auto begun = Clock::now();
  const auto error = [&](int status, std::int32_t code, std::string_view text) {
    const auto elapsed = std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begun).count();
    return json(status, rest_error(code, text, elapsed));
  };
  const auto token = make_taosd_token(user, password);
  if (!token) return error(400, 0x110A, "generate taosd token error");
  try {
    engine.login(user, password, "");
  } catch (const RefusalError&) {
    return error(401, 3, "Authentication failure");
  }
  return json(200, fmt::format("{{\"code\":0,\"desc\":\"{}\"}}", *token));
}

HttpResponse redirect(const HttpRequest& request, std::string_view path) {
  if (request.method == "GET") {
    return {301,
            {{"Content-Type", "text/html; charset=utf-8"}, {"Location", std::string(path)}},
            fmt::format("<a href=\"{}\">Moved Permanently</a>.\n\n", path),
            false};
  }
  return {307, {{"Location", std::string(path)}}, "", false};
}

}  // namespace

HttpResponse not_found() { return {404, {{"Content-Type", "text/plain"}}, "404 page not found", false}; }

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

HttpResponse handle_http(Engine& engine, const HttpRequest& request) {
  const std::string_view path = request.path;
  const bool foreign_origin = request.header("Origin").has_value();
  const auto respond = [&]() -> HttpResponse {
    if (request.method == "OPTIONS" && foreign_origin) {  // a browser asks before it sends
      return {204,
              {{"Access-Control-Allow-Methods", "GET,POST,PUT,PATCH,DELETE,HEAD,OPTIONS"},
               {"Access-Control-Allow-Headers", "*"}},
              "",
              false};
    }
    const bool post = request.method == "POST";
    const bool get = request.method == "GET";
    if (get && path == "/-/ping") return {200, {}, "", false};
    if (post && path == "/rest/sql") return run_sql(engine, request, {});
    if (post && path == "/rest/sql/") return redirect(request, "/rest/sql");
    constexpr std::string_view kSql = "/rest/sql/";
    if (post && path.starts_with(kSql) && path.find('/', kSql.size()) == std::string_view::npos) {
      return run_sql(engine, request, path.substr(kSql.size()));
    }
    constexpr std::string_view kLogin = "/rest/login/";
    if (get && path.starts_with(kLogin)) {
      const auto rest = path.substr(kLogin.size());
      const auto slash = rest.find('/');
      if (slash == std::string_view::npos) return not_found();
      const auto password = rest.substr(slash + 1);
      if (password.empty()) return redirect(request, path.substr(0, path.size() - 1));
      if (password.find('/') == std::string_view::npos) return login(engine, rest.substr(0, slash), password);
    }
    if (get && (path == "/ws/" || path == "/rest/ws/" || path == "/rest/stmt/" || path == "/rest/schemaless/")) {
      return redirect(request, path.substr(0, path.size() - 1));
    }
    return not_found();
  };
  HttpResponse response = respond();
  if (foreign_origin) response.headers.emplace_back("Access-Control-Allow-Origin", "*");
  return response;
}

}  // namespace penstock::sandbox
