#include "client/detail/rest_session.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/text.h"
#include "client/detail/url.h"
#include "wire/errors.h"
#include "wire/schemaless.h"

namespace penstock::client::detail {
namespace {

using std::chrono::milliseconds;

std::string base64(std::string_view bytes) {
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t three = 0;
    for (std::size_t k = 0; k < 3; ++k)
      three = three << 8 | (i + k < bytes.size() ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    for (std::size_t k = 0; k < 4; ++k) out += i + k <= bytes.size() ? kAlphabet[three >> (18 - 6 * k) & 63U] : '=';
  }
  return out;
}

// The first word of a statement in lower case, and what follows it.
std::pair<std::string, std::string_view> first_word(std::string_view sql) {
  const auto space = [](char c) { return static_cast<unsigned char>(c) <= ' '; };
  while (!sql.empty() && space(sql.front())) sql.remove_prefix(1);
  std::string word;
  while (!sql.empty() && !space(sql.front()) && sql.front() != '(' && sql.front() != ';') {
    word += sql.front() >= 'A' && sql.front() <= 'Z' ? static_cast<char>(sql.front() + 32) : sql.front();
    sql.remove_prefix(1);
  }
  return {word, sql};
}

// Whether a statement has a result: one whose only column is called affected_rows looks like the outcome of one that
// has none.
bool reads(std::string_view sql) {
  constexpr std::array<std::string_view, 5> kReading{"select", "show", "describe", "desc", "explain"};
  const auto word = first_word(sql).first;
  return word.empty() || std::find(kReading.begin(), kReading.end(), word) != kReading.end();
}

std::shared_ptr<const TimeZone> zone_of(const std::string& name) {
  if (name.empty()) return nullptr;
  try {
    return TimeZone::load(name);
  } catch (const Error&) {
    return nullptr;  // the server will say what it thinks of it
  }
}

// "[0x388] Database not exist": the code, which is taken off.
std::int32_t take_code(std::string& message) {
  if (!message.starts_with("[0x")) return wire::kAdapterError;
  std::uint32_t code = 0;
  const auto [end, error] = std::from_chars(message.data() + 3, message.data() + message.size(), code, 16);
  if (error != std::errc() || end == message.data() + message.size() || *end != ']' || (code & 0xFFFFU) == 0)
    return wire::kAdapterError;
  message.erase(0, static_cast<std::size_t>(end - message.data()) + 1);
  if (message.starts_with(' ')) message.erase(0, 1);
  return static_cast<std::int32_t>(code & 0xFFFFU);
}

struct RestResult final : ResultState {
  RestResult(RestAnswer&& a, std::string place) : answer(std::move(a)), endpoint(std::move(place)) {}
  RestAnswer answer;
  std::string endpoint;
  std::string block_bytes;
  std::string_view fetch() override {
    try {
      block_bytes = answer.next_block();
    } catch (const ClientError&) {
      throw;
    } catch (const Error& error) {
      throw ResultError(Errc::protocol, fmt::format("{}: {}", endpoint, error.what()), Place{endpoint, "fetch", 0});
    }
    return block_bytes;
  }
};

}  // namespace

RestSession::RestSession(Options options) : Session(std::move(options)), zone_(zone_of(options_.time_zone)) {}

void RestSession::close() noexcept {
  client_.reset();
  answers_.clear();
}

void RestSession::need_client(std::string_view action) const {
  if (!client_)
    throw ConnectionError(Errc::unreachable, fmt::format("the connection to {} is closed", endpoint_),
                          Place{endpoint_, std::string(action), 0});
}

Ticket RestSession::next_ticket(RequestId wanted, std::string_view action) {
  if (wanted > static_cast<RequestId>(INT64_MAX)) misuse("REST takes request ids of 63 bits", action);
  if (wanted == 0) wanted = ++last_ticket_;
  if (answers_.contains(wanted)) misuse("another request with this id is under way", action);
  return wanted;
}

std::string RestSession::authorization() const {
  if (!options_.bearer_token.empty()) return "Bearer " + options_.bearer_token;
  // A gateway knows by the token; what is behind it may want a user all the same.
  if (!options_.token.empty() && !options_.has_password) return {};
  return "Basic " + base64(options_.user + ':' + options_.password);
}

HttpResponse RestSession::send(HttpClient::Request request, milliseconds timeout) {
  need_client(request.action);
  try {
    return client_->send(std::move(request), timeout);
  } catch (const ConnectionError& error) {
    if (error.code() == Errc::unreachable || error.code() == Errc::protocol) close();
    throw;
  }
}

RestAnswer RestSession::run(std::string_view sql, Ticket ticket, milliseconds timeout, std::string_view action) {
  HttpClient::Request request;
  request.method = "POST";
  request.action = action;
  request.target = "/rest/sql";
  if (!database_.empty()) request.target += '/' + url_encoded(database_);
  request.target += fmt::format("?req_id={}&app={}", ticket, url_encoded(options_.application));
  if (!options_.time_zone.empty()) request.target += "&conn_tz=" + url_encoded(options_.time_zone);
  // An adapter refuses a bearer's request that has both.
  if (!options_.token.empty() && options_.bearer_token.empty())
    request.target += "&token=" + url_encoded(options_.token);
  if (const auto value = login_token_.empty() ? authorization() : "Taosd " + login_token_; !value.empty())
    request.headers.emplace_back("Authorization", value);
  request.headers.emplace_back("Content-Type", "text/plain; charset=utf-8");
  request.body = sql;
  const Place place{endpoint_, std::string(action), ticket};
  auto response = send(std::move(request), timeout);
  try {
    RestAnswer answer(std::move(response.body), zone_);
    if (answer.kind() == RestAnswer::Kind::result && response.status / 100 == 2) return answer;
    if (answer.kind() == RestAnswer::Kind::refusal && answer.code() != 0) {
      // Its own refusals of a header: 0x1105, 0x1122 to 0x1125.
      if (response.status == 401 && answer.code() >= 0x1105 && answer.code() <= 0x1125)
        throw ConnectionError(
            Errc::auth,
            fmt::format("{} refused the credentials of '{}': {}; check user, password and tokens, and whether this "
                        "version takes them",
                        endpoint_, action, printable(answer.message(), 300)),
            place, answer.code(), answer.message());
      return answer;
    }
    const bool text = answer.kind() == RestAnswer::Kind::text;
    explain(response, text ? answer.message() : answer.body(), place);
  } catch (const ClientError&) {
    throw;
  } catch (const Error& error) {
    throw ResultError(Errc::protocol, fmt::format("{}: {}", endpoint_, error.what()), place);
  }
}

void RestSession::explain(const HttpResponse& response, const std::string& text, const Place& place) {
  const auto found = fmt::format("HTTP {}{}{}", response.status, text.empty() ? "" : ": ", printable(text, 200));
  if (response.status == 503 && wire::is_transient(wire::classify(wire::kAdapterError, text))) {
    OperationalError error(Errc::server,
                           fmt::format("TDengine at {} refused '{}' with {}: it is short of memory or connections; a "
                                       "query may have been carried out all the same; try again later",
                                       endpoint_, place.action, found),
                           place, wire::kAdapterError, text);
    error.set_retry_after(response.retry_after);
    throw error;
  }
  if (response.status == 429 || response.status == 502 || response.status == 503 || response.status == 504) {
    ConnectionError error(Errc::unreachable,
                          fmt::format("{} answered {}: the adapter or the gateway in front of it is not ready; try "
                                      "again later",
                                      endpoint_, found),
                          place);
    error.set_retry_after(response.retry_after);
    throw error;
  }
  if (response.status == 401 || response.status == 403)
    throw ConnectionError(Errc::auth,
                          fmt::format("{} refused '{}' with {}: check user, password and tokens and the allowed "
                                      "addresses",
                                      endpoint_, place.action, found),
                          place);
  if (response.status >= 300 && response.status < 400)
    throw ConnectionError(Errc::unreachable,
                          fmt::format("{} answered HTTP {} and refers to '{}': use that address", endpoint_,
                                      response.status, printable(response.location, 200)),
                          place);
  if (response.status == 400 && (text.find("HTTPS") != std::string::npos || text.find("SSL") != std::string::npos))
    throw ConnectionError(Errc::unreachable, fmt::format("{} speaks TLS: use https:// instead of http://", endpoint_),
                          place);
  throw ConnectionError(Errc::unreachable,
                        fmt::format("{} is an HTTP server but no adapter of TDengine: it answered '{}' with {} ({})",
                                    endpoint_, place.action, found, printable(response.content_type)),
                        place);
}

void RestSession::connect_to(const Endpoint& endpoint) {
  Options plan = options_;
  // With several endpoints a dead one must not use up the patience of the caller.
  if (options_.endpoints.size() > 1)
    plan.handshake_timeout = std::max(options_.handshake_timeout / static_cast<int>(options_.endpoints.size()),
                                      std::min(options_.handshake_timeout, milliseconds(2'000)));
  client_ = HttpClient::make(plan, endpoint);
  ++epoch_;
  database_.clear();
  if (options_.login_token) log_in();
  auto answer = run("select server_version()", ++last_ticket_, options_.connect_timeout, "conn");
  if (answer.kind() == RestAnswer::Kind::refusal)
    throw_login_refused(options_, endpoint_, answer.code(), answer.message());
  const auto bytes = answer.next_block();
  version_ = bytes.empty() ? std::string() : wire::Block::decode(bytes).text(0, 0);
  check_database();
}

void RestSession::log_in() {
  HttpClient::Request request;
  request.method = "GET";
  request.action = "login";
  request.target = fmt::format("/rest/login/{}/{}", url_encoded(options_.user), url_encoded(options_.password));
  if (!options_.token.empty()) request.target += "?token=" + url_encoded(options_.token);
  auto response = send(std::move(request), options_.connect_timeout);
  RestAnswer answer(std::move(response.body));
  const Place place{endpoint_, "conn", 0};
  if (answer.kind() != RestAnswer::Kind::refusal)
    explain(response, answer.kind() == RestAnswer::Kind::text ? answer.message() : answer.body(), place);
  // Its codes here are not those of the engine: 3 for wrong credentials.
  if (response.status == 401) throw_login_refused(options_, endpoint_, 0x0357, answer.message());
  if (answer.code() != 0) throw_server_error(answer.code(), answer.message(), place);
  login_token_ = answer.message();
}

// The server ignores a database in the path that it does not have.
void RestSession::check_database() {
  if (options_.database.empty()) return;
  database_ = options_.database;
  auto answer = run("select database()", ++last_ticket_, options_.connect_timeout, "conn");
  if (answer.kind() == RestAnswer::Kind::refusal)
    throw_login_refused(options_, endpoint_, answer.code(), answer.message());
  const auto bytes = answer.next_block();
  if (bytes.empty() || wire::Block::decode(bytes).is_null(0, 0))
    throw_login_refused(options_, endpoint_, 0x0388, "Database not exist");
}

Ticket RestSession::send_execute(std::string_view sql, RequestId request_id) {
  need_client("query");
  const auto ticket = next_ticket(request_id, "query");
  auto result = run(sql, ticket, options_.request_timeout, "query");
  Answer answer;
  answer.ticket = ticket;
  answer.action = "query";
  answer.code = result.code();
  answer.message = result.message();
  if (answer.ok()) {
    if (!reads(sql)) answer.affected_rows = result.affected_rows().value_or(0);
    note_use(sql);
  }
  answers_[ticket] = std::move(answer);
  return ticket;
}

std::unique_ptr<ResultState> RestSession::query(std::string_view sql, RequestId request_id) {
  need_client("query");
  const auto ticket = next_ticket(request_id, "query");
  auto answer = run(sql, ticket, options_.request_timeout, "query");
  if (answer.code() != 0) throw_server_error(answer.code(), answer.message(), Place{endpoint_, "query", ticket});
  std::unique_ptr<ResultState> state;
  std::optional<std::int64_t> affected;
  if (!reads(sql)) affected = answer.affected_rows();
  if (affected) {
    note_use(sql);
    state = std::make_unique<ResultState>();
    state->affected_rows = *affected;
  } else {
    auto result = std::make_unique<RestResult>(std::move(answer), endpoint_);
    result->fields = result->answer.fields();
    result->precision = result->answer.precision();
    state = std::move(result);
  }
  state->session = shared_from_this();
  state->epoch = epoch_;
  return state;
}

void RestSession::note_use(std::string_view sql) {
  const auto [word, rest] = first_word(sql);
  if (word != "use") return;
  std::string name;
  for (const char c : rest)
    if (static_cast<unsigned char>(c) > ' ' && c != '`' && c != ';') name += c;
  // Unquoted names are lower case for the server.
  if (rest.find('`') == std::string_view::npos)
    std::transform(name.begin(), name.end(), name.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  database_ = name;
}

std::string RestSession::current_database() {
  if (database_.empty()) return {};
  auto answer = run("select database()", next_ticket(0, "query"), options_.request_timeout, "query");
  if (answer.code() != 0) throw_server_error(answer.code(), answer.message(), Place{endpoint_, "query", 0});
  const auto bytes = answer.next_block();
  return bytes.empty() ? std::string() : wire::Block::decode(bytes).text(0, 0);
}

Ticket RestSession::send_schemaless(wire::LineProtocol protocol, std::string_view precision, std::string_view text,
                                    int ttl_days, std::string_view table_name_key, RequestId request_id) {
  need_client("insert");
  const auto ticket = next_ticket(request_id, "insert");
  if (database_.empty()) misuse("schemaless data need a database: give one in the address", "insert");
  const bool line = protocol == wire::LineProtocol::line;
  if (!line && !precision.empty())
    misuse("over REST telnet lines and JSON have no precision: their timestamps say it by their digits", "insert");
  HttpClient::Request request;
  request.method = "POST";
  request.action = "insert";
  if (line) {
    request.target = "/influxdb/v1/write";
  } else {
    request.target = fmt::format("/opentsdb/v1/put/{}/{}", protocol == wire::LineProtocol::json ? "json" : "telnet",
                                 url_encoded(database_));
  }
  char separator = '?';
  const auto add = [&](std::string_view name, std::string_view value) {
    if (!value.empty())
      request.target += fmt::format("{}{}={}", std::exchange(separator, '&'), name, url_encoded(value));
  };
  if (line) {
    add("db", database_);
    add("precision", precision);
  }
  if (ttl_days > 0) add("ttl", std::to_string(ttl_days));
  add("req_id", std::to_string(ticket));
  add("table_name_key", table_name_key);
  add("app", options_.application);
  if (options_.bearer_token.empty()) add("token", options_.token);
  if (const auto value = authorization(); !value.empty()) request.headers.emplace_back("Authorization", value);
  request.headers.emplace_back("Content-Type",
                               protocol == wire::LineProtocol::json ? "application/json" : "text/plain; charset=utf-8");
  request.body = text;
  const auto response = send(std::move(request), options_.request_timeout);
  Answer answer;
  answer.ticket = ticket;
  answer.action = "insert";
  if (response.status / 100 != 2) {
    const Place place{endpoint_, "insert", ticket};
    const auto body = nlohmann::json::parse(response.body, nullptr, false);
    if (body.is_string()) explain(response, body.get<std::string>(), place);
    if (!body.is_object() || !body.contains("message") || !body["message"].is_string() || response.status == 401 ||
        response.status == 403)
      explain(response, body.is_object() ? body.value("message", response.body) : response.body, place);
    answer.message = body["message"].get<std::string>();
    answer.code = take_code(answer.message);
  }
  answers_[ticket] = std::move(answer);
  return ticket;
}

Answer RestSession::wait(Ticket ticket, milliseconds) {
  auto found = answers_.extract(ticket);
  if (!found) {
    need_client("wait");
    misuse("no request with this ticket is under way", "wait");
  }
  return std::move(found.mapped());
}

}  // namespace penstock::client::detail
