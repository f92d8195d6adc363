#include "sandbox/server_rest.h"

#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <variant>

#include "data/schema.h"
#include "sandbox/result_json.h"
#include "sandbox/server_metrics.h"
#include "sandbox/server_upload.h"
#include "sandbox/server_write.h"
#include "sandbox/value_time.h"

namespace penstock::sandbox {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int32_t kAdapterError = 0xFFFF;

std::string_view trim(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t\r\n\v\f");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r\n\v\f") - begin + 1);
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

HttpResponse json(int status, std::string body) { return json_response(status, std::move(body)); }

std::int64_t since(Clock::time_point begun) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begun).count();
}

struct SqlParameters {
  RowShape shape = RowShape::arrays;
  bool timing = false;
  std::shared_ptr<const TimeZone> print_zone = TimeZone::find("");
  std::string session_zone;
};

std::variant<SqlParameters, HttpRefusal> read_parameters(const HttpRequest& request) {
  SqlParameters parameters;
  if (const auto text = request.parameter("req_id"); !text.empty()) {
    std::int64_t id = 0;
    const auto digits = text.front() == '+' ? text.substr(1) : text;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), id);
    const bool out_of_range = error == std::errc::result_out_of_range;
    if (error != std::errc{} || end != digits.data() + digits.size()) {
      return HttpRefusal{400, kAdapterError,
                         fmt::format("illegal param, req_id must be numeric strconv.ParseInt: parsing \"{}\": {}", text,
                                     out_of_range ? "value out of range" : "invalid syntax")};
    }
  }
  if (const auto text = request.parameter("row_with_meta"); !text.empty()) {
    const auto value = parse_bool(text);
    if (!value) {
      return HttpRefusal{
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
    if (!is_zone_name(zone)) return HttpRefusal{400, kAdapterError, fmt::format("unknown time zone {}", zone)};
    parameters.print_zone = TimeZone::find(zone);
    if (name == "conn_tz") parameters.session_zone = zone;
    break;
  }
  return parameters;
}

HttpResponse run_sql(const HttpService& service, const HttpRequest& request, std::string_view database) {
  const auto begun = Clock::now();
  const auto elapsed = [&] {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begun).count();
  };
  const auto refuse = [&](const HttpRefusal& error) {
    return json(error.status, rest_error(error.code, error.text, elapsed()));
  };
  std::string unpacked;
  std::string_view sql = request.body;
  if (request.header_has("Content-Encoding", "gzip") && !sql.empty()) {
    auto plain = gunzip(sql);
    if (!plain) return {400, {}, "", false};
    sql = unpacked = std::move(*plain);
  }
  auto credentials = rest_credentials(service, request);
  if (const auto* error = std::get_if<HttpRefusal>(&credentials)) return refuse(*error);
  const auto parameters = read_parameters(request);
  if (const auto* error = std::get_if<HttpRefusal>(&parameters)) return refuse(*error);
  if (sql.empty()) return refuse({400, 0x1106, "request is empty"});
  sql = trim(sql);
  if (sql.empty()) return refuse({400, 0x1107, "no sql input"});
  const auto& who = std::get<Credentials>(credentials);
  const auto& how = std::get<SqlParameters>(parameters);
  try {
    const auto session = service.engine.login(who.user, who.password, "");
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
    return response;
  } catch (const RefusalError& error) {
    return json(200, rest_error(error.refusal().code & 0xffff, error.refusal().message, elapsed()));
  } catch (const std::exception& error) {
    return json(200, rest_error(kAdapterError, fmt::format("sandbox: {}", error.what()), elapsed()));
  }
}

HttpResponse vgroup_ids(const HttpService& service, const HttpRequest& request, std::string_view database) {
  const auto begun = Clock::now();
  const auto refuse = [&](int status, std::int32_t code, std::string_view text) {
    return json(status, rest_error(code, text, since(begun)));
  };
  const auto credentials = rest_credentials(service, request);
  if (const auto* error = std::get_if<HttpRefusal>(&credentials))
    return refuse(error->status, error->code, error->text);
  const auto& who = std::get<Credentials>(credentials);
  const auto names = nlohmann::json::parse(request.body, nullptr, false);
  if (names.is_discarded()) return refuse(400, kAdapterError, "unexpected EOF");
  if (!names.is_array() || names.empty()) return refuse(400, kAdapterError, "illegal params");
  try {
    const auto session = service.engine.login(who.user, who.password, database);
    std::string quoted(database);
    for (std::size_t at = 0; (at = quoted.find('\'', at)) != std::string::npos; at += 2) quoted.insert(at, 1, '\'');
    const auto groups = session->execute(fmt::format(
        "select vgroup_id from information_schema.ins_vgroups where db_name='{}' order by vgroup_id", quoted));
    if (groups.rows.empty()) return refuse(200, 0x0388, "Database not exist");
    std::string list;
    for (const auto& name : names) {
      if (!name.is_string()) return refuse(400, kAdapterError, "illegal params");
      // Tables that do not exist get one too, as their names say it.
      const auto group = std::hash<std::string>{}(name.get<std::string>()) % groups.rows.size();
      list += fmt::format("{}{}", list.empty() ? "" : ",", groups.rows[group][0].bits);
    }
    return json(200, fmt::format("{{\"code\":0,\"vgIDs\":[{}]}}", list));
  } catch (const RefusalError& error) {
    return refuse(200, error.refusal().code & 0xffff, error.refusal().message);
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

HttpResponse json_response(int status, std::string body) {
  return {status, {{"Content-Type", "application/json; charset=utf-8"}}, std::move(body), false};
}

std::variant<Credentials, HttpRefusal> rest_credentials(const HttpService& service, const HttpRequest& request) {
  switch (service.gateway.check(request)) {
    case Gateway::Verdict::right: return service.gateway.stands_for;
    case Gateway::Verdict::wrong: return HttpRefusal{401, 0x0357, "Authentication failure"};
    case Gateway::Verdict::no_token: break;
  }
  return read_authorization(request, AcceptedTokens::basic_and_taosd);
}

HttpResponse handle_http(const HttpService& service, const HttpRequest& request) {
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
    if (get && path == "/-/ping") return {200, {}, "", false};  // queries are never paused: ?action=query is the same
    if (get && path == "/metrics") return metrics_response();
    if (post) {
      if (auto answer = handle_write(service, request)) return std::move(*answer);
    }
    if (post && path == "/rest/upload") return upload_csv(service, request);
    if (post && path == "/rest/sql") return run_sql(service, request, {});
    if (post && path == "/rest/sql/") return redirect(request, "/rest/sql");
    constexpr std::string_view kSql = "/rest/sql/";
    if (post && path.starts_with(kSql) && path.find('/', kSql.size()) == std::string_view::npos) {
      return run_sql(service, request, path.substr(kSql.size()));
    }
    constexpr std::string_view kVgid = "/vgid";
    if (post && path.starts_with(kSql) && path.ends_with(kVgid) && path.size() > kSql.size() + kVgid.size()) {
      return vgroup_ids(service, request, path.substr(kSql.size(), path.size() - kSql.size() - kVgid.size()));
    }
    constexpr std::string_view kLogin = "/rest/login/";
    if (get && path.starts_with(kLogin)) {
      const auto rest = path.substr(kLogin.size());
      const auto slash = rest.find('/');
      if (slash == std::string_view::npos) return not_found();
      const auto password = rest.substr(slash + 1);
      if (password.empty()) return redirect(request, path.substr(0, path.size() - 1));
      if (password.find('/') == std::string_view::npos) return login(service.engine, rest.substr(0, slash), password);
    }
    if (get && (path == "/ws/" || path == "/rest/ws/" || path == "/rest/stmt/" || path == "/rest/schemaless/")) {
      return redirect(request, path.substr(0, path.size() - 1));
    }
    return not_found();
  };
  HttpResponse response = respond();
  if (path.starts_with("/rest/") && response.status != 404 && request.header_has("Accept-Encoding", "gzip")) {
    response.body = gzip(response.body);
    response.headers.emplace_back("Content-Encoding", "gzip");
    response.headers.emplace_back("Vary", "Accept-Encoding");
  }
  if (foreign_origin) response.headers.emplace_back("Access-Control-Allow-Origin", "*");
  return response;
}

}  // namespace penstock::sandbox
