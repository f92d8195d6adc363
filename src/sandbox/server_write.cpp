#include "sandbox/server_write.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "sandbox/result_json.h"

namespace penstock::sandbox {
namespace {

enum class Protocol { line = 1, telnet = 2, json = 3 };

/// What one of the endpoints writes.
struct Payload {
  Protocol protocol = Protocol::line;
  int precision = 0;
  std::string_view database;
  std::string text;
  int ttl_days = 0;
  std::string_view table_name_key;
};

std::optional<Refusal> write(Engine& engine, const Credentials& who, const Payload& payload) {
  try {
    const auto session = engine.login(who.user, who.password, payload.database);
    std::int32_t total = 0;
    session->insert_schemaless(static_cast<int>(payload.protocol), payload.precision, payload.text, payload.ttl_days,
                               payload.table_name_key, total);
    return std::nullopt;
  } catch (const RefusalError& error) {
    return error.refusal();
  } catch (const std::exception& error) {
    return Refusal{0xFFFF, fmt::format("sandbox: {}", error.what())};
  }
}

std::string coded_text(const Refusal& refusal) {
  return fmt::format("[0x{:x}] {}", refusal.code & 0xffff, refusal.message);
}

template <class Number>
bool is_number(std::string_view text, Number& value) {
  if (text.starts_with('+')) text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size();
}

/// The body as sent, or unpacked; nullopt when it is no gzip though it says so.
std::optional<std::string> plain_body(const HttpRequest& request) {
  if (!request.header_has("Content-Encoding", "gzip") || request.body.empty()) return request.body;
  return gunzip(request.body);
}

// --- InfluxDB ---

HttpResponse influx_error(int status, std::string_view code, std::string_view message) {
  std::string body = fmt::format("{{\"code\":\"{}\",\"message\":", code);
  append_json_text(body, message);
  return json_response(status, body += '}');
}

HttpResponse influx_bad_parameter(std::string_view code, std::string_view message, std::string_view operation) {
  return json_response(400, fmt::format(R"({{"code":"{0}","message":"{1}","op":"{2}","err":"{1}","line":0}})", code,
                                        message, operation));
}

HttpResponse influx_write(const HttpService& service, const HttpRequest& request) {
  Credentials who;
  switch (service.gateway.check(request)) {
    case Gateway::Verdict::wrong: return influx_error(401, "forbidden", "get auth error");
    case Gateway::Verdict::right: who = service.gateway.stands_for; break;
    case Gateway::Verdict::no_token: {
      if (!request.header("Authorization") && !request.parameter("u").empty()) {
        who = {std::string(request.parameter("u")), std::string(request.parameter("p"))};
        break;
      }
      auto read = read_authorization(request, AcceptedTokens::basic);
      if (std::holds_alternative<HttpRefusal>(read)) return influx_error(401, "forbidden", "get auth error");
      who = std::get<Credentials>(std::move(read));
    }
  }
  Payload payload;
  if (const auto ttl = request.parameter("ttl"); !ttl.empty() && !is_number(ttl, payload.ttl_days)) {
    return influx_bad_parameter("illegal param", "ttl must be numeric", "parse ttl");
  }
  std::uint64_t request_id = 0;
  if (const auto id = request.parameter("req_id"); !id.empty() && !is_number(id, request_id)) {
    return influx_bad_parameter("illegal param", "req_id must be numeric", "parse req_id");
  }
  payload.database = request.parameter("db");
  if (payload.database.empty()) return influx_bad_parameter("not found", "db required", "get db query");
  payload.precision = schemaless_precision(request.parameter("precision"));
  payload.table_name_key = request.parameter("table_name_key");
  auto body = plain_body(request);
  if (!body) return influx_error(400, "illegal param", "the body is no gzip");
  payload.text = std::move(*body);
  if (const auto refusal = write(service.engine, who, payload)) {
    return influx_error(500, "internal error", coded_text(*refusal));
  }
  return {204, {}, "", false};
}

// --- OpenTSDB ---

HttpResponse tsdb_error(int status, std::string_view message) {
  std::string body = fmt::format("{{\"code\":{},\"message\":", status);
  append_json_text(body, message);
  return json_response(status, body += '}');
}

/// The lines as the engine takes them: "put " at their beginnings is the protocol's, blank ones are nothing.
std::string telnet_lines(std::string_view body) {
  std::string lines;
  while (!body.empty()) {
    auto line = body.substr(0, body.find('\n'));
    body.remove_prefix(std::min(body.size(), line.size() + 1));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.starts_with("put ")) line.remove_prefix(4);
    if (line.empty()) continue;
    if (!lines.empty()) lines += '\n';
    lines += line;
  }
  return lines;
}

HttpResponse tsdb_put(const HttpService& service, const HttpRequest& request, Protocol protocol,
                      std::string_view database) {
  Payload payload;
  payload.protocol = protocol;
  payload.database = database;
  Credentials who;
  switch (service.gateway.check(request)) {
    case Gateway::Verdict::wrong: return tsdb_error(401, "auth needed");
    case Gateway::Verdict::right: who = service.gateway.stands_for; break;
    case Gateway::Verdict::no_token: {
      if (!request.header("Authorization")) return tsdb_error(401, "auth needed");
      auto read = read_authorization(request, AcceptedTokens::basic);
      if (std::holds_alternative<HttpRefusal>(read)) return tsdb_error(400, "get auth error");
      who = std::get<Credentials>(std::move(read));
    }
  }
  if (const auto ttl = request.parameter("ttl"); !ttl.empty() && !is_number(ttl, payload.ttl_days)) {
    return tsdb_error(
        400, fmt::format("illegal param, ttl must be numeric strconv.Atoi: parsing \"{}\": invalid syntax", ttl));
  }
  std::uint64_t request_id = 0;
  if (const auto id = request.parameter("req_id"); !id.empty() && !is_number(id, request_id)) {
    return tsdb_error(
        400,
        fmt::format("illegal param, req_id must be numeric strconv.ParseUint: parsing \"{}\": invalid syntax", id));
  }
  payload.table_name_key = request.parameter("table_name_key");
  auto body = plain_body(request);
  if (!body) return tsdb_error(400, "the body is no gzip");
  payload.text = protocol == Protocol::telnet ? telnet_lines(*body) : std::move(*body);
  if (payload.text.empty()) return {204, {}, "", false};
  if (const auto refusal = write(service.engine, who, payload)) return tsdb_error(500, coded_text(*refusal));
  return {204, {}, "", false};
}

}  // namespace

int schemaless_precision(std::string_view word) noexcept {
  constexpr std::array<std::string_view, 6> kWords = {"h", "m", "s", "ms", "u", "ns"};
  if (word == "\xce\xbc") return 5;  // the Greek letter mu
  const auto found = std::find(kWords.begin(), kWords.end(), word);
  return found == kWords.end() ? 0 : static_cast<int>(found - kWords.begin()) + 1;
}

std::optional<HttpResponse> handle_write(const HttpService& service, const HttpRequest& request) {
  const std::string_view path = request.path;
  if (path == "/influxdb/v1/write") return influx_write(service, request);
  for (const auto& [prefix, protocol] : {std::pair{std::string_view("/opentsdb/v1/put/json/"), Protocol::json},
                                         std::pair{std::string_view("/opentsdb/v1/put/telnet/"), Protocol::telnet}}) {
    if (!path.starts_with(prefix)) continue;
    const auto database = path.substr(prefix.size());
    if (database.empty() || database.find('/') != std::string_view::npos) return std::nullopt;
    return tsdb_put(service, request, protocol, database);
  }
  return std::nullopt;
}

}  // namespace penstock::sandbox
