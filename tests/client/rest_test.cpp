#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <tuple>

#include "client/connection.h"
#include "client/http_script.h"
#include "client/rows.h"
#include "wire/records.h"
#include "wire/schemaless.h"

// REST against recorded answers.
namespace penstock::client {
namespace {

using nlohmann::json;

// --- recorded answers ---

std::string unhex_or_text(const json& side) {
  return side.contains("body_hex")                           ? records::from_hex(side["body_hex"].get<std::string>())
         : side.contains("body") && side["body"].is_string() ? side["body"].get<std::string>()
                                                             : std::string();
}

std::string decoded_basic(const std::string& header) {
  std::string out;
  std::uint32_t bits = 0;
  int have = 0;
  for (const char c : header.substr(6)) {
    const auto at = std::string_view("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/").find(c);
    if (at == std::string_view::npos) break;
    bits = bits << 6 | static_cast<std::uint32_t>(at);
    have += 6;
    if (have >= 8) out += static_cast<char>(bits >> (have -= 8) & 0xFF);
  }
  return out;
}

// Whether a cell reads as the answer says it.
bool reads_as(const Rows& rows, std::size_t column, const json& cell) {
  if (rows.is_null(column) || cell.is_null()) return rows.is_null(column) && cell.is_null();
  switch (rows.fields()[column].type) {
    case data::Type::boolean: return cell.get<bool>() == (rows.integer(column) != 0);
    case data::Type::float32: return cell.get<float>() == std::get<float>(rows.value(column));
    case data::Type::float64: return cell.get<double>() == rows.real(column);
    case data::Type::timestamp: return cell.get<std::string>() == rows.display(column);
    case data::Type::varbinary:
    case data::Type::geometry:
    case data::Type::blob: return "\\x" + cell.get<std::string>() == rows.display(column);
    case data::Type::json: return json::parse(rows.text(column)) == cell;
    case data::Type::ubigint: return cell.get<std::uint64_t>() == rows.integer(column);
    default: break;
  }
  if (cell.is_number_integer()) return cell.get<std::int64_t>() == static_cast<std::int64_t>(rows.integer(column));
  return cell.get<std::string>() == rows.text(column);
}

struct Driven {
  std::size_t agreed = 0, refused = 0, cells = 0, inserts = 0;
  std::map<std::string, std::size_t> passed_over;
};

// Asks each recorded request of ours again, on a connection of its own, and compares what is read from the answer.
void drive(const std::string& file, Driven& driven) {
  for (const auto& line : records::read(file)) {
    if (line.str("kind") != "http") continue;
    const auto& asked = line.json["request"];
    const auto& answered = line.json["response"];
    const auto pass_over = [&](const std::string& why) { ++driven.passed_over[why]; };
    const auto target = asked["path"].get<std::string>();
    std::string path;
    std::map<std::string, std::string> query;
    std::tie(path, query) = split_target(target);
    const auto authorization = asked["headers"].value("Authorization", "");
    const bool sql = path == "/rest/sql" ||
                     (path.starts_with("/rest/sql/") && path.find('/', 10) == std::string::npos && path.size() > 10);
    const bool influx = path == "/influxdb/v1/write", telnet = path.starts_with("/opentsdb/v1/put/telnet/"),
               tsdb_json = path.starts_with("/opentsdb/v1/put/json/");
    const auto body = unhex_or_text(asked);
    if (asked["method"] != "POST" || (!sql && !influx && !telnet && !tsdb_json)) {
      pass_over("another endpoint");
      continue;
    }
    const auto basic = authorization.starts_with("Basic ") ? decoded_basic(authorization) : std::string();
    const auto colon = basic.find(':');
    if (colon == std::string::npos) {
      if (!authorization.starts_with("Bearer ") && !(authorization.empty() && query.contains("token"))) {
        pass_over("credentials that this side does not send");
        continue;
      }
    }
    if (query.contains("row_with_meta") || asked["headers"].contains("Content-Encoding")) {
      pass_over("ways of asking that this side has not");
      continue;
    }
    const auto code_part = [&](const std::string& name, const std::string& known) {
      return query.contains(name) && query[name] != known;
    };
    if (code_part("req_id", "") && query["req_id"].find_first_not_of("0123456789") != std::string::npos) {
      pass_over("a parameter that is no number");
      continue;
    }
    if (query.contains("ttl") && query["ttl"].find_first_not_of("0123456789") != std::string::npos) {
      pass_over("a parameter that is no number");
      continue;
    }
    const auto where = fmt::format("{} {}: {}", file, target, body.substr(0, 100));
    bool same_request = false;
    ScriptedServer server([&](Peer& peer, std::size_t) {
      for (;;) {
        const auto request = take(peer);
        if (!same_request && request.body != body && answer_login(peer, request)) continue;
        if (request.body == "select server_version()" && body != request.body) continue;
        // The same request, but for what every client says of itself.
        auto ours = request.query;
        for (const char* own : {"req_id", "app"}) ours.erase(own);
        auto theirs = query;
        for (const char* own : {"req_id", "app", "timing", "tz", "ip", "unknown"}) theirs.erase(own);
        for (auto& [name, value] : ours)
          for (std::size_t at = 0; (at = value.find("%2F", at)) != std::string::npos;) value.replace(at, 3, "/");
        if (query.contains("tz") && !query.contains("conn_tz")) ours.erase("conn_tz");
        for (auto it = theirs.begin(); it != theirs.end();) it = it->second.empty() ? theirs.erase(it) : std::next(it);
        same_request = request.method == "POST" && request.path == path && ours == theirs && request.body == body &&
                       request.header("Authorization") == authorization;
        if (!same_request)
          throw std::runtime_error(request.head + request.body + "\nis not the recorded " + asked.dump());
        const auto text = unhex_or_text(answered);
        const int status = answered["status"];
        if (answered["headers"].contains("Transfer-Encoding")) reply_chunked(peer, text, 1000);
        else if (status == 204) peer.write("HTTP/1.1 204 No Content\r\n\r\n");
        else reply(peer, status, text, answered["headers"].value("Content-Type", "text/plain"));
      }
    });
    Options options = Options::parse(rest_dsn(server));
    if (colon != std::string::npos) {
      options.user = basic.substr(0, colon);
      options.password = basic.substr(colon + 1);
      options.has_password = true;
    }
    if (query.contains("token")) options.token = query["token"];
    if (authorization.starts_with("Bearer ")) options.bearer_token = authorization.substr(7);
    if (sql && path.size() > 10) options.database = path.substr(10);
    if (influx && query.contains("db")) options.database = query["db"];
    if (telnet || tsdb_json) options.database = path.substr(path.rfind('/') + 1);
    options.time_zone = query.contains("conn_tz") ? query["conn_tz"] : query.contains("tz") ? query["tz"] : "";
    if (options.time_zone.find('%') != std::string::npos || options.time_zone.starts_with("UTC-")) {
      pass_over("a zone that the connection refuses at once");
      continue;
    }
    // The script answers what a login asks by itself, so that a database which is not there can be asked for.
    const bool missing = options.database.find("nope") != std::string::npos;
    if ((missing && sql) || (!sql && options.database.empty())) {
      pass_over("a database that is not there: found when connecting");
      continue;
    }
    if (missing) options.database.clear();
    const json known = json::parse(unhex_or_text(answered), nullptr, false);
    try {
      auto connection = Connection::open(options);
      if (missing) {
        pass_over("a database that is not there: found when connecting");
        continue;
      }
      if (!sql) {
        const auto precision = query.contains("precision") ? query["precision"] : "";
        const auto answer = connection.wait(connection.send_schemaless(
            influx   ? wire::LineProtocol::line
            : telnet ? wire::LineProtocol::telnet
                     : wire::LineProtocol::json,
            precision == "%CE%BC" ? "\xCE\xBC" : precision, body, query.contains("ttl") ? std::stoi(query["ttl"]) : 0,
            query.contains("table_name_key") ? query["table_name_key"] : ""));
        EXPECT_EQ(answer.ok(), answered["status"] == 204) << where;
        if (!answer.ok()) {
          auto text = known["message"].get<std::string>();
          EXPECT_EQ(fmt::format("[0x{:x}] {}", answer.code, answer.message), text) << where;
        }
        ++driven.inserts;
      } else {
        auto rows = connection.query(body);
        ASSERT_TRUE(known.is_object() && known["code"] == 0) << where;
        if (known["column_meta"][0][0] == "affected_rows") {
          EXPECT_EQ(rows.affected_rows(), known["data"][0][0].get<std::int64_t>()) << where;
        } else {
          ASSERT_EQ(rows.fields().size(), known["column_meta"].size()) << where;
          for (std::size_t c = 0; c < rows.fields().size(); ++c) {
            const auto& field = rows.fields()[c];
            EXPECT_EQ(field.name, known["column_meta"][c][0].get<std::string>());
            const auto type = field.scale + field.precision > 0
                                  ? fmt::format("DECIMAL({},{})", field.precision, field.scale)
                                  : std::string(data::type_name(field.type));
            EXPECT_EQ(type, known["column_meta"][c][1].get<std::string>()) << where;
            EXPECT_EQ(field.length, known["column_meta"][c][2].get<int>()) << where;
          }
          std::size_t row = 0;
          for (; rows.next(); ++row) {
            for (std::size_t c = 0; c < rows.fields().size(); ++c, ++driven.cells)
              EXPECT_TRUE(reads_as(rows, c, known["data"][row][c]))
                  << where << " row " << row << " " << rows.fields()[c].name << ": " << rows.display(c) << " is not "
                  << known["data"][row][c];
          }
          EXPECT_EQ(row, known["rows"].get<std::size_t>()) << where;
        }
      }
      ++driven.agreed;
    } catch (const ClientError& error) {
      if (sql && known.is_object()) {
        EXPECT_NE(known["code"], 0) << where << ": " << error.what();
        EXPECT_EQ(error.server_code(), known["code"].get<int>()) << where << ": " << error.what();
      } else {
        EXPECT_NE(answered["status"], 200) << where << ": " << error.what();
      }
      ++driven.refused;
      ++driven.agreed;
    }
    EXPECT_TRUE(same_request) << where;
    EXPECT_NO_FAILURES(server) << where;
  }
  std::string why;
  for (const auto& [text, count] : driven.passed_over) why += fmt::format("\n  {} x {}", count, text);
  std::cout << fmt::format("{}: {} requests agree with the record ({} refused, {} cells, {} inserts); passed over:{}\n",
                           file, driven.agreed, driven.refused, driven.cells, driven.inserts, why);
}

#define NEED_RECORDS() \
  if (records::read("rest_sql").empty()) GTEST_SKIP() << "no recorded conversations at " << records::folder()

TEST(RestRecords, Statements) {
  NEED_RECORDS();
  Driven driven;
  drive("rest_sql", driven);
  EXPECT_EQ(driven.agreed, 105U);
  EXPECT_EQ(driven.refused, 29U);
  EXPECT_EQ(driven.cells, 578U);
}

TEST(RestRecords, Schemaless) {
  NEED_RECORDS();
  Driven driven;
  drive("rest_schemaless", driven);
  EXPECT_EQ(driven.agreed, 48U);
  EXPECT_EQ(driven.inserts, 39U);
}

TEST(RestRecords, TheOfficialClientsRequests) {
  NEED_RECORDS();
  Driven driven;
  drive("client_python_rest", driven);
  EXPECT_EQ(driven.agreed, 15U);
}

}  // namespace
}  // namespace penstock::client
