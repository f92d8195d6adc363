#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>

#include "client/connection.h"
#include "client/scripted_server.h"
#include "wire/block.h"
#include "wire/bytes.h"
#include "wire/messages.h"
#include "wire/records.h"
#include "wire/schemaless.h"
#include "wire/stmt2.h"

// Recorded conversations, driven again by our client: a server that knows only what the real one answered to those
// very requests must find each of ours among them.
namespace penstock::client {
namespace {

using records::Line;

// A request without what may differ between clients: its id, how it is packed, optional members of the login.
std::string key_of_any(bool text, const std::string& bytes) {
  if (!text) {
    const auto header = wire::read_request_header(bytes);
    if (!header) return "?";
    switch (static_cast<wire::Action>(header->action)) {
      case wire::Action::binary_query: {
        const auto sql = wire::decode_query(bytes);
        return sql ? "query " + std::string(*sql) : "?";
      }
      case wire::Action::fetch_raw_block: return fmt::format("fetch_raw {}", header->id);
      case wire::Action::stmt2_bind: return fmt::format("bind {} ", header->id) + bytes.substr(24);
      default: return "?";
    }
  }
  const auto json = nlohmann::json::parse(bytes, nullptr, false);
  if (!json.is_object() || !json.contains("action") || !json["action"].is_string()) return "?";
  const auto action = json["action"].get<std::string>();
  auto args = json.contains("args") && json["args"].is_object() ? json["args"] : nlohmann::json::object();
  args.erase("req_id");
  if (action == "version" || action == "stmt2_init") return action;
  if (action == "conn")
    return "conn " + args.value("user", "") + ' ' + args.value("password", "") + ' ' + args.value("db", "");
  if (action == "query") return "query " + args.value("sql", "");
  if (action == "stmt2_prepare") return fmt::format("prepare {} {}", args.value("stmt_id", 0), args.value("sql", ""));
  if (action == "insert")
    return fmt::format("insert {} {} {} {} {}", args.value("protocol", 0), args.value("precision", ""),
                       args.value("ttl", 0), args.value("table_name_key", ""), args.value("data", ""));
  return action + ' ' + args.dump();
}

// "?" for requests whose members have the wrong type: our client cannot send those.
std::string key_of(bool text, const std::string& bytes) {
  try {
    return key_of_any(text, bytes);
  } catch (const nlohmann::json::type_error&) {
    return "?";
  }
}

bool is_result(const std::string& answer) {
  const auto json = nlohmann::json::parse(answer, nullptr, false);
  return json.is_object() && json.value("fields_count", 0) > 0;
}

// Gives a recorded answer the id of our request.
std::string with_id(const Line& answer, std::uint64_t id) {
  std::string bytes = answer.bytes;
  if (answer.str("kind") == "text") {
    const auto at = bytes.find("\"req_id\":") + 9;
    const auto end = bytes.find_first_not_of("0123456789", at);
    return bytes.replace(at, end - at, std::to_string(id));
  }
  if (wire::is_fetch_answer(bytes)) wire::store(bytes.data() + 26, id);
  return bytes;
}

// The real server's side of one recorded connection.
class Recorded {
 public:
  Recorded(std::vector<Line> lines, std::string version) : lines_(std::move(lines)), version_(std::move(version)) {
    for (const auto& line : lines_) {
      const bool message = line.sent() && (line.str("kind") == "text" || line.str("kind") == "binary");
      keys_.push_back(message ? key_of(line.str("kind") == "text", line.bytes) : std::string());
    }
    forget_statements_without_prepare();
  }

  void serve(Peer& peer) {
    peer.upgrade();
    for (;;) {
      const auto request = peer.receive();
      const auto id = request_id(request);
      const std::string key = key_of(request.text, request.bytes);
      if (key == "version") {
        peer.answer(request, "version", "\"version\":\"" + version_ + "\"");
        continue;
      }
      if (key.starts_with("free_result")) continue;
      const auto* const answer = find(key, request.text);
      if (answer == nullptr) {
        // What the library asks for by itself: the scale of DECIMAL columns, which prepare does not tell.
        if (!key.starts_with("query SELECT * FROM ") || !key.ends_with(" LIMIT 0"))
          unknown_.push_back(key.substr(0, 200));
        peer.refuse(request, "unknown", 0x7001, "not in the record: " + key.substr(0, 20));
        continue;
      }
      peer.send(with_id(*answer, id), answer->str("kind") == "text");
    }
  }
  /// Requests that nobody ever recorded. After the connection has ended.
  [[nodiscard]] const std::vector<std::string>& unknown() const { return unknown_; }

 private:
  // The next recorded request with this key, in the order of the record; results only from the same kind of request.
  const Line* find(const std::string& key, bool text) {
    for (std::size_t i = at_; i + 1 < lines_.size(); ++i) {
      if (keys_[i] != key || !lines_[i + 1].received()) continue;
      const bool recorded_text = lines_[i].str("kind") == "text";
      if (recorded_text != text && is_result(lines_[i + 1].bytes)) continue;
      at_ = i + 1;
      return &lines_[i + 1];
    }
    return nullptr;
  }

  // Our client makes a statement only to prepare it: those whose first prepare failed or never came are passed over.
  void forget_statements_without_prepare() {
    for (std::size_t i = 0; i + 1 < lines_.size(); ++i) {
      if (keys_[i] != "stmt2_init" || lines_[i + 1].str("kind") != "text") continue;
      const auto id = nlohmann::json::parse(lines_[i + 1].bytes).value("stmt_id", 0);
      const auto prepare = fmt::format("prepare {} ", id);
      std::size_t next = i + 1;
      while (next + 1 < lines_.size() && !keys_[next].starts_with(prepare)) ++next;
      if (next + 1 >= lines_.size() || lines_[next + 1].str("kind") != "text" ||
          nlohmann::json::parse(lines_[next + 1].bytes).value("code", -1) != 0) {
        keys_[i].clear();
        forgotten_.push_back(id);
      }
    }
  }

 public:
  [[nodiscard]] bool knows_statement(std::uint64_t id) const {
    return std::find(forgotten_.begin(), forgotten_.end(), static_cast<int>(id)) == forgotten_.end();
  }

 private:
  std::vector<int> forgotten_;
  std::vector<Line> lines_;
  std::vector<std::string> keys_;  // "" where no request was sent
  std::string version_;
  std::size_t at_ = 0;
  std::vector<std::string> unknown_;
};

// Rows of a result as text, or the code of the refusal.
std::string outcome(Connection& connection, const std::string& sql) {
  try {
    auto rows = connection.query(sql);
    if (rows.fields().empty()) return fmt::format("affected {}", rows.affected_rows());
    std::string all;
    for (const auto& field : rows.fields())
      all += fmt::format("{}:{}({}) ", field.name, data::type_name(field.type), field.length);
    while (rows.next()) {
      all += '\n';
      for (std::size_t c = 0; c < rows.fields().size(); ++c) all += rows.is_null(c) ? "NULL|" : rows.text(c) + "|";
    }
    return all;
  } catch (const DatabaseError& error) {
    return fmt::format("refused {}", error.server_code());
  }
}

std::string recorded_outcome(const nlohmann::json& answer) {
  if (answer["code"] != 0) return fmt::format("refused {}", answer["code"].get<int>());
  return fmt::format("affected {}", answer.value("affected_rows", 0));
}

struct Driven {
  std::size_t updates = 0;
  std::size_t results = 0;
  std::size_t inserts = 0;
  std::size_t binds = 0;
  std::map<std::string, std::vector<std::string>> rows;  // by SQL
};

// Sends a recorded bind by our encoder.
void encode(wire::Stmt2Encoder& encoder, const wire::Stmt2Bind& bind) {
  encoder.begin(bind.tag_count, bind.column_count);
  const auto copy = [&](const wire::BindRecord& record) {
    const auto type = static_cast<data::Type>(record.type);
    if (record.have_length) {
      const auto column = encoder.variable_column(type, record.rows, record.buffer.size());
      std::memcpy(column.state, record.state, record.rows);
      std::memcpy(column.lengths, record.lengths, std::size_t{4} * record.rows);
      std::memcpy(column.data, record.buffer.data(), record.buffer.size());
    } else if (record.buffer.empty()) {
      encoder.uniform_column(type, record.rows, record.cell_state(0));
    } else {
      const auto column = encoder.fixed_column(type, record.rows);
      std::memcpy(column.state, record.state, record.rows);
      std::memcpy(column.values, record.buffer.data(), record.buffer.size());
    }
  };
  for (const auto& table : bind.tables) {
    encoder.begin_table(bind.has_names ? std::optional(table.name) : std::nullopt);
    // A record of a tag looks like one of a column with one row.
    wire::Buffer tags;
    for (const auto& tag : table.tags) {
      const auto type = static_cast<data::Type>(tag.type);
      if (tag.cell_state(0) != wire::CellState::value) wire::Stmt2Encoder::null_tag_record(tags, type);
      else if (tag.have_length) wire::Stmt2Encoder::text_tag_record(tags, type, tag.buffer);
      else {
        std::uint64_t bits = 0;
        std::memcpy(&bits, tag.buffer.data(), std::min<std::size_t>(8, tag.buffer.size()));
        wire::Stmt2Encoder::fixed_tag_record(tags, type, bits);
      }
    }
    encoder.tag_records(tags.view());
    for (const auto& column : table.columns) copy(column);
  }
}

// Repeats with our client what the recorded client did on the file's first connection.
Driven drive(const std::string& file, const std::string& version) {
  auto lines = records::read(file);
  Driven driven;
  std::vector<Line> first;
  for (auto& line : lines)
    if (line.json.value("conn", 1) == 1) first.push_back(std::move(line));
  Recorded recorded(first, version);
  const bool binary = version == "3.3.7.5";
  ScriptedServer server([&](Peer& peer, std::size_t) { recorded.serve(peer); });
  {
    auto connection = Connection::open(Options::parse(server.dsn()));
    std::map<std::uint64_t, Statement> statements;
    wire::Stmt2Encoder encoder;
    for (std::size_t i = 0; i + 1 < first.size(); ++i) {
      const auto& line = first[i];
      const bool text = line.str("kind") == "text";
      if (!line.sent() || (!text && line.str("kind") != "binary") || first[i + 1].str("kind") != "text") continue;
      const auto answer = nlohmann::json::parse(first[i + 1].bytes);
      const auto key = key_of(text, line.bytes);
      if (key.starts_with("query ")) {
        const auto sql = key.substr(6);
        if (is_result(first[i + 1].bytes)) {
          if (text == binary) continue;  // of the other way to ask
          const auto rows = outcome(connection, sql);
          EXPECT_FALSE(rows.starts_with("refused")) << file << ": " << sql << ": " << rows;
          driven.rows[sql].push_back(rows);
          ++driven.results;
        } else if (!sql.empty()) {
          EXPECT_EQ(outcome(connection, sql), recorded_outcome(answer)) << file << ": " << sql;
          ++driven.updates;
        }
      } else if (key.starts_with("insert ")) {
        const auto args = nlohmann::json::parse(line.bytes)["args"];
        const auto protocol = args.value("protocol", 0);
        if (protocol < 1 || protocol > 3) continue;
        const auto ticket =
            connection.send_schemaless(static_cast<wire::LineProtocol>(protocol), args.value("precision", ""),
                                       args.value("data", ""), args.value("ttl", 0), args.value("table_name_key", ""));
        const auto ours = connection.wait(ticket);
        EXPECT_EQ(ours.code, answer["code"].get<int>()) << file << ": " << key;
        EXPECT_EQ(ours.message, answer["message"].get<std::string>());
        EXPECT_EQ(ours.affected_rows, answer.value("affected_rows", 0));
        EXPECT_EQ(ours.total_rows, answer.value("total_rows", 0));
        ++driven.inserts;
      } else if (key.starts_with("prepare ") && answer["code"] == 0) {
        const auto args = nlohmann::json::parse(line.bytes)["args"];
        const auto id = args["stmt_id"].get<std::uint64_t>();
        if (statements.contains(id) || !recorded.knows_statement(id)) continue;  // prepared again: not offered
        statements.emplace(id, connection.prepare(args["sql"].get<std::string>()));
        const auto fields = answer["fields"].is_array() ? answer["fields"].size() : 0;
        EXPECT_EQ(statements.at(id).fields().size(), fields);
      } else if (key.starts_with("bind ")) {
        const auto bind = wire::decode_stmt2_bind(line.bytes);
        if (!bind) continue;
        const auto statement = statements.find(bind->statement_id);
        if (statement == statements.end() || !statement->second.usable() || bind->column_index != -1) continue;
        encode(encoder, *bind);
        Answer ours;
        try {
          ours = connection.wait(connection.send_bind(statement->second, encoder));
        } catch (const Error& error) {
          EXPECT_EQ(error.code(), Errc::unsupported) << error.what();  // no tables or no rows: not offered
          continue;
        }
        EXPECT_EQ(ours.code, answer["code"].get<int>()) << file << " line " << i << ": " << ours.message;
        ++driven.binds;
      } else if (key.starts_with("stmt2_exec ") || key.starts_with("stmt2_close ")) {
        const auto statement =
            statements.find(nlohmann::json::parse(line.bytes)["args"].value("stmt_id", std::uint64_t{0}));
        if (statement == statements.end() || !statement->second.usable()) continue;
        if (key.starts_with("stmt2_close ")) {
          connection.close(statement->second);
        } else if (statement->second.bound()) {
          const auto ours = connection.wait(connection.send_exec(statement->second));
          EXPECT_EQ(ours.code, answer["code"].get<int>()) << file << " line " << i;
          EXPECT_EQ(ours.affected_rows, answer.value("affected", 0));
        }
      } else if (key.starts_with("stmt2_result ") && answer["code"] == 0) {
        const auto statement =
            statements.find(nlohmann::json::parse(line.bytes)["args"]["stmt_id"].get<std::uint64_t>());
        if (statement == statements.end() || !statement->second.usable() || statement->second.is_insert() ||
            statement->second.bound())
          continue;
        auto rows = connection.result(statement->second);
        EXPECT_EQ(rows.fields().size(), answer["fields_count"].get<std::size_t>());
        ++driven.results;
      }
    }
    for (auto& [id, statement] : statements) std::exchange(statement, Statement(nullptr));
  }
  EXPECT_EQ(server.failures(), std::vector<std::string>{}) << file;
  std::string unknown;
  for (const auto& key : recorded.unknown())
    if (!key.starts_with("stmt2_close")) unknown += key + '\n';  // of statements that the recorded client left open
  EXPECT_EQ(unknown, "") << file;
  return driven;
}

bool have_records() { return !records::read("connect").empty(); }
#define NEED_RECORDS() \
  if (!have_records()) GTEST_SKIP() << "no recorded conversations at " << records::folder()

TEST(Replay, TypesReadTheSameInBothWaysOfAsking) {
  NEED_RECORDS();
  for (const std::string file : {"query_types_ms", "query_types_us", "query_types_ns"}) {
    const auto binary = drive(file, "3.3.7.5");
    const auto text = drive(file, "3.3.1.0");
    EXPECT_GE(binary.results, 16U) << file;
    EXPECT_GE(binary.updates, 20U) << file;
    std::size_t compared = 0;
    for (const auto& [sql, rows] : binary.rows) {
      const auto other = text.rows.find(sql);
      if (other == text.rows.end()) continue;
      EXPECT_EQ(rows, other->second) << sql;
      ++compared;
    }
    EXPECT_GE(compared, 15U) << file;
  }
}

TEST(Replay, UpdatesTellWhatTheyAffected) {
  NEED_RECORDS();
  EXPECT_GE(drive("query_updates", "3.3.7.5").updates, 40U);
}

TEST(Replay, LargeResults) {
  NEED_RECORDS();
  const auto driven = drive("query_10000_rows", "3.3.7.5");
  std::size_t most = 0;
  for (const auto& [sql, all] : driven.rows)
    for (const auto& rows : all)
      most = std::max<std::size_t>(most, static_cast<std::size_t>(std::count(rows.begin(), rows.end(), '\n')));
  EXPECT_EQ(most, 10'000U);
}

TEST(Replay, SchemalessInserts) {
  NEED_RECORDS();
  EXPECT_GE(drive("schemaless_line", "3.3.7.5").inserts, 100U);
  EXPECT_GE(drive("schemaless_telnet", "3.3.7.5").inserts, 10U);
  EXPECT_GE(drive("schemaless_json", "3.3.7.5").inserts, 10U);
}

TEST(Replay, StatementsOfEveryForm) {
  NEED_RECORDS();
  std::size_t binds = 0;
  for (const std::string file : {"stmt2", "stmt2_types_ms", "stmt2_types_us", "stmt2_types_ns", "stmt2_errors"})
    binds += drive(file, "3.3.7.5").binds;
  EXPECT_GE(binds, 60U);
}

TEST(Replay, Errors) {
  NEED_RECORDS();
  EXPECT_GE(drive("query_errors", "3.3.7.5").updates, 100U);
}

}  // namespace
}  // namespace penstock::client
